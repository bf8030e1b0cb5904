#pragma once
// The recursive-descent parser behind parser.h, one function per rule of the grammar
// (docs/language.md): definitions.cpp, statements.cpp (with blocks and types), expressions.cpp. The
// rule stands above its function; `end`, the end of a statement, is statement_ends(). What is said
// about mistakes, and where to go on, is in errors.cpp.
//
// A mistake is reported where it is found. When its meaning is plain, parsing goes on as if it had
// been written right; otherwise Recover is thrown to the nearest statement or definition, which
// goes on at the next one. No exception leaves these files.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "frontend/ast.h"
#include "frontend/lexer.h"
#include "ir/support/diagnostics.h"

namespace dlc::parsing {

using namespace ast;

/// Thrown after a report; caught where parsing can go on.
struct Recover {};

constexpr int kMaxHeight = 400;   // of the tree; a chain `a + a + a` is as high as it is long
constexpr int kMaxNesting = 150;  // of rules in progress; a bracket takes two or three

struct Parsed {
  ExprPtr expr;
  int height = 1;
};

struct Operator {
  const char* text;
  int level;  // binds tighter the higher
};
/// The binary operators by token; level 0 for other tokens.
Operator operator_of(Tok t);
constexpr int kPipe = 1, kNot = 4, kComparison = 5;  // levels

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
  /// Once for a definition: where one thing is too deep, its neighbours are as well.
  [[noreturn]] void too_deep(Span span) {
    if (!std::exchange(deep_, true))
      report(Diag::too_deep, span, "the nesting is too deep", "give parts of it names");
    throw Recover{};
  }
  void check_height(int height, Span span) {
    if (height > kMaxHeight) too_deep(span);
  }
  struct Nesting {
    explicit Nesting(Parser& p) : parser(p) {
      if (++p.nesting_ > kMaxNesting) {
        --p.nesting_;
        p.too_deep(p.here());
      }
    }
    ~Nesting() { --parser.nesting_; }
    Parser& parser;
  };

  /// Consumes an opening bracket; what lies inside ends at its partner.
  struct Open {
    std::uint32_t at, close;
  };
  Open open(const char* what);
  void close(const Open& o);
  /// After an item of a list: true when another one follows.
  bool separated(const Open& o);
  /// A whole list in brackets: the items with commas between them, a last comma allowed.
  template <class F>
  void in_brackets(const char* what, const F& item) {
    const Open o = open(what);
    ++brackets_;
    while (at_ < o.close) {
      item();
      if (!separated(o)) break;
    }
    --brackets_;
    close(o);
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
  /// The expression alone; `height` grows to its own where that is larger.
  ExprPtr expression(int& height);
  ExprPtr expression_or_rest(int& height);
  Parsed binary(int least);
  Parsed unary();
  Parsed postfix();
  Parsed primary();
  Parsed list();
  Parsed if_expression();
  bool begins_scan() const;
  Parsed scan();
  Block else_if(int& height);
  Parsed call(std::uint32_t first, Parsed callee);
  Parsed index(std::uint32_t first, Parsed object);
  Arg argument(bool& named, int& height);
  IndexItem index_item(int& height);
  TypeExpr type(int& height);

  // ---- Statements ----
  Block block(const char* what, int& height);
  Block statements(std::uint32_t open, std::uint32_t end, int& height);
  Stmt statement(int& height);
  std::optional<Decl> declaration(int& height);
  std::optional<Result> result(int& height);
  Stmt named(int& height);
  For for_loop(int& height);
  Watch watch();
  bool begins_yield() const;
  Yield yield(int& height);
  ExprPtr value(int& height);

  // ---- Definitions ----
  Item item();
  Callable callable(CallableKind kind, const char* what);
  std::vector<Param> parameters();
  Train train();
  std::optional<Item> broken_item(std::uint32_t first) const;
  std::string doc_at(std::uint32_t k) const;

  // ---- Mistakes ----
  std::string_view rest_of_line(std::uint32_t k) const;
  bool begins_operand(std::uint32_t k) const;
  bool begins_statement(std::uint32_t k) const;
  std::uint32_t misindented(std::uint32_t open) const;
  int indent_of(std::uint32_t k) const;
  void foreign_statement();
  void misspelt_statement();
  void nested_definition();
  void foreign_condition();
  void check_comparison(Stmt& s);
  void end_of_statement(const Stmt* s);
  [[noreturn]] void no_block(const char* what);
  [[noreturn]] void no_operand();
  [[noreturn]] void no_definition();
  void skip_indented();
  void skip_statement(std::uint32_t first, std::uint32_t end);
  void skip_item(std::uint32_t first);
  std::optional<Name> bound_name(std::uint32_t k) const;
  /// When no more mistakes are shown there is no need to find them.
  bool enough() const { return diagnostics_.size() >= Diagnostics::kLimit; }

  const Sources& sources_;
  Diagnostics& diagnostics_;
  int source_;
  const std::string& text_;
  Lexed lexed_;
  std::uint32_t at_ = 0, limit_;
  int brackets_ = 0;  // inside round or square brackets newlines mean nothing
  int nesting_ = 0;
  bool deep_ = false;           // too_deep was reported in this definition
  bool open_block_ = false;     // an unclosed `{` was
  bool without_value_ = false;  // the next block is that of a data, model or train definition
};

}  // namespace dlc::parsing
