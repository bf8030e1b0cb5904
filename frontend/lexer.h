#pragma once
// Text to tokens. Reports every lexical mistake and still hands the parser a usable token in its
// place (`**` becomes `^`), so that one mistake gives one message. Newlines are flags on tokens:
// only the parser knows where they end a statement.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/support/diagnostics.h"

namespace dlc {

/// Only the words that an expression or every statement may meet are reserved; `model`, `param`,
/// `loss` and the like are names that the parser knows by their place.
enum class Tok : std::uint8_t {
  End,
  Error,  // already reported; stands where a token was
  Name,
  Int,
  Float,
  String,
  // Reserved words.
  And,
  Const,
  Else,
  False,
  Fn,
  For,
  If,
  Import,
  In,
  Not,
  Or,
  True,
  // Punctuation.
  LParen,
  RParen,
  LBracket,
  RBracket,
  LBrace,
  RBrace,
  Comma,
  Colon,
  Semicolon,
  Dot,
  Ellipsis,  // ...
  Assign,    // =
  Update,    // <-
  Arrow,     // ->
  Question,  // in no rule: kept for the message
  // Binary operators.
  Pipe,  // |>
  Equal,
  NotEqual,
  Less,
  LessEqual,
  Greater,
  GreaterEqual,
  Range,  // ..
  Plus,
  Minus,
  Star,
  Slash,
  SlashSlash,
  Percent,
  At,
  Caret,
};

struct Token {
  static constexpr std::uint32_t kNoMatch = 0xFFFFFFFF;

  Tok kind = Tok::End;
  bool newline_before = false;  // the first token of its line
  bool at_margin = false;       // and not indented
  std::uint32_t begin = 0, end = 0;
  std::uint32_t match = kNoMatch;  // a bracket's partner; kNoMatch where it has none
};

struct Doc {
  std::uint32_t token;  // the token that the `##` lines stand above
  std::string text;
};

struct Lexed {
  std::vector<Token> tokens;  // the last is End
  std::vector<Doc> docs;      // in order of tokens
  /// Tokens that begin a definition at the margin. Brackets never match across one, so that a
  /// missing closer spoils no more than its own definition.
  std::vector<std::uint32_t> starts;
  int errors = 0;
};

/// Texts longer than this are refused.
inline constexpr std::size_t kMaxSourceBytes = std::size_t{16} << 20;

Lexed lex(const Sources& sources, int source, Diagnostics& diagnostics);

/// Values of literal tokens; what the lexer reported as malformed gives a zero or what is readable.
std::int64_t int_value(std::string_view text);
double float_value(std::string_view text);
std::string string_value(std::string_view text);

/// `layer`, `optimizer`, `data`, `model`, `train`: not reserved, but definitions begin with them.
bool is_definition_word(std::string_view text);

}  // namespace dlc
