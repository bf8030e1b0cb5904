// Pairs of sentences: a line each, the two sides between a tab.
#include <algorithm>

#include "ir/support/check.h"
#include "runtime/data/byte_reader.h"
#include "runtime/data/text.h"

namespace dlc {

namespace {

constexpr std::int32_t kPadNumber = 0, kEndNumber = 2;  // in every vocabulary of a side

struct PairOptions {
  std::size_t side = 0;
  std::string unit;                    // "words" or "chars"
  std::vector<std::string> of_tokens;  // as read_text() takes them
  std::size_t steps = 0;               // 0: as many as the longest sentence has
  bool lengths = false;

  explicit PairOptions(const std::vector<std::string>& o) {
    DLC_CHECK(o.size() == 5, "the reader of pairs has 5 options, not {}", o.size());
    side = static_cast<std::size_t>(std::stoull(o[0]));
    unit = o[1];
    of_tokens = {"", o[2], "", "", "1"};
    if (!o[3].empty()) steps = static_cast<std::size_t>(std::stoull(o[3]));
    lengths = o[4] == "lengths";
  }
};

struct Sentences {
  std::vector<std::vector<std::string>> tokens;
  std::size_t longest = 0;
};

Sentences sentences_of(const std::string& path, const PairOptions& options) {
  const std::string text = read_whole(path);
  Sentences s;
  std::size_t line = 0;
  for (std::size_t at = 0; at < text.size();) {
    ++line;
    std::size_t end = std::min(text.find('\n', at), text.size());
    std::string whole = text.substr(at, end - at);
    at = end + 1;
    if (!whole.empty() && whole.back() == '\r') whole.pop_back();
    if (whole.empty() || whole[0] == '#') continue;
    const std::size_t tab = whole.find('\t');
    if (tab == std::string::npos || whole.find('\t', tab + 1) != std::string::npos)
      throw UserError(fmt::format("{}: line {}: two sentences with a tab between them are expected",
                                  path, line));
    const std::string side = options.side == 0 ? whole.substr(0, tab) : whole.substr(tab + 1);
    s.tokens.push_back(
        split_text(options.unit, side, options.of_tokens, fmt::format("{}: line {}", path, line)));
    s.longest = std::max(s.longest, s.tokens.back().size());
  }
  if (s.tokens.empty()) throw UserError(fmt::format("{}: there are no pairs of sentences", path));
  return s;
}

Vocabulary vocabulary_of(const Sentences& s) {
  std::vector<std::string> all;
  for (const auto& tokens : s.tokens) all.insert(all.end(), tokens.begin(), tokens.end());
  Vocabulary v = empty_sentence_vocabulary();
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  v.tokens.insert(v.tokens.end(), all.begin(), all.end());
  return v;
}

}  // namespace

Vocabulary empty_sentence_vocabulary() {
  return {{std::string(kPad), std::string(kBegin), std::string(kEnd), std::string(kUnknown)}};
}

Vocabulary read_pair_vocabulary(const std::string& path, const std::vector<std::string>& options) {
  return vocabulary_of(sentences_of(path, PairOptions(options)));
}

std::vector<std::int32_t> encode_sentence(const std::string& text,
                                          const std::vector<std::string>& options,
                                          const Vocabulary& vocabulary) {
  const PairOptions o(options);
  std::vector<std::int32_t> numbers = encode(o.unit, text, o.of_tokens, vocabulary);
  numbers.push_back(kEndNumber);
  return numbers;
}

std::string decode_sentence(std::vector<std::int32_t> numbers,
                            const std::vector<std::string>& options, const Vocabulary& vocabulary) {
  numbers.erase(std::find(numbers.begin(), numbers.end(), kEndNumber), numbers.end());
  return decode(PairOptions(options).unit, numbers, vocabulary);
}

FileContent read_pairs(const std::string& path, const std::vector<std::string>& options,
                       bool only_header) {
  const PairOptions o(options);
  const Sentences s = sentences_of(path, o);
  const std::size_t steps = o.steps > 0 ? o.steps : s.longest + 1;
  const auto rows = static_cast<std::int64_t>(s.tokens.size());
  FileContent content;
  content.header.dtype = DLC_I32;
  content.header.shape = {rows};
  if (!o.lengths) content.header.shape.push_back(static_cast<std::int64_t>(steps));
  if (only_header) return content;
  content.tensor = Tensor(DLC_I32, content.header.shape);
  auto* to = content.tensor.as<std::int32_t>();
  const Vocabulary v = vocabulary_of(s);
  for (std::size_t row = 0; row < s.tokens.size(); ++row) {
    std::vector<std::int32_t> numbers = number_tokens(s.tokens[row], v, path);
    numbers.push_back(kEndNumber);
    if (o.lengths) {
      to[row] = static_cast<std::int32_t>(std::min(numbers.size(), steps));
      continue;
    }
    numbers.resize(steps, kPadNumber);
    std::copy(numbers.begin(), numbers.end(), to + row * steps);
  }
  return content;
}

}  // namespace dlc
