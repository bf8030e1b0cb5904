#include "driver/api/vocabulary.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace dlc {

namespace {

constexpr const char* kKey = "vocabulary";

const FileSource* text_source(const Module& m) {
  const DataSplit* split = m.data.splits.empty() ? nullptr : &m.data.splits.front();
  if (!split || !split->sequences) return nullptr;
  return &split->files[static_cast<std::size_t>(split->sequences->file)];
}

const FileSource* document_source(const Module& m) {
  if (m.data.splits.empty()) return nullptr;
  for (const FileSource& file : m.data.splits.front().files)
    if (file.reader == "documents" && file.options.back() == "sentences") return &file;
  return nullptr;
}

Vocabulary vocabulary_of(const Compilation& c, const FileSource& file) {
  return read_vocabulary(file.reader, c.locate_vocabulary(file), file.options);
}

}  // namespace

std::optional<ModelText> model_text(const Compilation& c) {
  const FileSource* source = text_source(c.module());
  if (!source) return std::nullopt;
  return ModelText{*source, vocabulary_of(c, *source)};
}

std::optional<ModelPairs> model_pairs(const Compilation& c) {
  const Module& m = c.module();
  if (m.data.splits.empty()) return std::nullopt;
  ModelPairs p;
  const DataSplit& split = m.data.splits.front();
  for (const DataColumn& column : split.columns) {
    if (column.file < 0) continue;
    const FileSource& file = split.files[static_cast<std::size_t>(column.file)];
    if (file.reader != "pairs") continue;
    const bool is_input = m.predict.find_input(column.name) != nullptr;
    if (file.options[4] == "lengths") {
      if (is_input) p.lengths = column.name;
    } else if (is_input) {
      p.input = column.name;
      p.steps = column.type.shape[1].value();
      p.source = {file, vocabulary_of(c, file)};
    } else {
      p.target = {file, vocabulary_of(c, file)};
    }
  }
  if (p.input.empty() || p.target.vocabulary.tokens.empty()) return std::nullopt;
  return p;
}

namespace {

/// By the key that a checkpoint has them under.
std::map<std::string, Vocabulary> vocabularies(const Compilation& c) {
  std::map<std::string, Vocabulary> result;
  if (auto text = model_text(c)) result[kKey] = std::move(text->vocabulary);
  if (auto pairs = model_pairs(c)) {
    result[fmt::format("{}.source", kKey)] = std::move(pairs->source.vocabulary);
    result[fmt::format("{}.target", kKey)] = std::move(pairs->target.vocabulary);
  }
  if (const FileSource* documents = document_source(c.module()))
    result[kKey] = vocabulary_of(c, *documents);
  return result;
}

void compare(const std::string& path, const std::string& theirs_text,
             const std::vector<std::string>& ours) {
  std::vector<std::string> theirs;
  try {
    theirs = nlohmann::json::parse(theirs_text).get<std::vector<std::string>>();
  } catch (const nlohmann::json::exception&) {
    throw UserError(fmt::format("{}: its vocabulary is no list of tokens", path));
  }
  if (theirs == ours) return;
  const auto [a, b] = std::mismatch(theirs.begin(), theirs.end(), ours.begin(), ours.end());
  const auto show = [](const auto& at, const auto& end) {
    return at == end ? std::string("nothing") : fmt::format("`{}`", *at);
  };
  throw UserError(fmt::format(
      "{}: it was trained with another vocabulary: token {} is {} there, {} in this model's text",
      path, a - theirs.begin(), show(a, theirs.end()), show(b, ours.end())));
}

}  // namespace

Metadata checkpoint_metadata(const Compilation& c) {
  Metadata result;
  for (const auto& [key, v] : vocabularies(c)) result[key] = nlohmann::json(v.tokens).dump();
  return result;
}

void check_vocabulary(const Compilation& c, const std::string& path) {
  const std::map<std::string, Vocabulary> ours = vocabularies(c);
  if (ours.empty()) return;
  // A checkpoint of another program has none.
  for (const auto& [key, theirs] : load_metadata(path))
    if (const auto at = ours.find(key); at != ours.end()) compare(path, theirs, at->second.tokens);
}

}  // namespace dlc
