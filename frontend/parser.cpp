// Recursive descent over the tokens, one function per rule of the grammar (docs/language.md). A
// mistake is reported where it is found and thrown to the nearest statement, which goes on at the
// next one.
#include "frontend/parser.h"

#include <algorithm>
#include <cctype>
#include <map>

#include "frontend/lexer.h"
#include "ir/support/check.h"

namespace dlc {

namespace {

using namespace ast;

/// Thrown after a report; caught where parsing can go on.
struct Recover {};

constexpr int kMaxHeight = 400;   // of the tree
constexpr int kMaxNesting = 150;  // of rules in progress

struct Parsed {
  ExprPtr expr;
  int height = 1;
};

struct Operator {
  const char* text;
  int level;  // binds tighter the higher
};
/// The binary operators by token; level 0 for other tokens.
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
constexpr int kNotLevel = 4, kComparison = 5, kRange = 6, kUnary = 9, kPower = 10;

class Parser {
 public:
  Parser(const Sources& sources, int source, Diagnostics& diagnostics)
      : sources_(sources),
        diagnostics_(diagnostics),
        source_(source),
        text_(sources.text(source)),
        lexed_(lex(sources, source, diagnostics)),
        limit_(last()) {}

  File file();
  ExprPtr only_expression();

 private:
  // ---- Tokens ----
  std::uint32_t last() const { return static_cast<std::uint32_t>(lexed_.tokens.size() - 1); }
  const Token& token(std::uint32_t k) const { return lexed_.tokens[std::min(k, last())]; }
  /// The current token; at the end of a definition there is no more.
  Tok peek(std::uint32_t ahead = 0) const {
    return at_ + ahead >= limit_ ? Tok::End : token(at_ + ahead).kind;
  }
  bool is(Tok t) const { return peek() == t; }
  std::string_view text(std::uint32_t k) const {
    const Token& t = token(k);
    return std::string_view(text_).substr(t.begin, t.end - t.begin);
  }
  bool is_word(std::string_view word, std::uint32_t ahead = 0) const {
    return peek(ahead) == Tok::Name && text(at_ + ahead) == word;
  }
  Span span_of(std::uint32_t k) const { return {source_, token(k).begin, token(k).end}; }
  /// The current token; the place after the last one at the end of a definition.
  Span here() const {
    if (at_ < limit_ || at_ == 0) return span_of(at_);
    const std::uint32_t end = token(at_ - 1).end;
    return {source_, end, end};
  }
  /// Where something should have followed the token before.
  Span after_previous() const {
    const std::uint32_t end = at_ == 0 ? 0 : token(at_ - 1).end;
    return {source_, end, end};
  }
  Span since(std::uint32_t first) const {
    return {source_, token(first).begin, at_ > first ? token(at_ - 1).end : token(first).end};
  }
  bool take(Tok t) {
    if (!is(t)) return false;
    ++at_;
    return true;
  }
  bool on_new_line() const { return brackets_ == 0 && token(at_).newline_before; }
  /// A line that begins with a minus sign close to its operand is a statement; `- x` goes on.
  bool starts_negative() const {
    return is(Tok::Minus) && on_new_line() && token(at_ + 1).begin == token(at_).end;
  }
  bool statement_ends() const {
    return peek() == Tok::End || is(Tok::RBrace) || is(Tok::Semicolon) || on_new_line();
  }
  std::string found() const {
    if (peek() == Tok::End)
      return at_ >= last() ? "the end of the file" : "the end of the definition";
    return fmt::format("`{}`", text(at_).substr(0, 40));
  }

  // ---- Reports ----
  void report(Diag kind, Span span, std::string message, std::string hint = {},
              std::vector<Label> labels = {}) {
    // What the lexer or a rule inside has reported at this place already says enough.
    for (const Diagnostic& d : diagnostics_.all())
      if (d.span.source == span.source && d.span.begin == span.begin && kind == Diag::syntax)
        return;
    diagnostics_.report({kind, span, std::move(message), std::move(labels), {}, std::move(hint)});
  }
  [[noreturn]] void fail(Diag kind, Span span, std::string message, std::string hint = {},
                         std::vector<Label> labels = {}) {
    // What the lexer has reported stands where a token was; once is enough.
    if (!(at_ < limit_ && token(at_).kind == Tok::Error))
      report(kind, span, std::move(message), std::move(hint), std::move(labels));
    throw Recover{};
  }
  void expect(Tok t, const char* what) {
    if (!take(t)) fail(Diag::syntax, here(), fmt::format("{} is expected, not {}", what, found()));
  }
  void check_height(int height, Span span) {
    if (height > kMaxHeight)
      fail(Diag::too_deep, span, "the expression is nested too deeply", "give parts of it names");
  }
  struct Nesting {
    explicit Nesting(Parser& p) : parser(p) {
      if (++p.nesting_ > kMaxNesting) {
        --p.nesting_;
        p.fail(Diag::too_deep, p.here(), "the nesting is too deep", "give parts of it names");
      }
    }
    ~Nesting() { --parser.nesting_; }
    Parser& parser;
  };

  /// Consumes an opening bracket; what lies inside ends at its partner.
  struct Open {
    std::uint32_t at, close;
  };
  Open open(const char* what) {
    const std::uint32_t at = at_++;
    if (token(at).match == Token::kNoMatch || token(at).match >= limit_)
      fail(Diag::unclosed_bracket, span_of(at),
           fmt::format("this `{}` of {} is never closed", text(at), what),
           "every bracket needs its partner inside the definition");
    return {at, token(at).match};
  }
  void close(const Open& o) {
    if (at_ != o.close)
      fail(Diag::syntax, here(),
           fmt::format("`{}` or `,` is expected, not {}", text(o.close), found()));
    ++at_;
  }

  Name name(const char* what) {
    if (!is(Tok::Name)) {
      const bool reserved = at_ < limit_ && !text(at_).empty() &&
                            std::isalpha(static_cast<unsigned char>(text(at_)[0]));
      fail(Diag::expected_name, here(),
           fmt::format("the name of {} is expected, not {}", what, found()),
           reserved ? fmt::format("`{}` is a word of the language", text(at_)) : "");
    }
    const std::uint32_t k = at_++;
    return {std::string(text(k)), span_of(k)};
  }

  // ---- Expressions ----
  Parsed make(std::uint32_t first, decltype(Expr::node) node, int height) {
    auto e = std::make_unique<Expr>();
    e->node = std::move(node);
    e->span = since(first);
    check_height(height, e->span);
    return {std::move(e), height};
  }
  Parsed expression() { return binary(1); }
  Parsed binary(int least);
  Parsed unary();
  Parsed postfix();
  Parsed primary();
  Parsed list();
  Parsed if_expression();
  Parsed call(std::uint32_t first, Parsed callee);
  Parsed index(std::uint32_t first, Parsed object);
  Arg argument(bool& named, int& height);
  IndexItem index_item(int& height);
  TypeExpr type(int& height);

  // ---- Statements ----
  Block block(const char* what, int& height);
  Block statements(std::uint32_t open, std::uint32_t end, int& height);
  Stmt statement(int& height);
  std::optional<Stmt> declaration(std::uint32_t first, int& height);
  void foreign_statement();
  void skip_statement(std::uint32_t end);
  std::optional<Name> bound_name(std::uint32_t k) const;

  // ---- Definitions ----
  Item item();
  Callable callable(CallableKind kind, const char* what);
  std::vector<Param> parameters();
  void skip_item(std::uint32_t first);
  std::optional<Item> broken_item(std::uint32_t first) const;
  std::string doc_at(std::uint32_t k) const {
    for (const Doc& d : lexed_.docs)
      if (d.token == k) return d.text;
    return {};
  }

  const Sources& sources_;
  Diagnostics& diagnostics_;
  int source_;
  const std::string& text_;
  Lexed lexed_;
  std::uint32_t at_ = 0, limit_;
  int brackets_ = 0;  // inside round or square brackets newlines mean nothing
  int nesting_ = 0;
};

// ---- Expressions ----

// or, and, |>, comparisons, range, sums, products: left to right by level.
Parsed Parser::binary(int least) {
  const Nesting nesting(*this);
  const std::uint32_t first = at_;
  Parsed left;
  if (is(Tok::Not)) {
    ++at_;
    Parsed operand = binary(kComparison);
    const int h = operand.height + 1;
    left = make(first, Unary{"not", std::move(operand.expr)}, h);
  } else {
    left = unary();
  }
  bool compared = false;
  for (;;) {
    const Operator op = operator_of(peek());
    if (op.level == 0 || op.level < least || starts_negative()) return left;
    const Span op_span = span_of(at_++);
    if (op.level == kComparison && compared)
      fail(Diag::chained_comparison, op_span, "comparisons do not chain",
           "write `a < b and b < c`");
    compared = op.level == kComparison;
    Parsed right = op.level == 1 ? postfix() : binary(op.level + 1);
    const int h = std::max(left.height, right.height) + 1;
    left = make(first, Binary{op.text, op_span, std::move(left.expr), std::move(right.expr)}, h);
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
  Parsed exponent = is(Tok::Not) ? binary(kComparison) : unary();
  const int h = std::max(base.height, exponent.height) + 1;
  return make(first, Binary{"^", op_span, std::move(base.expr), std::move(exponent.expr)}, h);
}

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

Parsed Parser::call(std::uint32_t first, Parsed callee) {
  const Open o = open("a call");
  ++brackets_;
  Call c{std::move(callee.expr), {}};
  int h = callee.height;
  bool named = false;
  while (at_ < o.close) {
    c.args.push_back(argument(named, h));
    if (!take(Tok::Comma)) break;
  }
  --brackets_;
  close(o);
  return make(first, std::move(c), h + 1);
}

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
  Parsed v = expression();
  height = std::max(height, v.height);
  a.value = std::move(v.expr);
  if (named && !a.name)
    report(Diag::positional_after_named, a.value->span,
           "an argument without a name follows one with a name", "arguments by place come first");
  return a;
}

Parsed Parser::index(std::uint32_t first, Parsed object) {
  const Open o = open("an index");
  ++brackets_;
  Index x{std::move(object.expr), {}};
  int h = object.height;
  if (at_ == o.close)
    fail(Diag::expected_expression, span_of(o.at), "an index is missing",
         "`x[0]`, `x[1:3]` or `x[..., 0]`");
  while (at_ < o.close) {
    x.items.push_back(index_item(h));
    if (!take(Tok::Comma)) break;
  }
  --brackets_;
  close(o);
  return make(first, std::move(x), h + 1);
}

IndexItem Parser::index_item(int& height) {
  IndexItem item;
  const std::uint32_t first = at_;
  const auto part = [&] {
    Parsed p = expression();
    height = std::max(height, p.height);
    return std::move(p.expr);
  };
  const auto at_end = [&] { return is(Tok::Colon) || is(Tok::Comma) || is(Tok::RBracket); };
  if (is(Tok::Ellipsis)) {
    ++at_;
    item.value = make(first, Ellipsis{}, 1).expr;
  } else {
    if (!is(Tok::Colon)) item.begin = part();
    if (take(Tok::Colon)) {
      item.is_slice = true;
      if (!at_end()) item.end = part();
      if (take(Tok::Colon) && !at_end()) item.step = part();
    } else {
      item.value = std::move(item.begin);
    }
  }
  item.span = since(first);
  return item;
}

Parsed Parser::list() {
  const std::uint32_t first = at_;
  const Open o = open("a list");
  ++brackets_;
  ListLit l;
  int h = 0;
  while (at_ < o.close) {
    if (is(Tok::Ellipsis)) {
      const std::uint32_t k = at_++;
      l.items.push_back(make(k, Ellipsis{}, 1).expr);
    } else {
      Parsed v = expression();
      h = std::max(h, v.height);
      l.items.push_back(std::move(v.expr));
    }
    if (!take(Tok::Comma)) break;
  }
  --brackets_;
  close(o);
  return make(first, std::move(l), h + 1);
}

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
      fail(Diag::expected_expression, here(), fmt::format("a value is expected, not {}", found()),
           is(Tok::Assign) ? "`==` compares" : "");
  }
}

// if condition { } [ else if ... | else { } ]
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
  if (is(Tok::Colon))
    fail(Diag::syntax, here(), "blocks are in braces", "`if condition { ... } else { ... }`");
  IfExpr e;
  e.cond = std::move(cond.expr);
  e.then_block = block("an `if`", h);
  const std::uint32_t before = at_;
  while (is(Tok::Semicolon)) ++at_;
  if (!is(Tok::Else)) {
    at_ = before;
  } else {
    ++at_;
    if (is(Tok::If)) {
      const std::uint32_t inner_first = at_;
      Parsed inner = if_expression();
      h = std::max(h, inner.height);
      Block b;
      b.span = inner.expr->span;
      Stmt s;
      s.span = since(inner_first);
      s.node = ExprStmt{std::move(inner.expr)};
      b.stmts.push_back(std::move(s));
      e.else_block = std::move(b);
    } else {
      e.else_block = block("an `else`", h);
    }
  }
  brackets_ = outer;
  return make(first, std::move(e), h + 1);
}

// type: element [ "[" dimension, ... "]" ]
TypeExpr Parser::type(int& height) {
  TypeExpr t;
  const std::uint32_t first = at_;
  const Name element = name("an element type");
  t.element_span = element.span;
  t.element = parse_element_type(element.text);
  if (t.element == ElementType::BF16 || t.element == ElementType::F16) {
    report(Diag::unsupported, element.span, fmt::format("`{}` is not supported yet", element.text),
           "use f32");
    t.element.reset();
  } else if (!t.element) {
    static const std::map<std::string, std::string> foreign = {
        {"float", "f32"}, {"float32", "f32"}, {"double", "f64"},  {"float64", "f64"},
        {"int", "i32"},   {"int32", "i32"},   {"int64", "i64"},   {"long", "i64"},
        {"uint8", "u8"},  {"byte", "u8"},     {"boolean", "bool"}};
    const auto at = foreign.find(element.text);
    const std::string near =
        at != foreign.end() ? at->second
                            : nearest(element.text, {"f32", "f64", "i32", "i64", "u8", "bool"});
    report(Diag::unknown_type, element.span, fmt::format("`{}` is no element type", element.text),
           near.empty() ? "the element types are f32 f64 i32 i64 u8 bool"
                        : fmt::format("did you mean `{}`?", near));
  }
  if (is(Tok::LParen) && !on_new_line())
    fail(Diag::syntax, here(), "the dimensions of a type are in square brackets",
         fmt::format("write `{}[...]`", element.text));
  if (is(Tok::LBracket) && !on_new_line()) {
    const Open o = open("a type");
    ++brackets_;
    while (at_ < o.close) {
      if (is(Tok::Ellipsis)) {
        const std::uint32_t k = at_++;
        t.dims.push_back(make(k, Ellipsis{}, 1).expr);
      } else {
        Parsed d = expression();
        height = std::max(height, d.height);
        t.dims.push_back(std::move(d.expr));
      }
      if (!take(Tok::Comma)) break;
    }
    --brackets_;
    close(o);
  }
  t.span = since(first);
  return t;
}

// ---- Statements ----

Block Parser::block(const char* what, int& height) {
  if (!is(Tok::LBrace))
    fail(Diag::syntax, here(),
         fmt::format("the block of {} in braces is expected, not {}", what, found()));
  const Open o = open(what);
  return statements(o.at, o.close, height);
}

Block Parser::statements(std::uint32_t open, std::uint32_t end, int& height) {
  const Nesting nesting(*this);
  Block b;
  const int outer = brackets_;
  const std::uint32_t outer_limit = limit_;
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
      if (!statement_ends()) {
        if (is(Tok::Assign))
          fail(Diag::bad_assignment, here(), "only a name can be bound with `=`",
               "elements cannot be assigned: make a new value, for instance with `where` or "
               "`concat`");
        fail(Diag::syntax, here(), fmt::format("the end of the line is expected, not {}", found()),
             "a statement ends with its line or with `;`");
      }
      b.stmts.push_back(std::move(s));
    } catch (const Recover&) {
      nesting_ = depth;
      b.damaged = true;
      if (auto name = bound_name(first))
        b.stmts.push_back(Stmt{Assign{*name, {}, nullptr}, name->span});
      skip_statement(end);
    }
  }
  limit_ = outer_limit;
  brackets_ = outer;
  at_ = end + 1;
  b.span = {source_, token(open).begin, token(end).end};
  return b;
}

/// The name that a statement with a mistake would have bound: later uses are not mistakes as well.
std::optional<Name> Parser::bound_name(std::uint32_t k) const {
  const auto word = [&](std::uint32_t at) { return token(at).kind == Tok::Name; };
  const auto binds = [&](std::uint32_t at) {
    const Tok t = token(at).kind;
    return t == Tok::Assign || t == Tok::Colon || t == Tok::Update;
  };
  if (word(k) && word(k + 1) && !token(k + 1).newline_before)
    ++k;  // param w ..., metric m ..., let x ...
  if (!word(k) || !binds(k + 1)) return std::nullopt;
  return Name{std::string(text(k)), span_of(k)};
}

/// Goes on at the next line or `;` that is not inside brackets.
void Parser::skip_statement(std::uint32_t end) {
  bool first = true;
  while (at_ < end) {
    const Token& t = token(at_);
    if (t.kind == Tok::Semicolon || (!first && t.newline_before && operator_of(t.kind).level == 0))
      return;
    first = false;
    at_ = t.match != Token::kNoMatch && t.match > at_ ? t.match + 1 : at_ + 1;
  }
  at_ = end;
}

/// Statements of other languages, with what to write instead.
void Parser::foreign_statement() {
  if (!is(Tok::Name) || peek(1) == Tok::Assign || peek(1) == Tok::Update || peek(1) == Tok::Colon)
    return;
  static const std::map<std::string_view, const char*> foreign = {
      {"return", "the last line of a block is its value"},
      {"let", "a name is bound by `x = ...` alone"},
      {"var", "a name is bound by `x = ...` alone"},
      {"while", "loops are static: `for i in 0..n { }`"},
      {"def", "functions are defined by `fn f(x) = ...`"},
      {"class", "layers own parameters: `layer name(settings)(x) { ... }`"},
      {"print", "`watch x` shows a value in every step"},
      {"yield", "the last line of a block is its value"},
      {"scan", "loops over a run-time length are not supported yet"}};
  const auto at = foreign.find(text(at_));
  if (at == foreign.end()) return;
  if (peek(1) == Tok::LParen && text(at_) != "print") return;  // a function of the user's
  const std::string message = fmt::format("`{}` is not a statement of this language", text(at_));
  // After some of them the rest of the line means what it seems to.
  const bool goes_on = text(at_) == "return" || text(at_) == "let" || text(at_) == "var";
  if (!goes_on || token(at_ + 1).newline_before)
    fail(Diag::foreign_keyword, span_of(at_), message, at->second);
  report(Diag::foreign_keyword, span_of(at_), message, at->second);
  ++at_;
}

std::optional<Stmt> Parser::declaration(std::uint32_t first, int& height) {
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
  ++at_;
  Decl d{kind->second, name("the declared value"), {}, nullptr};
  if (take(Tok::Colon)) d.type = type(height);
  if (take(Tok::Assign)) {
    Parsed v = expression();
    height = std::max(height, v.height);
    d.init = std::move(v.expr);
  }
  Stmt s;
  s.node = std::move(d);
  s.span = since(first);
  return s;
}

Stmt Parser::statement(int& height) {
  const std::uint32_t first = at_;
  foreign_statement();
  if (auto d = declaration(first, height)) return std::move(*d);
  Stmt s;
  const auto value = [&] {
    if (statement_ends())
      fail(Diag::missing_value, after_previous(), "a value is missing",
           "the value follows on the same line");
    Parsed v = expression();
    height = std::max(height, v.height);
    return std::move(v.expr);
  };
  const bool named_next = peek(1) == Tok::Name && !token(at_ + 1).newline_before;
  if (is_word("loss") && peek(1) == Tok::Assign) {
    Name n = name("the loss");
    ++at_;
    s.node = Result{ResultKind::Loss, std::move(n), value()};
  } else if ((is_word("metric") || is_word("output")) && named_next) {
    const bool metric = is_word("metric");
    ++at_;
    Name n = name(metric ? "the metric" : "the output");
    Result r{metric ? ResultKind::Metric : ResultKind::Output, std::move(n), nullptr};
    if (take(Tok::Assign))
      r.value = value();
    else if (metric)
      fail(Diag::missing_value, after_previous(), "the value of the metric is missing",
           "`metric name = ...`");
    s.node = std::move(r);
  } else if (is_word("watch") && named_next) {
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
    s.node = std::move(w);
  } else if (take(Tok::For)) {
    For f;
    f.variable = name("the loop variable");
    if (!take(Tok::In))
      fail(Diag::syntax, here(), fmt::format("`in` is expected, not {}", found()),
           "`for i in 0..4 { }`");
    f.iterable = value();
    if (is(Tok::Colon))
      fail(Diag::syntax, here(), "blocks are in braces", "`for i in 0..4 { ... }`");
    f.body = block("a `for`", height);
    ++height;
    s.node = std::move(f);
  } else if (is(Tok::Name) && peek(1) == Tok::LBrace && !token(at_ + 1).newline_before) {
    Name n = name("a split");
    Split split{std::move(n), block("a split", height)};
    ++height;
    s.node = std::move(split);
  } else if (is(Tok::Name) && peek(1) == Tok::Assign) {
    Name n = name("a value");
    ++at_;
    s.node = Assign{std::move(n), {}, value()};
  } else if (is(Tok::Name) && peek(1) == Tok::Update) {
    Name n = name("a state");
    ++at_;
    s.node = Update{std::move(n), value()};
  } else if (is(Tok::Name) && peek(1) == Tok::Colon) {
    Name n = name("a value");
    ++at_;
    TypeExpr t = type(height);
    if (!take(Tok::Assign))
      fail(Diag::missing_value, after_previous(),
           fmt::format("the value of `{}` is missing", n.text),
           fmt::format("for instance `{}: {} = normal()`", n.text, sources_.text(t.span)));
    s.node = Assign{std::move(n), std::move(t), value()};
  } else {
    Parsed v = expression();
    height = std::max(height, v.height);
    s.node = ExprStmt{std::move(v.expr)};
  }
  s.span = since(first);
  return s;
}

// ---- Definitions ----

std::vector<Param> Parser::parameters() {
  std::vector<Param> params;
  if (!is(Tok::LParen))
    fail(Diag::syntax, here(), fmt::format("a list of parameters is expected, not {}", found()),
         "`(x, axis = 1)`");
  const Open o = open("a list of parameters");
  ++brackets_;
  int h = 0;
  while (at_ < o.close) {
    Param p;
    p.name = name("a parameter");
    for (const Param& other : params)
      if (other.name.text == p.name.text)
        report(Diag::duplicate_parameter, p.name.span,
               fmt::format("the parameter `{}` is named twice", p.name.text));
    if (take(Tok::Colon)) p.type = type(h);
    if (take(Tok::Assign)) p.default_value = expression().expr;
    params.push_back(std::move(p));
    if (!take(Tok::Comma)) break;
  }
  --brackets_;
  close(o);
  return params;
}

Callable Parser::callable(CallableKind kind, const char* what) {
  Callable c;
  c.kind = kind;
  c.name = name(what);
  c.tensors = parameters();
  if (is(Tok::LParen)) {
    c.has_config = true;
    c.config = std::move(c.tensors);
    c.tensors = parameters();
  }
  int h = 0;
  if (take(Tok::Arrow)) c.result = type(h);
  if (is(Tok::Assign)) {
    ++at_;
    const std::uint32_t first = at_;
    Parsed v = expression();
    Stmt s;
    s.span = since(first);
    c.body.span = s.span;
    s.node = ExprStmt{std::move(v.expr)};
    c.body.stmts.push_back(std::move(s));
  } else {
    c.body = block(what, h);
  }
  return c;
}

Item Parser::item() {
  const std::uint32_t first = at_;
  Item i;
  const std::string doc = doc_at(first);
  int h = 0;
  if (take(Tok::Import)) {
    if (!is(Tok::String))
      fail(Diag::syntax, here(),
           fmt::format("the path of a file in quotes is expected, not {}", found()),
           "`import \"data.dl\"`");
    const std::uint32_t k = at_++;
    i.node = Import{string_value(text(k)), span_of(k)};
  } else if (take(Tok::Const)) {
    Name n = name("a const");
    if (!take(Tok::Assign))
      fail(Diag::missing_value, after_previous(),
           fmt::format("the value of the const `{}` is missing", n.text),
           fmt::format("`const {} = ...`", n.text));
    i.node = Const{std::move(n), expression().expr, doc};
  } else if (take(Tok::Fn)) {
    Callable c = callable(CallableKind::Fn, "a function");
    c.doc = doc;
    i.node = std::move(c);
  } else if (is_word("layer") || is_word("optimizer")) {
    const bool layer = is_word("layer");
    ++at_;
    Callable c = callable(layer ? CallableKind::Layer : CallableKind::Optimizer,
                          layer ? "a layer" : "an optimizer");
    c.doc = doc;
    i.node = std::move(c);
  } else if (is_word("data")) {
    ++at_;
    Name n = name("a data block");
    Block b = block("a data block", h);
    i.node = Data{std::move(n), std::move(b), doc};
  } else if (is_word("model")) {
    ++at_;
    Model m;
    m.name = name("a model");
    if (is(Tok::LParen)) m.config = parameters();
    m.body = block("a model", h);
    m.doc = doc;
    i.node = std::move(m);
  } else if (is_word("train")) {
    ++at_;
    Train t;
    t.model = name("the model to train");
    if (is_word("on")) {
      ++at_;
      t.data = name("the data");
    }
    t.body = block("a train block", h);
    t.doc = doc;
    i.node = std::move(t);
  } else {
    foreign_statement();
    const std::string word(text(at_));
    const std::string near = is(Tok::Name) ? nearest(word, {"import", "const", "fn", "layer",
                                                            "optimizer", "data", "model", "train"})
                                           : "";
    fail(Diag::unknown_definition, here(), fmt::format("a definition is expected, not {}", found()),
         near.empty() ? "at the top of a file stand import, const, fn, layer, optimizer, data, "
                        "model and train"
                      : fmt::format("did you mean `{}`?", near));
  }
  if (!take(Tok::Semicolon) && peek() != Tok::End && !token(at_).newline_before)
    fail(Diag::syntax, here(), fmt::format("the end of the line is expected, not {}", found()));
  i.span = since(first);
  return i;
}

/// A definition with a mistake still defines its name.
std::optional<Item> Parser::broken_item(std::uint32_t first) const {
  const bool named = token(first + 1).kind == Tok::Name;
  if (!named || (token(first).kind != Tok::Name && token(first).kind != Tok::Fn &&
                 token(first).kind != Tok::Const))
    return std::nullopt;
  const Name name{std::string(text(first + 1)), span_of(first + 1)};
  Item i;
  i.span = name.span;
  const std::string_view word = text(first);
  if (word == "model" || word == "data") {
    Block b;
    b.span = name.span;
    b.damaged = true;
    if (word == "model")
      i.node = Model{name, {}, std::move(b), {}};
    else
      i.node = Data{name, std::move(b), {}};
  } else if (word == "fn" || word == "const" || word == "layer" || word == "optimizer") {
    i.node = Const{name, nullptr, {}};
  } else {
    return std::nullopt;
  }
  return i;
}

void Parser::skip_item(std::uint32_t first) {
  const auto next = std::upper_bound(lexed_.starts.begin(), lexed_.starts.end(),
                                     std::max(first, at_ > first ? at_ - 1 : first));
  at_ = next == lexed_.starts.end() ? last() : *next;
}

File Parser::file() {
  File f;
  f.source = source_;
  while (at_ < last()) {
    if (token(at_).kind == Tok::Semicolon) {
      ++at_;
      continue;
    }
    const std::uint32_t first = at_;
    try {
      brackets_ = nesting_ = 0;
      const auto next = std::upper_bound(lexed_.starts.begin(), lexed_.starts.end(), first);
      limit_ = next == lexed_.starts.end() ? last() : *next;
      f.items.push_back(item());
    } catch (const Recover&) {
      if (auto placeholder = broken_item(first)) f.items.push_back(std::move(*placeholder));
      skip_item(first);
    }
  }
  return f;
}

ExprPtr Parser::only_expression() {
  try {
    brackets_ = 1;
    Parsed e = expression();
    if (peek() != Tok::End)
      fail(Diag::syntax, here(), fmt::format("one value is expected, not {} after it", found()));
    return std::move(e.expr);
  } catch (const Recover&) {
    return nullptr;
  }
}

}  // namespace

ast::File parse(const Sources& sources, int source, Diagnostics& diagnostics) {
  return Parser(sources, source, diagnostics).file();
}

ast::ExprPtr parse_expression(const Sources& sources, int source, Diagnostics& diagnostics) {
  const std::size_t before = diagnostics.size();
  ast::ExprPtr e = Parser(sources, source, diagnostics).only_expression();
  return diagnostics.size() == before ? std::move(e) : nullptr;
}

}  // namespace dlc
