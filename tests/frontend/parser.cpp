// The parser: the tree of each construct, the end of statements, recovery (each mistake once),
// limits.
#include "frontend/parser.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "frontend/frontend.h"
#include "tests/support/parse.h"

using namespace dlc;

namespace {

std::string repeated(std::string_view piece, int times) {
  std::string out;
  for (int k = 0; k < times; ++k) out += piece;
  return out;
}

/// An expression with every operation in round brackets.
std::string grouped(const ast::Expr& e) {
  if (const auto* i = std::get_if<ast::IntLit>(&e.node)) return fmt::format("{}", i->value);
  if (const auto* n = std::get_if<ast::NameRef>(&e.node)) return n->name;
  if (const auto* u = std::get_if<ast::Unary>(&e.node))
    return fmt::format("({} {})", u->op, grouped(*u->operand));
  if (const auto* b = std::get_if<ast::Binary>(&e.node))
    return fmt::format("({} {} {})", grouped(*b->lhs), b->op, grouped(*b->rhs));
  if (const auto* m = std::get_if<ast::Member>(&e.node))
    return fmt::format("{}.{}", grouped(*m->object), m->member.text);
  if (const auto* x = std::get_if<ast::Index>(&e.node))
    return fmt::format("{}[{}]", grouped(*x->object), x->items.size());
  if (const auto* c = std::get_if<ast::Call>(&e.node)) {
    std::string out = grouped(*c->callee) + "(";
    for (const ast::Arg& a : c->args)
      out += (&a == c->args.data() ? "" : ", ") + (a.name ? a.name->text + ": " : "") +
             grouped(*a.value);
    return out + ")";
  }
  return "?";
}

std::string grouped(const std::string& text) {
  Sources sources;
  Diagnostics diagnostics;
  const int source = sources.add("t.dl", text);
  const ast::ExprPtr e = parse_expression(sources, source, diagnostics);
  return e ? grouped(*e) : diagnostics.render(sources, false);
}

/// The statements of a block, each by the text of its span.
std::vector<std::string> statements(const std::string& body) {
  Sources sources;
  Diagnostics diagnostics;
  const int source = sources.add("t.dl", "fn f(x) {" + body + "}");
  const ast::File file = parse(sources, source, diagnostics);
  CHECK_MESSAGE(diagnostics.empty(), diagnostics.render(sources, false));
  std::vector<std::string> out;
  REQUIRE(!file.items.empty());
  for (const ast::Stmt& s : std::get<ast::Callable>(file.items[0].node).body.stmts)
    out.push_back(std::string(sources.text(s.span)));
  return out;
}

}  // namespace

TEST_CASE("operators bind by their levels, to the left but for powers") {
  const std::pair<const char*, const char*> cases[] = {
      {"a + b * c", "(a + (b * c))"},
      {"a - b - c", "((a - b) - c)"},
      {"a / b * c // d % e @ f", "(((((a / b) * c) // d) % e) @ f)"},
      {"a ^ b ^ c", "(a ^ (b ^ c))"},
      {"-a ^ b", "(- (a ^ b))"},
      {"a ^ -b", "(a ^ (- b))"},
      {"a ^ -b ^ c", "(a ^ (- (b ^ c)))"},
      {"- - a", "(- (- a))"},
      {"-a * b", "((- a) * b)"},
      {"-a.b(c)[d]", "(- a.b(c)[1])"},
      {"a * -b", "(a * (- b))"},
      {"a + 1 .. b * 2", "((a + 1) .. (b * 2))"},
      {"a .. b == c", "((a .. b) == c)"},
      {"a < b and c >= d or not e != f", "(((a < b) and (c >= d)) or (not (e != f)))"},
      {"not not a", "(not (not a))"},
      {"not a and b", "((not a) and b)"},
      {"a and not b", "(a and (not b))"},
      {"a or b |> f", "((a or b) |> f)"},
      {"a |> f |> g(b)", "((a |> f) |> g(b))"},
      {"a + b |> f(c: d)(e)", "((a + b) |> f(c: d)(e))"},
      {"(a + b) * c", "((a + b) * c)"},
      {"a == b and c", "((a == b) and c)"},
      {"f(a)(b).c[d][e, f]", "f(a)(b).c[1][2]"},
  };
  for (const auto& [text, tree] : cases) CHECK(grouped(text) == tree);
}

TEST_CASE("a statement ends with its line, unless the next begins with an operator") {
  using Lines = std::vector<std::string>;
  CHECK(statements("\n a = 1\n b = 2\n b\n") == Lines{"a = 1", "b = 2", "b"});
  CHECK(statements(" a = 1; b = 2; b ") == Lines{"a = 1", "b = 2", "b"});
  CHECK(statements("\n a = 1;;\n;; b\n") == Lines{"a = 1", "b"});
  CHECK(statements("\n a = x\n   |> f\n   |> g\n a\n") == Lines{"a = x\n   |> f\n   |> g", "a"});
  CHECK(statements("\n a = x\n   + 1\n   and y\n a\n") == Lines{"a = x\n   + 1\n   and y", "a"});
  // A minus sign close to its operand begins a statement, one with a blank goes on.
  CHECK(statements("\n a = x\n -a\n") == Lines{"a = x", "-a"});
  CHECK(statements("\n a = x\n - 1\n a\n") == Lines{"a = x\n - 1", "a"});
  // Inside round and square brackets lines mean nothing; inside braces they do.
  CHECK(statements("\n a = f(x\n -1\n ,\n 2\n )\n a\n").size() == 2);
  CHECK(statements("\n a = [1,\n -2,\n 3\n ]\n a\n").size() == 2);
  CHECK(statements("\n a = (if x { b = 1\n -b } else { c\n })\n a\n").size() == 2);
  // A bracket on a new line is no call and no index.
  CHECK(statements("\n a = x\n (a)\n") == Lines{"a = x", "(a)"});
  CHECK(statements("\n a = x\n [a]\n") == Lines{"a = x", "[a]"});
  // `else` may follow on the next line.
  CHECK(statements("\n if x { a = 1 }\n else { b = 2 }\n x\n").size() == 2);
  // Words of the grammar are names where no declaration follows.
  CHECK(statements("\n input = 1\n loss = input\n target(state)\n param.a\n watch[0]\n") ==
        Lines{"input = 1", "loss = input", "target(state)", "param.a", "watch[0]"});
  CHECK(statements("\r\n a = 1\r\n a\r\n") == Lines{"a = 1", "a"});
}

TEST_CASE("the tree of each construct") {
  const Parse p = parse_text(R"(## What it is.
## And more.
const n = 3

import "other.dl"
fn f(x, axis = -1) = x
layer l(units, init = zeros())(x: f32[..., n]) -> f32[..., units] {
  param w: f32[n, units] = init
  state s: f32[] = 0.5
  s <- s + 1
  for i in 0..2 { x = x @ w }
  y: f32[2 * n] = x[0, 1:2, ::3, ..., :]
  if n == 3 { y } else if n > 4 { -y } else { y.a }
}
optimizer o(lr)(w, g) { w <- w - lr * g }
data d { train { x = idx("a\n") }; test { x = 1 } }
model m(k = 2) {
  input x: f32[N]
  target y: u8
  loss = x
  metric a = x
  output y
  output z = [1, [2.5, true]]
  watch a.b, c
}
train m on d { batch = 3 }
train m { }
)");
  CHECK(p.errors == "");
  // The printed tree is the program in a uniform layout: reading it gives the same tree.
  CHECK(p.tree == R"(const n = 3
import "other.dl"
fn f(x, axis = (-1)) {
  x
}
layer l(units, init = zeros())(x: f32[..., n]) -> f32[..., units] {
  param w: f32[n, units] = init
  state s: f32[] = 0.5
  s <- (s + 1)
  for i in (0 .. 2) {
    x = (x @ w)
  }
  y: f32[(2 * n)] = x[0, 1:2, ::3, ..., :]
  if (n == 3) {
    y
  } else {
    if (n > 4) {
      (-y)
    } else {
      y.a
    }
  }
}
optimizer o(lr)(w, g) {
  w <- (w - (lr * g))
}
data d {
  train {
    x = idx("a\n")
  }
  test {
    x = 1
  }
}
model m(k = 2) {
  input x: f32[N]
  target y: u8[]
  loss = x
  metric a = x
  output y
  output z = [1, [2.5, true]]
  watch a.b, c
}
train m on d {
  batch = 3
}
train m {
}
)");
  CHECK(parse_text(p.tree).tree == p.tree);
  CHECK(parse_text("# nothing\n\n").tree == "");
}

TEST_CASE("documentation belongs to the definition right below it") {
  const auto doc = [](const std::string& text) {
    Sources sources;
    Diagnostics diagnostics;
    const ast::File f = parse(sources, sources.add("t.dl", text), diagnostics);
    CHECK(diagnostics.empty());
    return std::get<ast::Const>(f.items.at(0).node).doc;
  };
  CHECK(doc("## a\n##   b\nconst n = 1") == "a\n  b");
  CHECK(doc("## a\n\nconst n = 1") == "");
  CHECK(doc("## a\n# b\nconst n = 1") == "");
  CHECK(doc("## a\n\n## b\nconst n = 1") == "b");
  CHECK(doc("const n = 1 ## a") == "");
}

TEST_CASE("several mistakes in one file are reported once each") {
  using enum Diag;
  const Parse p = parse_text(R"(const a = 1 +
const b 2
fn f(x, x) = x
fn g(x) { y =
  z = 3
  a, b = 4
  x[0] = 1
  w = x +
  v = f(x,
  , 2)
  u = (1, 2)
  return u }
modle m { }
layer l()(x { x }
data d { x = 'a' }
fn h(x) = x < 1 < 2
model n {
  if a = b { x = 1 }
  y = [1, 2
  loss = y
}
train m on { }
fn k(x) = x ** 2 && 3
fn last(x) = x
)");
  const std::vector<Diag> expected = {
      foreign_quotes,          foreign_operator,    foreign_operator,    expected_expression,
      missing_equals,          duplicate_parameter, missing_value,       bad_assignment,
      bad_assignment,          expected_expression, expected_expression, syntax,
      foreign_keyword,         unknown_definition,  unclosed_bracket,    chained_comparison,
      assignment_in_condition, unclosed_bracket,    expected_name};
  CHECK_MESSAGE(p.kinds == expected, p.errors);
  CHECK(p.tree.find("last") != std::string::npos);
}

TEST_CASE("what follows a mistake is read") {
  for (const char* bad : {"y =", "y = 1 +", "y = f(x", "y = f(x]", "y = )", "y = x[", "if", "for",
                          "param w:", "y: =", "y <-", "metric m", "y = \"a", "a b c", "y = 1 2"}) {
    const Parse p =
        parse_text(fmt::format("fn f(x) {{\n {}\n good = 3\n good }}\nfn g(x) = x", bad));
    CHECK_MESSAGE(p.kinds.size() == 1, std::string(bad), "\n", p.errors);
    CHECK_MESSAGE(p.tree.find("g") != std::string::npos, p.tree);
  }
}

TEST_CASE("deep and long programs are refused, not crashed on") {
  using enum Diag;
  const auto refused = [](const std::string& expression, Diag kind = too_deep) {
    const Parse p = parse_text("const a = " + expression + "\nconst b = 2\n");
    CHECK_MESSAGE(p.kinds == std::vector<Diag>{kind}, expression.substr(0, 40), "\n",
                  p.errors.substr(0, 400));
    CHECK(p.tree.find("b") != std::string::npos);
  };
  for (const int n : {200, 100'000}) {
    refused(repeated("(", n) + "1" + repeated(")", n));
    refused(repeated("[", n) + "1" + repeated("]", n));
    refused(repeated("f(", n) + "1" + repeated(")", n));
    refused(repeated("a[", n) + "1" + repeated("]", n));
    refused(repeated("-", n) + "1");
    refused(repeated("not ", n) + "true");
    refused("1" + repeated(" ^ 2", n));
    refused(repeated("if a { ", n) + "1" + repeated(" } else { 2 }", n));
    refused(repeated("if a { 1 } else ", n) + "{ 2 }");
    refused(repeated("(", n), unclosed_bracket);
    refused(repeated("if a { b[f(", n), unclosed_bracket);
  }
  for (const char* link : {" + 1", " |> f", ".a", "[0]", "(1)", "[0](1).a", " or 1", " .. 1"})
    refused("x" + repeated(link, 100'000));
  // Within the limits.
  CHECK(parse_text("const a = 1" + repeated(" + 1", 300)).errors == "");
  CHECK(parse_text("const a = " + repeated("(", 30) + "1" + repeated(")", 30)).errors == "");
  CHECK(parse_text("const a = [" + repeated("1, ", 100'000) + "]").errors == "");
  CHECK(parse_text("fn f(x) { " + repeated("for i in 0..1 { ", 60) + repeated("} ", 60) + "; x }")
            .errors == "");
}

TEST_CASE("large files take time in proportion") {
  CHECK(parse_text(repeated("## doc\nconst a = 1\n", 200'000)).errors == "");
  std::string parameters;
  for (int k = 0; k < 200'000; ++k) parameters += fmt::format("p{}, ", k);
  CHECK(parse_text("fn f(" + parameters + ") = 1").errors == "");
  const Parse wrong = parse_text(repeated("const a = )\n", 400'000));
  CHECK(wrong.kinds.size() == Diagnostics::kLimit);
  const Parse huge = parse_text(std::string(std::size_t{17} << 20, ' '));
  CHECK(huge.kinds == std::vector<Diag>{Diag::too_large});
}
