// Folders of texts with a folder for each class: every text a row of tokens, cut or padded.
#include <algorithm>
#include <map>

#include "ir/support/check.h"
#include "runtime/data/byte_reader.h"
#include "runtime/data/class_folders.h"
#include "runtime/data/text.h"

namespace dlc {

namespace {

struct DocumentOptions {
  std::string unit;                    // "words" or "chars"
  std::vector<std::string> of_tokens;  // as read_text() takes them
  std::size_t size = SIZE_MAX;         // of the vocabulary
  std::int64_t min_count = 1;
  std::size_t steps = 0;  // 0: as many as the longest text has
  bool lengths = false;

  explicit DocumentOptions(const std::vector<std::string>& o) {
    DLC_CHECK(o.size() == 6, "the reader of documents has 6 options, not {}", o.size());
    unit = o[0];
    of_tokens = {"", o[1], "", "", "1"};
    if (!o[2].empty()) size = static_cast<std::size_t>(std::stoull(o[2]));
    min_count = std::stoll(o[3]);
    if (!o[4].empty()) steps = static_cast<std::size_t>(std::stoull(o[4]));
    lengths = o[5] == "lengths";
  }
};

std::vector<std::string> tokens_of(const std::string& path, const DocumentOptions& options) {
  return split_text(options.unit, read_whole(path), options.of_tokens, path);
}

}  // namespace

Vocabulary read_document_vocabulary(const std::string& path,
                                    const std::vector<std::string>& options) {
  const DocumentOptions o(options);
  std::map<std::string, std::int64_t> counts;
  for (const ClassFolders::File& file : list_class_folders(path, kTexts).files)
    for (std::string& token : tokens_of(file.path, o)) ++counts[std::move(token)];
  std::vector<std::pair<std::int64_t, std::string>> order;
  for (const auto& [token, count] : counts)
    if (count >= o.min_count) order.emplace_back(-count, token);
  std::sort(order.begin(), order.end());
  Vocabulary v = empty_sentence_vocabulary();
  for (const auto& [count, token] : order)
    if (v.tokens.size() < o.size) v.tokens.push_back(token);
  return v;
}

FileContent read_documents(const std::string& path, const std::vector<std::string>& options,
                           const std::string& like, bool only_header) {
  const DocumentOptions o(options);
  const ClassFolders all = list_class_folders(path, kTexts);
  FileContent content;
  content.header.dtype = DLC_I32;
  content.header.shape = {static_cast<std::int64_t>(all.files.size())};
  std::size_t steps = o.steps;
  if (!o.lengths) {
    for (std::size_t k = 0; o.steps == 0 && k < all.files.size(); ++k)
      steps = std::max(steps, tokens_of(all.files[k].path, o).size());
    content.header.shape.push_back(static_cast<std::int64_t>(steps));
  }
  if (only_header) return content;
  content.tensor = Tensor(DLC_I32, content.header.shape);
  auto* to = content.tensor.as<std::int32_t>();
  const TokenNumbers numbers(
      o.lengths ? Vocabulary{} : read_document_vocabulary(like.empty() ? path : like, options));
  for (std::size_t row = 0; row < all.files.size(); ++row) {
    const std::vector<std::string> tokens = tokens_of(all.files[row].path, o);
    const std::size_t kept = o.steps > 0 ? std::min(tokens.size(), o.steps) : tokens.size();
    if (o.lengths) {
      to[row] = static_cast<std::int32_t>(kept);
      continue;
    }
    for (std::size_t k = 0; k < kept; ++k)
      to[row * steps + k] = numbers.of(tokens[k], all.files[row].path);
  }
  return content;
}

}  // namespace dlc
