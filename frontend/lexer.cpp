// Grammar of the tokens:
//
//   name    = (letter | "_") { letter | digit | "_" }
//   int     = digit { ["_"] digit }
//   float   = int "." int [exponent] | int exponent         exponent = ("e" | "E") ["+" | "-"] int
//   string  = '"' { character | "\n" | "\t" | "\"" | "\\" } '"'          on one line
//   comment = "#" to the end of the line; lines of "##" document the definition below them
#include "frontend/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <utility>

namespace dlc {

namespace {

bool is_letter(char ch) { return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z'); }
bool is_digit(char ch) { return ch >= '0' && ch <= '9'; }
bool is_name_char(char ch) { return is_letter(ch) || is_digit(ch) || ch == '_'; }
bool is_wide(char ch) { return static_cast<unsigned char>(ch) >= 0x80; }

/// Bytes of the well-formed UTF-8 sequence at the start of `s` (not empty); 0 when malformed.
std::size_t utf8_length(std::string_view s) {
  const auto byte = [&](std::size_t k) { return static_cast<unsigned char>(s[k]); };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t n = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || s.size() < n) return 0;
  for (std::size_t k = 1; k < n; ++k)
    if ((byte(k) & 0xC0) != 0x80) return 0;
  // Overlong forms, surrogates, and code points past U+10FFFF.
  if ((first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) > 0x9F) ||
      (first == 0xF0 && byte(1) < 0x90) || (first == 0xF4 && byte(1) > 0x8F))
    return 0;
  return n;
}

struct Spelling {
  std::string_view text;
  Tok kind;
};
constexpr Spelling kReserved[] = {
    {"and", Tok::And},       {"const", Tok::Const}, {"else", Tok::Else}, {"false", Tok::False},
    {"fn", Tok::Fn},         {"for", Tok::For},     {"if", Tok::If},     {"in", Tok::In},
    {"import", Tok::Import}, {"not", Tok::Not},     {"or", Tok::Or},     {"true", Tok::True},
};
// Longest first where one begins another.
constexpr Spelling kPunctuation[] = {
    {"...", Tok::Ellipsis}, {"..", Tok::Range},    {"|>", Tok::Pipe},
    {"==", Tok::Equal},     {"!=", Tok::NotEqual}, {"<=", Tok::LessEqual},
    {"<-", Tok::Update},    {"<", Tok::Less},      {">=", Tok::GreaterEqual},
    {">", Tok::Greater},    {"->", Tok::Arrow},    {"//", Tok::SlashSlash},
    {"=", Tok::Assign},     {"+", Tok::Plus},      {"-", Tok::Minus},
    {"*", Tok::Star},       {"/", Tok::Slash},     {"%", Tok::Percent},
    {"@", Tok::At},         {"^", Tok::Caret},     {"(", Tok::LParen},
    {")", Tok::RParen},     {"[", Tok::LBracket},  {"]", Tok::RBracket},
    {"{", Tok::LBrace},     {"}", Tok::RBrace},    {",", Tok::Comma},
    {":", Tok::Colon},      {";", Tok::Semicolon}, {".", Tok::Dot},
    {"?", Tok::Question},
};
/// Operators of other languages, and the token that stands for them here.
struct Foreign {
  std::string_view text;
  Tok kind;
  std::string_view instead;
};
constexpr Foreign kForeign[] = {
    {"**=", Tok::Assign, ""},
    {"===", Tok::Equal, "write `==`"},
    {"!==", Tok::NotEqual, "write `!=`"},
    {"**", Tok::Caret, "a power is written `^`"},
    {"&&", Tok::And, "write `and`"},
    {"||", Tok::Or, "write `or`"},
    {"<>", Tok::NotEqual, "write `!=`"},
    {":=", Tok::Assign, "write `=`"},
    {"=>", Tok::Assign, "write `=`"},
    {"<<", Tok::Error, "a power of two is written `2 ^ n`"},
    {">>", Tok::Error, "integer division by a power of two is written `x // 2 ^ n`"},
    {"+=", Tok::Assign, ""},
    {"-=", Tok::Assign, ""},
    {"*=", Tok::Assign, ""},
    {"/=", Tok::Assign, ""},
    {"%=", Tok::Assign, ""},
    {"@=", Tok::Assign, ""},
    {"^=", Tok::Assign, ""},
    {"!", Tok::Not, "write `not`"},
    {"~", Tok::Not, "write `not`"},
    {"&", Tok::And, "write `and`"},
    {"|", Tok::Or, "write `or`; a value is passed on with `|>`"},
};
/// Characters that editors and web pages put in place of ASCII ones.
constexpr Foreign kLookalikes[] = {
    {"\u00D7", Tok::Star, "*"},          {"\u00B7", Tok::Star, "*"},
    {"\u22C5", Tok::Star, "*"},          {"\u2212", Tok::Minus, "-"},
    {"\u2013", Tok::Minus, "-"},         {"\u2014", Tok::Minus, "-"},
    {"\u00F7", Tok::Slash, "/"},         {"\u2264", Tok::LessEqual, "<="},
    {"\u2265", Tok::GreaterEqual, ">="}, {"\u2260", Tok::NotEqual, "!="},
    {"\u2190", Tok::Update, "<-"},       {"\u2192", Tok::Arrow, "->"},
    {"\u2026", Tok::Ellipsis, "..."},    {"\u2018", Tok::Error, "\""},
    {"\u2019", Tok::Error, "\""},        {"\u201C", Tok::Error, "\""},
    {"\u201D", Tok::Error, "\""},        {"\uFF08", Tok::LParen, "("},
    {"\uFF09", Tok::RParen, ")"},        {"\uFF0C", Tok::Comma, ","},
    {"\uFF1A", Tok::Colon, ":"},         {"\u00A0", Tok::End, " "},
};

/// The value of a literal, `_` marks left out; nullopt when it is out of range.
template <typename T>
std::optional<T> parse_number(std::string_view text) {
  std::string s(text);
  std::erase(s, '_');
  T value{};
  const auto [rest, code] = std::from_chars(s.data(), s.data() + s.size(), value);
  if (code != std::errc()) return std::nullopt;
  return value;
}

class Lexer {
 public:
  Lexer(std::string_view text, int source, Diagnostics& diagnostics)
      : text_(text), source_(source), diagnostics_(diagnostics) {}

  Lexed run() {
    if (text_.substr(0, 3) == "\xEF\xBB\xBF") at_ = line_start_ = 3;  // byte order mark
    if (is_text()) {
      while (skip_blanks()) token();
    } else {
      at_ = text_.size();
    }
    line_first_ = true;
    push(Tok::End, at_);
    match_brackets();
    out_.errors = errors_;
    return std::move(out_);
  }

 private:
  void error(Diag kind, std::size_t begin, std::size_t end, std::string message,
             std::string hint = {}) {
    ++errors_;
    diagnostics_.report(
        {kind,
         {source_, static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end)},
         std::move(message),
         {},
         {},
         std::move(hint)});
  }
  char peek(std::size_t k = 0) const { return at_ + k < text_.size() ? text_[at_ + k] : '\0'; }
  bool starts_with(std::string_view s) const { return text_.substr(at_, s.size()) == s; }
  std::size_t line_end() const { return std::min(text_.find_first_of("\r\n", at_), text_.size()); }
  std::string_view since(std::size_t begin) const { return text_.substr(begin, at_ - begin); }

  void push(Tok kind, std::size_t begin) {
    if (line_first_ && !doc_.empty()) {
      if (doc_line_ + 1 >= line_)
        out_.docs.push_back({static_cast<std::uint32_t>(out_.tokens.size()), doc_});
      doc_.clear();
    }
    out_.tokens.push_back({kind, line_first_, line_first_ && begin == line_start_,
                           static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(at_)});
    line_first_ = false;
  }

  /// A NUL byte means that this is no text at all: nothing more is said about it. Other malformed
  /// bytes are reported once and read as blanks.
  bool is_text() {
    if (text_.size() > kMaxSourceBytes) {
      error(Diag::too_large, 0, 1,
            fmt::format("the file has {} bytes, more than {}", text_.size(), kMaxSourceBytes));
      return false;
    }
    if (const std::size_t nul = text_.find('\0'); nul != text_.npos) {
      error(Diag::bad_character, nul, nul + 1,
            "the file holds a NUL byte, so it is not a text file",
            "model files are plain text in UTF-8");
      return false;
    }
    return true;
  }
  void malformed_byte() {
    if (!std::exchange(malformed_, true))
      error(Diag::invalid_utf8, at_, at_ + 1, "the file is not valid UTF-8 here",
            "save the file in the encoding UTF-8");
    ++at_;
  }

  /// To the next token; false at the end of the text.
  bool skip_blanks() {
    while (at_ < text_.size()) {
      const char ch = text_[at_];
      if (ch == '\n' || ch == '\r') {
        at_ += ch == '\r' && peek(1) == '\n' ? 2 : 1;
        line_first_ = true;
        line_start_ = at_;
        ++line_;
      } else if (ch == ' ' || ch == '\t') {
        ++at_;
      } else if (ch == '#') {
        comment();
      } else if (ch == '/' && (peek(1) == '*' || (peek(1) == '/' && line_first_))) {
        foreign_comment();
      } else {
        return true;
      }
    }
    return false;
  }
  void comment() {
    const std::size_t begin = at_;
    const std::size_t end = line_end();
    const bool is_doc = line_first_ && peek(1) == '#';
    while (at_ < end) {
      if (const std::size_t n = is_wide(peek()) ? utf8_length(text_.substr(at_)) : 1)
        at_ += n;
      else
        malformed_byte();
    }
    if (!is_doc) return;
    std::string_view line = text_.substr(begin + 2, end - begin - 2);
    if (!line.empty() && line[0] == ' ') line.remove_prefix(1);
    if (!doc_.empty() && doc_line_ + 1 == line_)
      doc_ += '\n';
    else
      doc_.clear();
    doc_ += line;
    doc_line_ = line_;
  }
  // `//` is integer division, but no line that begins with it is meant as that.
  void foreign_comment() {
    const std::size_t begin = at_;
    const std::size_t close = peek(1) == '*' ? text_.find("*/", at_ + 2) : text_.npos;
    error(Diag::foreign_comment, begin, begin + 2,
          fmt::format("`{}` does not begin a comment", text_.substr(begin, 2)),
          "comments begin with `#`");
    if (close == text_.npos) {
      at_ = line_end();
      return;
    }
    for (std::size_t k = begin; k < close; ++k)
      if (text_[k] == '\n') {
        ++line_;
        line_first_ = true;
      }
    at_ = close + 2;
  }

  void token() {
    const char ch = peek();
    if (is_letter(ch) || ch == '_') return word();
    if (is_digit(ch) || (ch == '.' && is_digit(peek(1)) && !follows_value())) return number();
    if (ch == '"') return string();
    if (ch == '\'') return single_quotes();
    if (is_wide(ch)) return wide();
    if (foreign_operator()) return;
    for (const Spelling& s : kPunctuation)
      if (starts_with(s.text)) {
        const std::size_t begin = at_;
        at_ += s.text.size();
        return push(s.kind, begin);
      }
    const std::size_t begin = at_++;
    if (static_cast<unsigned char>(ch) < 0x20 || ch == 0x7F) {
      error(Diag::bad_character, begin, at_,
            fmt::format("control character 0x{:02X} in the text", static_cast<unsigned char>(ch)),
            "remove it; it was probably pasted along with the text");
    } else if (ch == '\\') {
      error(Diag::bad_character, begin, at_, "`\\` has no meaning here",
            "an expression goes on inside parentheses, and where the next line begins with an "
            "operator");
    } else {
      error(Diag::bad_character, begin, at_, fmt::format("unexpected character `{}`", ch),
            "remove it");
    }
  }

  /// `x.5` would be a member, `a[0].5` too; everywhere else `.5` is meant as a number.
  bool follows_value() const {
    if (out_.tokens.empty() || out_.tokens.back().end != at_) return false;
    const Tok k = out_.tokens.back().kind;
    return k == Tok::Name || k == Tok::RParen || k == Tok::RBracket || k == Tok::Int;
  }

  void word() {
    const std::size_t begin = at_;
    bool plain = true;
    while (at_ < text_.size() && (is_name_char(peek()) || is_letter_like())) {
      plain = plain && !is_wide(peek());
      at_ += is_wide(peek()) ? utf8_length(text_.substr(at_)) : 1;
    }
    const std::string_view text = since(begin);
    if (!plain)
      error(Diag::bad_character, begin, at_,
            fmt::format("the name `{}` has a character outside a-z, A-Z, 0-9 and `_`", text),
            "spell it out: `beta` for the Greek letter");
    for (const Spelling& s : kReserved)
      if (s.text == text) return push(s.kind, begin);
    push(plain ? Tok::Name : Tok::Error, begin);
  }
  /// A well-formed character outside ASCII that is no lookalike of punctuation.
  bool is_letter_like() const {
    if (!is_wide(peek()) || utf8_length(text_.substr(at_)) == 0) return false;
    return std::none_of(std::begin(kLookalikes), std::end(kLookalikes),
                        [&](const Foreign& f) { return starts_with(f.text); });
  }
  void wide() {
    if (utf8_length(text_.substr(at_)) == 0) return malformed_byte();
    for (const Foreign& f : kLookalikes) {
      if (!starts_with(f.text)) continue;
      const std::size_t begin = at_;
      at_ += f.text.size();
      error(Diag::bad_character, begin, at_,
            f.kind == Tok::End ? "this blank is not a plain space"
                               : fmt::format("unexpected character `{}`", f.text),
            f.kind == Tok::End ? "replace it by a space"
                               : fmt::format("write the plain `{}`", f.instead));
      if (f.kind != Tok::End) push(f.kind, begin);
      return;
    }
    word();
  }

  /// Digits with single `_` between them; false when a `_` is misplaced.
  bool digits() {
    bool good = is_digit(peek());
    while (is_digit(peek()) || peek() == '_') {
      if (peek() == '_' && !is_digit(peek(1))) good = false;
      ++at_;
    }
    return good;
  }
  void number() {
    const std::size_t begin = at_;
    bool good = true, is_float = false;
    std::string hint;
    if (peek() != '.') good = digits();
    if (peek() == '.' && peek(1) != '.' && !is_letter(peek(1)) && peek(1) != '_') {
      is_float = true;
      ++at_;
      if (since(begin) == ".") {
        good = false;
        hint = fmt::format("write `0.{}`",
                           text_.substr(at_, text_.find_first_not_of("0123456789", at_) - at_));
      } else if (!is_digit(peek())) {
        good = false;
        hint = fmt::format("write `{}0`", since(begin));
      }
      if (is_digit(peek()) && !digits()) good = false;
    }
    const bool exponent = (peek() == 'e' || peek() == 'E') && at_ > begin;
    if (exponent &&
        (is_digit(peek(1)) || ((peek(1) == '+' || peek(1) == '-') && is_digit(peek(2))))) {
      is_float = true;
      at_ += is_digit(peek(1)) ? 1 : 2;
      if (!digits()) good = false;
    }
    if (is_name_char(peek())) {
      const std::string value(since(begin));
      const std::size_t tail = at_;
      while (is_name_char(peek())) ++at_;
      good = false;
      if (value == "0" && (text_[tail] == 'x' || text_[tail] == 'b' || text_[tail] == 'o'))
        hint = "integers are written in decimal";
      else if (exponent)
        hint = "an exponent needs digits: `1e-5`";
      else if (at_ == tail + 1 && (text_[tail] == 'f' || text_[tail] == 'F' || text_[tail] == 'L'))
        hint = fmt::format("numbers have no suffix: write `{}`", value);
      else
        hint = fmt::format("a name cannot begin with a digit; for a product write `{} * {}`", value,
                           since(tail));
    }
    const std::string_view text = since(begin);
    if (!good) {
      error(Diag::bad_number, begin, at_, fmt::format("malformed number `{}`", text),
            hint.empty() ? "a single `_` may stand between digits: `60_000`" : hint);
    } else if (is_float ? !parse_number<double>(text) : !parse_number<std::int64_t>(text)) {
      error(is_float ? Diag::bad_number : Diag::integer_too_large, begin, at_,
            is_float ? fmt::format("`{}` is outside the range of f64", text)
                     : fmt::format("the integer `{}` does not fit into 64 bits", text),
            is_float ? ""
                     : fmt::format("the largest is 9223372036854775807; a larger number must be "
                                   "a float: `{}.0`",
                                   text));
    }
    push(is_float ? Tok::Float : Tok::Int, begin);
  }
  void string() {
    if (starts_with("\"\"\"")) return triple_quotes();
    const std::size_t begin = at_++;
    const std::size_t end = line_end();
    while (at_ < end && peek() != '"') {
      if (peek() == '\\') {
        escape(end);
      } else if (is_wide(peek()) && utf8_length(text_.substr(at_)) == 0) {
        malformed_byte();
      } else {
        ++at_;
        while (at_ < end && is_wide(peek()) && (static_cast<unsigned char>(peek()) & 0xC0) == 0x80)
          ++at_;
      }
    }
    if (at_ < end) {
      ++at_;
      return push(Tok::String, begin);
    }
    error(Diag::unterminated_string, begin, begin + 1, "the string is never closed",
          "add `\"` at its end; a string stays on one line, and `\\n` stands for a new line");
    // Closers at the end of the line are taken to be outside of the string.
    while (at_ > begin + 1 && std::string_view(" \t)]};,").find(text_[at_ - 1]) != text_.npos)
      --at_;
    push(Tok::String, begin);
  }
  void escape(std::size_t end) {
    const std::size_t begin = at_++;
    if (at_ >= end) return;  // the string is not closed, which says it all
    const char ch = peek();
    at_ += std::max<std::size_t>(1, utf8_length(text_.substr(at_)));
    if (ch == 'n' || ch == 't' || ch == '"' || ch == '\\') return;
    error(Diag::bad_escape, begin, at_,
          fmt::format("unknown escape `{}` in a string", since(begin)),
          "the escapes are `\\n`, `\\t`, `\\\"` and `\\\\`; a path is written with `/`");
  }
  void triple_quotes() {
    const std::size_t begin = at_;
    const std::size_t close = text_.find("\"\"\"", at_ + 3);
    error(Diag::foreign_quotes, begin, begin + 3, "there are no strings in triple quotes",
          "a definition is documented by lines of `##` above it; a string stands between `\"` and "
          "`\"`");
    at_ = close == text_.npos ? line_end() : close + 3;
    const std::string_view covered = since(begin);
    line_ += static_cast<int>(std::count(covered.begin(), covered.end(), '\n'));
    push(Tok::String, begin);
  }
  void single_quotes() {
    const std::size_t begin = at_++;
    const std::size_t close = std::min(text_.find('\'', at_), line_end());
    const bool closed = close < line_end();
    if (closed) at_ = close + 1;
    error(Diag::foreign_quotes, begin, at_, "strings stand between double quotes",
          closed ? fmt::format("write `\"{}\"`", text_.substr(begin + 1, close - begin - 1)) : "");
    push(closed ? Tok::String : Tok::Error, begin);
  }

  bool foreign_operator() {
    if (peek() == '!' && peek(1) == '=' && peek(2) != '=') return false;
    if (peek() == '|' && peek(1) == '>') return false;
    if (starts_with("++")) return increment();
    for (const Foreign& f : kForeign) {
      if (!starts_with(f.text)) continue;
      const std::size_t begin = at_;
      std::string hint(f.instead);
      if (hint.empty()) {  // `w += g`
        const bool named = !out_.tokens.empty() && out_.tokens.back().kind == Tok::Name;
        const std::string_view op = f.text.substr(0, f.text.size() - 1);
        const std::string_view name =
            named ? text_.substr(out_.tokens.back().begin,
                                 out_.tokens.back().end - out_.tokens.back().begin)
                  : "x";
        hint = fmt::format("write `{0} = {0} {1} ...`, or `{0} <- {0} {1} ...` for a state", name,
                           op == "**" ? "^" : op);
      }
      at_ += f.text.size();
      error(Diag::foreign_operator, begin, at_, fmt::format("there is no operator `{}`", f.text),
            hint);
      push(f.kind, begin);
      return true;
    }
    return false;
  }
  bool increment() {
    const std::size_t begin = at_;
    at_ += 2;
    error(Diag::foreign_operator, begin, at_, "there is no operator `++`",
          "write `i = i + 1`; lists are joined with `+`");
    const std::size_t next = text_.find_first_not_of(" \t", at_);
    if (next != text_.npos &&
        (is_name_char(text_[next]) || text_[next] == '(' || text_[next] == '['))
      push(Tok::Plus, begin);
    return true;
  }

  // ---- Brackets ----
  bool starts_definition(std::size_t k) const {
    const Token& t = out_.tokens[k];
    if (!t.at_margin || k + 1 >= out_.tokens.size()) return false;
    const Token& next = out_.tokens[k + 1];
    if (next.newline_before) return false;
    if (t.kind == Tok::Import) return next.kind == Tok::String;
    if (t.kind == Tok::Const || t.kind == Tok::Fn) return next.kind == Tok::Name;
    return t.kind == Tok::Name && next.kind == Tok::Name &&
           is_definition_word(text_.substr(t.begin, t.end - t.begin));
  }
  void match_brackets() {
    std::vector<std::uint32_t> open;
    for (std::uint32_t k = 0; k < out_.tokens.size(); ++k) {
      const Tok kind = out_.tokens[k].kind;
      if (starts_definition(k)) {
        out_.starts.push_back(k);
        open.clear();
      }
      if (kind == Tok::LParen || kind == Tok::LBracket || kind == Tok::LBrace) open.push_back(k);
      const Tok wanted = kind == Tok::RParen     ? Tok::LParen
                         : kind == Tok::RBracket ? Tok::LBracket
                         : kind == Tok::RBrace   ? Tok::LBrace
                                                 : Tok::End;
      if (wanted == Tok::End) continue;
      // The nearest opener of this kind; what was opened after it is never closed. `)` and `]` do
      // not reach out of a block.
      std::size_t n = open.size();
      while (n > 0 && out_.tokens[open[n - 1]].kind != wanted &&
             (wanted == Tok::LBrace || out_.tokens[open[n - 1]].kind != Tok::LBrace))
        --n;
      if (n == 0 || out_.tokens[open[n - 1]].kind != wanted) continue;
      out_.tokens[k].match = open[n - 1];
      out_.tokens[open[n - 1]].match = k;
      open.resize(n - 1);
    }
  }

  std::string_view text_;
  int source_;
  Diagnostics& diagnostics_;
  Lexed out_;
  std::size_t at_ = 0, line_start_ = 0;
  bool line_first_ = true;  // no token on this line yet
  bool malformed_ = false;
  int line_ = 0, doc_line_ = 0, errors_ = 0;
  std::string doc_;  // the run of `##` lines read last
};

}  // namespace

Lexed lex(const Sources& sources, int source, Diagnostics& diagnostics) {
  return Lexer(sources.text(source), source, diagnostics).run();
}

std::int64_t int_value(std::string_view text) {
  return parse_number<std::int64_t>(text).value_or(0);
}

double float_value(std::string_view text) { return parse_number<double>(text).value_or(0); }

std::string string_value(std::string_view text) {
  std::size_t quotes = text.substr(0, 3) == "\"\"\"" && text.size() >= 6 ? 3 : 1;
  const char quote = text.empty() ? '"' : text[0];
  text.remove_prefix(std::min(quotes, text.size()));
  if (text.size() >= quotes && text.back() == quote) text.remove_suffix(quotes);
  std::string value;
  for (std::size_t k = 0; k < text.size(); ++k) {
    if (text[k] != '\\' || k + 1 == text.size()) {
      value += text[k];
      continue;
    }
    const char ch = text[++k];
    value += ch == 'n' ? '\n' : ch == 't' ? '\t' : ch;
  }
  return value;
}

bool is_definition_word(std::string_view text) {
  return text == "layer" || text == "optimizer" || text == "data" || text == "model" ||
         text == "train";
}

}  // namespace dlc
