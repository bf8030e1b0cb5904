#include "runtime/data/text.h"

#include <algorithm>
#include <map>

#include "ir/support/check.h"
#include "runtime/data/byte_reader.h"

namespace dlc {

namespace {

/// The code point that begins at `at` and the bytes it takes; 0 bytes where the text is not UTF-8
/// there.
struct CodePoint {
  char32_t value = 0;
  std::size_t bytes = 0;
};

CodePoint code_point(std::string_view s, std::size_t at) {
  const auto byte = [&](std::size_t k) {
    return at + k < s.size() ? static_cast<unsigned char>(s[at + k]) : 0U;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return {first, 1};
  const std::size_t bytes = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4) return {};
  char32_t value = first & (0x7FU >> bytes);
  for (std::size_t k = 1; k < bytes; ++k) {
    if ((byte(k) & 0xC0U) != 0x80) return {};
    value = value << 6 | (byte(k) & 0x3FU);
  }
  // Longer than need be, half of a surrogate pair, beyond the last one.
  constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  if (value < kLeast[bytes] || (value >= 0xD800 && value < 0xE000) || value > 0x10FFFF) return {};
  return {value, bytes};
}

void append(std::string& s, char32_t c) {
  if (c < 0x80) {
    s += static_cast<char>(c);
    return;
  }
  const int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  constexpr unsigned kMarks[] = {0, 0xC0, 0xE0, 0xF0};
  s += static_cast<char>(kMarks[more] | c >> (6 * more));
  for (int k = more - 1; k >= 0; --k) s += static_cast<char>(0x80U | ((c >> (6 * k)) & 0x3FU));
}

/// Small letters for the capitals of the Latin, Greek and Cyrillic alphabets.
char32_t lower(char32_t c) {
  const auto in = [&](char32_t from, char32_t to) { return c >= from && c <= to; };
  if (in('A', 'Z') || (in(0xC0, 0xDE) && c != 0xD7) || in(0x391, 0x3A9) || in(0x410, 0x42F))
    return c + 32;
  if (in(0x400, 0x40F)) return c + 80;
  if (in(0x100, 0x17E) && c != 0x130 && c != 0x178) {  // pairs, of which one part begins odd
    const bool odd = in(0x139, 0x148) || in(0x179, 0x17E);
    return (c % 2 == 1) == odd ? c + 1 : c;
  }
  return c;
}

/// Written without blanks between the words: each character is a token.
bool is_ideograph(char32_t c) {
  return (c >= 0x2E80 && c < 0x3000) || (c >= 0x3040 && c < 0xA000) ||
         (c >= 0xF900 && c < 0xFB00) || (c >= 0x20000 && c < 0x32000);
}
bool is_blank(char32_t c) {
  return c == ' ' || (c >= '\t' && c <= '\r') || c == 0xA0 || c == 0x3000 ||
         (c >= 0x2000 && c <= 0x200A);
}
bool is_word_part(char32_t c) {
  if (c < 0x80) return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '\'';
  const bool sign = c < 0xC0 || c == 0xD7 || c == 0xF7 || (c >= 0x2000 && c < 0x2E80) ||
                    (c >= 0x3000 && c < 0x3040) || (c >= 0xFE30 && c < 0xFF10);
  return !sign && !is_ideograph(c);
}

struct TextOptions {
  std::size_t first = SIZE_MAX, size = SIZE_MAX;
  std::int64_t min_count = 1;
  bool lower = false;
  std::string newline;

  explicit TextOptions(const std::vector<std::string>& o) {
    DLC_CHECK(o.size() == 5, "a text reader has 5 options, not {}", o.size());
    if (!o[0].empty()) first = static_cast<std::size_t>(std::stoull(o[0]));
    lower = o[1] == "true";
    newline = o[2];
    if (!o[3].empty()) size = static_cast<std::size_t>(std::stoull(o[3]));
    if (!o[4].empty()) min_count = std::stoll(o[4]);
  }
};

/// The tokens of a text in order.
std::vector<std::string> tokens_of(const std::string& reader, std::string_view text,
                                   const TextOptions& options, const std::string& where) {
  std::vector<std::string> tokens;
  std::string word;
  const auto end_word = [&] {
    if (!word.empty()) tokens.push_back(std::move(word));
    word.clear();
  };
  std::size_t count = 0;
  for (std::size_t at = 0; at < text.size() && count < options.first; ++count) {
    const CodePoint c = code_point(text, at);
    if (c.bytes == 0) throw UserError(fmt::format("{}: byte {}: the text is not UTF-8", where, at));
    at += c.bytes;
    if (c.value == '\r' && at < text.size() && text[at] == '\n') {
      --count;  // the newline is the second of the two
      continue;
    }
    std::string token;
    if (c.value == '\n')
      token = options.newline;
    else
      append(token, options.lower ? lower(c.value) : c.value);
    if (reader == "chars") {
      if (!token.empty()) tokens.push_back(std::move(token));
    } else if (is_blank(c.value)) {
      end_word();
    } else if (is_word_part(c.value)) {
      word += token;
    } else {
      end_word();
      tokens.push_back(std::move(token));
    }
  }
  end_word();
  return tokens;
}

Vocabulary vocabulary_of(const std::vector<std::string>& tokens, const TextOptions& options) {
  std::map<std::string, std::int64_t> counts;
  for (const std::string& t : tokens) ++counts[t];
  std::vector<std::pair<std::int64_t, std::string>> order;
  for (const auto& [token, count] : counts)
    if (count >= options.min_count) order.emplace_back(-count, token);
  std::sort(order.begin(), order.end());
  const bool limited = order.size() < counts.size() || order.size() > options.size;
  Vocabulary v;
  if (limited) v.tokens.emplace_back(kUnknown);
  for (const auto& [count, token] : order)
    if (v.tokens.size() < options.size) v.tokens.push_back(token);
  return v;
}

}  // namespace

TokenNumbers::TokenNumbers(Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {
  for (std::size_t k = 0; k < vocabulary_.tokens.size(); ++k)
    number_[vocabulary_.tokens[k]] = static_cast<std::int32_t>(k);
}

std::int32_t TokenNumbers::of(const std::string& token, const std::string& where) const {
  if (const auto at = number_.find(token); at != number_.end()) return at->second;
  if (const auto unknown = number_.find(kUnknown); unknown != number_.end()) return unknown->second;
  throw UserError(fmt::format("{}: `{}` is not in the vocabulary of {} tokens", where, token,
                              vocabulary_.tokens.size()));
}

std::vector<std::int32_t> number_tokens(const std::vector<std::string>& tokens, const Vocabulary& v,
                                        const std::string& where) {
  const TokenNumbers numbers(v);
  std::vector<std::int32_t> result;
  result.reserve(tokens.size());
  for (const std::string& t : tokens) result.push_back(numbers.of(t, where));
  return result;
}

std::vector<std::string> split_text(const std::string& reader, const std::string& text,
                                    const std::vector<std::string>& options,
                                    const std::string& where) {
  return tokens_of(reader, text, TextOptions(options), where);
}

Vocabulary read_vocabulary(const std::string& reader, const std::string& path,
                           const std::vector<std::string>& options) {
  if (reader == "pairs") return read_pair_vocabulary(path, options);
  if (reader == "documents") return read_document_vocabulary(path, options);
  return read_text(reader, path, options).vocabulary;
}

Text read_text(const std::string& reader, const std::string& path,
               const std::vector<std::string>& options) {
  const TextOptions o(options);
  const std::vector<std::string> tokens = tokens_of(reader, read_whole(path), o, path);
  if (tokens.empty()) throw UserError(fmt::format("{}: the text has no tokens", path));
  if (tokens.size() > static_cast<std::size_t>(INT32_MAX))
    throw UserError(fmt::format("{}: {} tokens are too many", path, tokens.size()));
  Text t;
  t.vocabulary = vocabulary_of(tokens, o);
  t.numbers = number_tokens(tokens, t.vocabulary, path);
  return t;
}

std::vector<std::int32_t> encode(const std::string& reader, const std::string& text,
                                 const std::vector<std::string>& options,
                                 const Vocabulary& vocabulary) {
  TextOptions o(options);
  o.first = SIZE_MAX;
  return number_tokens(tokens_of(reader, text, o, "the text given"), vocabulary, "the text given");
}

std::string decode(const std::string& reader, const std::vector<std::int32_t>& numbers,
                   const Vocabulary& vocabulary) {
  std::string out;
  for (const std::int32_t n : numbers) {
    const std::string& token = vocabulary.tokens.at(static_cast<std::size_t>(n));
    const bool sign =
        token.size() == 1 && std::string_view(".,;:!?)").find(token[0]) != std::string_view::npos;
    const bool ideograph = is_ideograph(code_point(token, 0).value);
    if (reader == "words" && !out.empty() && !sign && !ideograph) out += ' ';
    out += token;
  }
  return out;
}

FileContent read_token_numbers(const std::string& reader, const std::string& path,
                               const std::vector<std::string>& options, bool only_header) {
  const Text t = read_text(reader, path, options);
  FileContent content;
  content.header = {DLC_I32, {static_cast<std::int64_t>(t.numbers.size())}};
  if (only_header) return content;
  content.tensor = Tensor(DLC_I32, content.header.shape);
  std::copy(t.numbers.begin(), t.numbers.end(), content.tensor.as<std::int32_t>());
  return content;
}

}  // namespace dlc
