// Types, blocks and statements.
#include <map>
#include <utility>

#include "frontend/parser/parser_impl.h"

namespace dlc::parsing {

// type: name [ "[" list( expr | "..." ) "]" ]
TypeExpr Parser::type(int& height) {
  TypeExpr t;
  const std::uint32_t first = at_;
  const Name element = name("an element type");
  t.element_span = element.span;
  t.element = parse_element_type(element.text);
  if (!t.element) {
    static const std::map<std::string, std::string> foreign = {
        {"float", "f32"},   {"float32", "f32"}, {"double", "f64"},    {"float64", "f64"},
        {"int", "i32"},     {"int32", "i32"},   {"int64", "i64"},     {"long", "i64"},
        {"uint8", "u8"},    {"byte", "u8"},     {"boolean", "bool"},  {"half", "f16"},
        {"float16", "f16"}, {"fp16", "f16"},    {"bfloat16", "bf16"}, {"bfloat", "bf16"}};
    const auto at = foreign.find(element.text);
    const std::string near =
        at != foreign.end()
            ? at->second
            : nearest(element.text, {"f32", "f64", "bf16", "f16", "i32", "i64", "u8", "bool"});
    report(Diag::unknown_type, element.span, fmt::format("`{}` is no element type", element.text),
           near.empty() ? "the element types are f32 f64 bf16 f16 i32 i64 u8 bool"
                        : fmt::format("did you mean `{}`?", near));
  }
  if (is(Tok::LParen) && !on_new_line())
    fail(Diag::syntax, here(), "the dimensions of a type are in square brackets",
         fmt::format("write `{}[...]`", element.text));
  if (is(Tok::LBracket) && !on_new_line())
    in_brackets("a type", [&] { t.dims.push_back(expression_or_rest(height)); });
  t.span = since(first);
  return t;
}

// block: "{" { statement end } "}"
Block Parser::block(const char* what, int& height) {
  if (!is(Tok::LBrace)) no_block(what);
  const Open o = open(what);
  return statements(o.at, o.close, height);
}

// block: "{" { statement end } "}"     `end` is where the block ends also when its `}` is missing.
/// The statements between the brackets at tokens `open` and `end`. What a statement with a mistake
/// would have bound is bound to nothing, and reading goes on at the next statement.
Block Parser::statements(std::uint32_t open, std::uint32_t end, int& height) {
  const Nesting nesting(*this);
  Block b;
  const int outer = brackets_;
  const std::uint32_t outer_limit = limit_;
  const bool without_value = std::exchange(without_value_, false);
  while (at_ < end) {
    if (take(Tok::Semicolon)) continue;
    const int depth = nesting_;
    const std::uint32_t first = at_;
    try {
      brackets_ = 0;
      limit_ = end;
      int h = 0;
      Stmt s = statement(h);
      height = std::max(height, h);
      check_height(height, s.span);
      end_of_statement(&s);
      if (without_value) check_comparison(s);
      b.stmts.push_back(std::move(s));
    } catch (const Recover&) {
      nesting_ = depth;
      b.damaged = true;
      if (auto name = bound_name(first))
        b.stmts.push_back(Stmt{Assign{*name, {}, nullptr}, name->span});
      skip_statement(first, end);
      if (enough()) at_ = end;
    }
  }
  const bool closed = end < outer_limit;
  limit_ = outer_limit;
  brackets_ = outer;
  at_ = closed ? end + 1 : end;
  b.damaged = b.damaged || !closed;
  b.span = since(open);
  return b;
}

// statement: declaration | result | "watch" ... | "yield" ... | "for" ... | name ... | expression
Stmt Parser::statement(int& height) {
  const std::uint32_t first = at_;
  foreign_statement();
  nested_definition();
  misspelt_statement();
  Stmt s;
  if (auto d = declaration(height)) {
    s.node = std::move(*d);
  } else if (auto r = result(height)) {
    s.node = std::move(*r);
  } else if (is_word("watch") && peek(1) == Tok::Name && !token(at_ + 1).newline_before) {
    s.node = watch();
  } else if (begins_yield()) {
    s.node = yield(height);
  } else if (is(Tok::For)) {
    s.node = for_loop(height);
  } else if (is(Tok::Name) && !begins_scan()) {
    s = named(height);
  } else {
    s.node = ExprStmt{expression(height)};
  }
  s.span = since(first);
  return s;
}

// declaration: ( "input" | "target" | "param" | "state" | "carry" ) name ":" type [ "=" expr ]
std::optional<Decl> Parser::declaration(int& height) {
  static const std::map<std::string_view, DeclKind> kinds = {{"input", DeclKind::Input},
                                                             {"target", DeclKind::Target},
                                                             {"param", DeclKind::Param},
                                                             {"state", DeclKind::State},
                                                             {"carry", DeclKind::Carry}};
  const auto kind = is(Tok::Name) ? kinds.find(text(at_)) : kinds.end();
  if (kind == kinds.end() || token(at_ + 1).newline_before) return std::nullopt;
  // `input` may be an ordinary name: only what cannot follow one makes it a declaration.
  const Tok next = peek(1);
  const bool declares =
      next == Tok::Name || next == Tok::Int || next == Tok::Float || next == Tok::String ||
      (next >= Tok::And && next <= Tok::True && next != Tok::And && next != Tok::Or);
  if (!declares) return std::nullopt;
  const std::string_view word = text(at_++);
  Decl d{kind->second, name("the declared value"), {}, nullptr};
  if (is(Tok::Name) && !on_new_line() && parse_element_type(text(at_))) {
    report(Diag::syntax, after_previous(), fmt::format("`:` is missing after `{}`", d.name.text),
           fmt::format("`{} {}: {}`", word, d.name.text, rest_of_line(at_)));
    d.type = type(height);
  } else if (take(Tok::Colon)) {
    d.type = type(height);
  }
  if (take(Tok::Assign)) {
    d.init = value(height);
  } else if (begins_operand(at_) && !on_new_line()) {
    report(Diag::missing_equals, after_previous(), "`=` is missing before the value",
           fmt::format("`{} {}{} = {}`", word, d.name.text,
                       d.type ? fmt::format(": {}", sources_.text(d.type->span)) : "",
                       rest_of_line(at_)));
    d.init = value(height);
  }
  return d;
}

// result: "loss" "=" expr | "metric" name "=" expr | "output" name [ "=" expr ]
std::optional<Result> Parser::result(int& height) {
  if (is_word("loss") && peek(1) == Tok::Assign) {
    Name n = name("the loss");
    ++at_;
    return Result{ResultKind::Loss, std::move(n), value(height)};
  }
  const bool metric = is_word("metric");
  const bool named = peek(1) == Tok::Name && !token(at_ + 1).newline_before;
  if (!named || (!metric && !is_word("output"))) return std::nullopt;
  const std::string_view word = text(at_++);
  const std::uint32_t first = at_;
  Result r{metric ? ResultKind::Metric : ResultKind::Output, name("the result"), nullptr};
  if (take(Tok::Assign)) {
    r.value = value(height);
  } else if (!statement_ends()) {
    // `metric mean(x)`: a value without a name.
    fail(Diag::expected_name, span_of(first),
         fmt::format("a name stands between `{}` and the value", word),
         fmt::format("`{} name = {}`", word, rest_of_line(first)));
  } else if (metric) {
    fail(Diag::missing_value, after_previous(), "the value of the metric is missing",
         "`metric name = ...`");
  }
  return r;
}

// watch: "watch" path { "," path }     path: name { "." name }
Watch Parser::watch() {
  ++at_;
  Watch w;
  do {
    Name n = name("a value");
    while (take(Tok::Dot)) {
      const Name member = name("a parameter");
      n.text += "." + member.text;
      n.span = join(n.span, member.span);
    }
    w.names.push_back(std::move(n));
  } while (take(Tok::Comma));
  return w;
}

/// `yield` is an ordinary name where nothing follows that could be a value.
bool Parser::begins_yield() const {
  if (!is_word("yield") || token(at_ + 1).newline_before) return false;
  const Tok next = peek(1);
  return begins_operand(at_ + 1) || next == Tok::LParen || next == Tok::LBracket ||
         next == Tok::Minus || next == Tok::If || next == Tok::Not;
}

// yield: "yield" expr { "," expr }
Yield Parser::yield(int& height) {
  ++at_;
  Yield y;
  do y.values.push_back(expression(height));
  while (take(Tok::Comma));
  return y;
}

// for: "for" name "in" expr block
For Parser::for_loop(int& height) {
  ++at_;
  For f;
  if (is(Tok::LParen))
    fail(Diag::syntax, here(), "a `for` has no brackets around its head", "`for i in 0..4 { }`");
  f.variable = name("the loop variable");
  if (!take(Tok::In))
    fail(
        Diag::syntax, here(), fmt::format("`in` is expected, not {}", found()),
        is(Tok::Comma) ? "a loop has one variable: `for pair in list { }`" : "`for i in 0..4 { }`");
  f.iterable = value(height);
  f.body = block("a `for`", height);
  ++height;
  return f;
}

// Statements that begin with an ordinary name:
//   name [ ":" type ] "=" expr | name "<-" expr | name block | expression
Stmt Parser::named(int& height) {
  const std::uint32_t first = at_;
  Stmt s;
  const Tok next = peek(1);
  if (next == Tok::LBrace && !token(at_ + 1).newline_before) {
    Name n = name("a split");
    s.node = Split{std::move(n), block("a split", height)};
    ++height;
  } else if (next == Tok::Assign || next == Tok::Update) {
    Name n = name("a value");
    ++at_;
    if (next == Tok::Update)
      s.node = Update{std::move(n), value(height)};
    else
      s.node = Assign{std::move(n), {}, value(height)};
  } else if (next == Tok::Colon) {
    Name n = name("a value");
    ++at_;
    TypeExpr t = type(height);
    if (!take(Tok::Assign))
      fail(Diag::missing_value, after_previous(),
           fmt::format("the value of `{}` is missing", n.text),
           fmt::format("for instance `{}: {} = normal()`", n.text, sources_.text(t.span)));
    s.node = Assign{std::move(n), std::move(t), value(height)};
  } else if (begins_operand(at_ + 1) && !token(at_ + 1).newline_before &&
             (next != Tok::Name || is_word("loss"))) {
    // `batch 10`, `loss mean(e)`
    Name n = name("a value");
    report(Diag::missing_equals, after_previous(), fmt::format("`=` is missing after `{}`", n.text),
           fmt::format("write `{} = {}`", n.text, rest_of_line(at_)));
    if (n.text == "loss")
      s.node = Result{ResultKind::Loss, std::move(n), value(height)};
    else
      s.node = Assign{std::move(n), {}, value(height)};
  } else {
    s.node = ExprStmt{expression(height)};
  }
  s.span = since(first);
  return s;
}

/// What stands behind `=` or `<-`, on the same line.
ExprPtr Parser::value(int& height) {
  if (peek() == Tok::End || is(Tok::RBrace) || is(Tok::Semicolon) || on_new_line())
    fail(Diag::missing_value, after_previous(), "a value is missing",
         "the value follows on the same line");
  return expression(height);
}

}  // namespace dlc::parsing
