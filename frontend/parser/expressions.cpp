// Expressions, by precedence: each level is read by binary(), from the loosest.
#include "frontend/parser/parser_impl.h"

namespace dlc::parsing {

Operator operator_of(Tok t) {
  switch (t) {
    case Tok::Pipe:
      return {"|>", 1};
    case Tok::Or:
      return {"or", 2};
    case Tok::And:
      return {"and", 3};
    case Tok::Equal:
      return {"==", 5};
    case Tok::NotEqual:
      return {"!=", 5};
    case Tok::Less:
      return {"<", 5};
    case Tok::LessEqual:
      return {"<=", 5};
    case Tok::Greater:
      return {">", 5};
    case Tok::GreaterEqual:
      return {">=", 5};
    case Tok::Range:
      return {"..", 6};
    case Tok::Plus:
      return {"+", 7};
    case Tok::Minus:
      return {"-", 7};
    case Tok::Star:
      return {"*", 8};
    case Tok::Slash:
      return {"/", 8};
    case Tok::SlashSlash:
      return {"//", 8};
    case Tok::Percent:
      return {"%", 8};
    case Tok::At:
      return {"@", 8};
    case Tok::Caret:
      return {"^", 10};
    default:
      return {"", 0};
  }
}

// expr: unary { operator unary } | "not" expr, by the levels of operator_of(), left to right; the
// right side of "|>" is a postfix, and comparisons do not chain; `x |> f + y` is `(x |> f) + y`.
Parsed Parser::binary(int least) {
  const Nesting nesting(*this);
  const std::uint32_t first = at_;
  Parsed left;
  if (is(Tok::Not)) {
    if (least > kNot)
      fail(Diag::expected_expression, here(),
           "`not` binds less tightly than the operator before it",
           "put brackets around it: `(not x)`");
    ++at_;
    Parsed operand = binary(kNot);
    const int h = operand.height + 1;
    left = make(first, Unary{"not", std::move(operand.expr)}, h);
  } else {
    left = unary();
  }
  int before = 0;  // the level of the operator read last
  for (;;) {
    const Operator op = operator_of(peek());
    if (op.level == 0 || op.level < least || starts_negative()) return left;
    const std::uint32_t op_at = at_++;
    if (op.level == kComparison && before == kComparison)
      fail(Diag::chained_comparison, span_of(op_at), "comparisons do not chain",
           "write `a < b and b < c`");
    before = op.level;
    if (on_new_line() && begins_statement(at_)) no_operand();
    Parsed right = op.level == kPipe ? postfix() : binary(op.level + 1);
    const int h = std::max(left.height, right.height) + 1;
    left = make(first, Binary{op.text, span_of(op_at), std::move(left.expr), std::move(right.expr)},
                h);
  }
}

// unary: "-" unary | postfix [ "^" unary ]
Parsed Parser::unary() {
  const Nesting nesting(*this);
  const std::uint32_t first = at_;
  if (take(Tok::Minus)) {
    Parsed operand = unary();
    const int h = operand.height + 1;
    return make(first, Unary{"-", std::move(operand.expr)}, h);
  }
  Parsed base = postfix();
  if (!is(Tok::Caret)) return base;
  const Span op_span = span_of(at_++);
  Parsed exponent = unary();
  const int h = std::max(base.height, exponent.height) + 1;
  return make(first, Binary{"^", op_span, std::move(base.expr), std::move(exponent.expr)}, h);
}

// postfix: primary { call | index | "." name }
Parsed Parser::postfix() {
  const std::uint32_t first = at_;
  Parsed e = primary();
  for (;;) {
    if (is(Tok::LParen) && !on_new_line()) {
      e = call(first, std::move(e));
    } else if (is(Tok::LBracket) && !on_new_line()) {
      e = index(first, std::move(e));
    } else if (is(Tok::Dot) && !on_new_line()) {
      ++at_;
      Name member = name("a member");
      const int h = e.height + 1;
      e = make(first, Member{std::move(e.expr), std::move(member)}, h);
    } else {
      return e;
    }
  }
}

// call: "(" list( argument ) ")"
Parsed Parser::call(std::uint32_t first, Parsed callee) {
  Call c{std::move(callee.expr), {}};
  int h = callee.height;
  bool named = false;
  in_brackets("a call", [&] { c.args.push_back(argument(named, h)); });
  return make(first, std::move(c), h + 1);
}

// argument: [ name ":" ] expr
Arg Parser::argument(bool& named, int& height) {
  Arg a;
  const std::uint32_t first = at_;
  if (is(Tok::Name) && (peek(1) == Tok::Colon || peek(1) == Tok::Assign)) {
    a.name = name("an argument");
    if (is(Tok::Assign))
      report(Diag::equals_in_call, since(first), "the value of a named argument follows a colon",
             fmt::format("write `{}: ...`", a.name->text));
    ++at_;
    named = true;
  }
  a.value = expression(height);
  if (named && !a.name)
    report(Diag::positional_after_named, a.value->span,
           "an argument without a name follows one with a name", "arguments by place come first");
  return a;
}

// index: "[" list( index_item ) "]"
Parsed Parser::index(std::uint32_t first, Parsed object) {
  const std::uint32_t bracket = at_;
  Index x{std::move(object.expr), {}};
  int h = object.height;
  in_brackets("an index", [&] { x.items.push_back(index_item(h)); });
  if (x.items.empty())
    fail(Diag::expected_expression, span_of(bracket), "an index is missing",
         "`x[0]`, `x[1:3]` or `x[..., 0]`");
  return make(first, std::move(x), h + 1);
}

// index_item: "..." | expr | [ expr ] ":" [ expr ] [ ":" [ expr ] ]
IndexItem Parser::index_item(int& height) {
  IndexItem item;
  const std::uint32_t first = at_;
  const auto at_end = [&] { return is(Tok::Colon) || is(Tok::Comma) || is(Tok::RBracket); };
  if (is(Tok::Ellipsis)) {
    ++at_;
    item.value = make(first, Ellipsis{}, 1).expr;
  } else {
    if (!is(Tok::Colon)) item.begin = expression(height);
    if (take(Tok::Colon)) {
      item.is_slice = true;
      if (!at_end()) item.end = expression(height);
      if (take(Tok::Colon) && !at_end()) item.step = expression(height);
    } else {
      item.value = std::move(item.begin);
    }
  }
  item.span = since(first);
  return item;
}

ExprPtr Parser::expression(int& height) {
  Parsed e = expression();
  height = std::max(height, e.height);
  return std::move(e.expr);
}

// expr | "..."
ExprPtr Parser::expression_or_rest(int& height) {
  if (!is(Tok::Ellipsis)) return expression(height);
  const std::uint32_t at = at_++;
  return make(at, Ellipsis{}, 1).expr;
}

// list: "[" list( expr | "..." ) "]"
Parsed Parser::list() {
  const std::uint32_t first = at_;
  ListLit l;
  int h = 0;
  in_brackets("a list", [&] { l.items.push_back(expression_or_rest(h)); });
  return make(first, std::move(l), h + 1);
}

// primary: integer | float | string | "true" | "false" | name | "(" expr ")" | list | if | scan
Parsed Parser::primary() {
  const std::uint32_t first = at_;
  switch (peek()) {
    case Tok::Int:
      ++at_;
      return make(first, IntLit{int_value(text(first))}, 1);
    case Tok::Float:
      ++at_;
      return make(first, FloatLit{float_value(text(first))}, 1);
    case Tok::String:
      ++at_;
      return make(first, StringLit{string_value(text(first))}, 1);
    case Tok::True:
    case Tok::False:
      ++at_;
      return make(first, BoolLit{token(first).kind == Tok::True}, 1);
    case Tok::Name: {
      if (begins_scan()) return scan();
      const std::string word(text(first));
      if (word == "True" || word == "False") {
        report(Diag::foreign_keyword, span_of(first),
               fmt::format("`{}` is not a word of this language", word),
               word == "True" ? "write `true`" : "write `false`");
        ++at_;
        return make(first, BoolLit{word == "True"}, 1);
      }
      if (word == "None")
        fail(Diag::foreign_keyword, span_of(first), "`None` is not a word of this language",
             "write `none`");
      if (word == "lambda")
        fail(Diag::foreign_keyword, span_of(first), "there are no lambdas",
             "define a function: `fn f(x) = ...`");
      ++at_;
      return make(first, NameRef{word}, 1);
    }
    case Tok::LBracket:
      return list();
    case Tok::If:
      return if_expression();
    case Tok::Error:
      throw Recover{};
    case Tok::LParen: {
      const Open o = open("an expression");
      ++brackets_;
      if (at_ == o.close)
        fail(Diag::expected_expression, since(first),
             "an expression is missing between the brackets");
      Parsed inner = expression();
      if (is(Tok::Comma))
        fail(Diag::syntax, here(), "there are no tuples",
             "a list is written in square brackets: [a, b]");
      --brackets_;
      close(o);
      inner.expr->span = since(first);
      return inner;
    }
    case Tok::LBrace:
      fail(Diag::expected_expression, here(), "a value is expected, not a block",
           "lists are written in square brackets");
    case Tok::Ellipsis:
      fail(Diag::expected_expression, here(),
           "`...` stands for dimensions in a type or an index only");
    default:
      no_operand();
  }
}

// if: "if" expr block [ "else" ( if | block ) ]
Parsed Parser::if_expression() {
  const Nesting nesting(*this);
  const std::uint32_t first = at_++;
  const int outer = brackets_;
  brackets_ = 0;
  Parsed cond = expression();
  int h = cond.height;
  if (is(Tok::Assign))
    fail(Diag::assignment_in_condition, here(), "`=` binds a name; a comparison is `==`",
         "write `==`");
  IfExpr e;
  e.cond = std::move(cond.expr);
  e.then_block = block("an `if`", h);
  const std::uint32_t before = at_;
  while (is(Tok::Semicolon)) ++at_;
  const bool elif = is_word("elif") && peek(1) != Tok::Assign;
  if (elif)
    report(Diag::foreign_keyword, here(), "`elif` is not a word of this language",
           "write `else if`");
  if (elif) {
    e.else_block = else_if(h);
  } else if (!is(Tok::Else)) {
    at_ = before;
  } else {
    ++at_;
    if (is(Tok::If)) {
      e.else_block = else_if(h);
    } else {
      e.else_block = block("an `else`", h);
    }
  }
  brackets_ = outer;
  return make(first, std::move(e), h + 1);
}

/// `scan` is an ordinary name but for what follows it.
bool Parser::begins_scan() const {
  if (!is_word("scan") || peek(1) != Tok::LParen) return false;
  const bool along = is_word("along", 2) && peek(3) != Tok::Comma && peek(3) != Tok::RParen;
  return along || (peek(2) == Tok::Name && peek(3) == Tok::In);
}

// scan: "scan" "(" [ name "in" expr { "," name "in" expr } ] "along" expr
//       { (";" | ",") name ( "=" | ":" ) expr } ")" block
Parsed Parser::scan() {
  const Nesting nesting(*this);
  const std::uint32_t first = at_++;
  const int outer = brackets_;
  Scan s;
  int h = 1;
  const Open o = open("a scan");
  ++brackets_;
  while (!is_word("along") && at_ < o.close) {
    Scan::Entry e{name("a slice"), nullptr};
    if (!take(Tok::In))
      fail(Diag::syntax, here(), fmt::format("`in` is expected, not {}", found()),
           "`scan (x in xs along T; h = zeros([N, 8])) { }`");
    e.value = expression(h);
    s.scanned.push_back(std::move(e));
    if (!take(Tok::Comma)) break;
  }
  if (!is_word("along"))
    fail(Diag::syntax, here(), fmt::format("`along` is expected, not {}", found()),
         "`scan (x in xs along T; h = ...)`: T is the dimension of xs that is gone through");
  ++at_;
  s.along = expression(h);
  while (take(Tok::Semicolon) || take(Tok::Comma)) {
    if (at_ == o.close) break;
    Scan::Entry e{name("what is carried"), nullptr};
    const bool option = is(Tok::Colon);
    if (!option && !is(Tok::Assign))
      fail(Diag::syntax, here(), fmt::format("`=` is expected, not {}", found()),
           fmt::format("`{} = ...` is the value of the first turn", e.name.text));
    ++at_;
    e.value = expression(h);
    (option ? s.options : s.carried).push_back(std::move(e));
  }
  close(o);
  brackets_ = 0;
  s.body = block("a `scan`", h);
  brackets_ = outer;
  return make(first, std::move(s), h + 1);
}

/// `if` or `elif` behind an `else`: a block of one statement.
Block Parser::else_if(int& height) {
  Parsed inner = if_expression();
  height = std::max(height, inner.height);
  Block b;
  b.span = inner.expr->span;
  Stmt s;
  s.span = b.span;
  s.node = ExprStmt{std::move(inner.expr)};
  b.stmts.push_back(std::move(s));
  return b;
}

}  // namespace dlc::parsing
