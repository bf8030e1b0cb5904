// Types, blocks and statements.
#include <map>

#include "frontend/parser/parser_impl.h"

namespace dlc::parsing {

// type: name [ "[" list( expr | "..." ) "]" ]
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

// block: "{" { statement end } "}"
Block Parser::block(const char* what, int& height) {
  if (!is(Tok::LBrace))
    fail(Diag::syntax, here(),
         fmt::format("the block of {} in braces is expected, not {}", what, found()));
  const Open o = open(what);
  return statements(o.at, o.close, height);
}

/// The statements between the brackets at tokens `open` and `end`. What a statement with a mistake
/// would have bound is bound to nothing, and reading goes on at the next statement.
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
             is(Tok::Question) || is(Tok::If)
                 ? "a choice is written `if condition { a } else { b }`"
                 : "a statement ends with its line or with `;`");
      }
      b.stmts.push_back(std::move(s));
    } catch (const Recover&) {
      nesting_ = depth;
      b.damaged = true;
      if (auto name = bound_name(first))
        b.stmts.push_back(Stmt{Assign{*name, {}, nullptr}, name->span});
      skip_statement(first, end);
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

/// From a mistake in the statement that begins at token `first` to the next line or `;` that is not
/// inside brackets.
void Parser::skip_statement(std::uint32_t first, std::uint32_t end) {
  std::uint32_t k = first;
  while (k < end) {
    const Token& t = token(k);
    const bool begins = k > first && t.newline_before && operator_of(t.kind).level == 0;
    if (k >= at_ && (t.kind == Tok::Semicolon || begins)) break;
    k = t.match != Token::kNoMatch && t.match > k ? t.match + 1 : k + 1;
  }
  at_ = std::min(k, end);
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

// declaration: ( "input" | "target" | "param" | "state" ) name ":" type [ "=" expr ]
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

// statement: declaration | name [ ":" type ] "=" expr | name "<-" expr
//          | "loss" "=" expr | "metric" name "=" expr | "output" name [ "=" expr ]
//          | "watch" path { "," path }            path: name { "." name }
//          | "for" name "in" expr block | name block (a split of data) | expr
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

}  // namespace dlc::parsing
