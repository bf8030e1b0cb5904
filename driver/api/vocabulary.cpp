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

}  // namespace

std::optional<ModelText> model_text(const Compilation& c) {
  const FileSource* source = text_source(c.module());
  if (!source) return std::nullopt;
  return ModelText{*source,
                   read_text(source->reader, c.locate(*source), source->options).vocabulary};
}

Metadata checkpoint_metadata(const Compilation& c) {
  const auto text = model_text(c);
  if (!text) return {};
  return {{kKey, nlohmann::json(text->vocabulary.tokens).dump()}};
}

void check_vocabulary(const Compilation& c, const std::string& path) {
  if (!text_source(c.module())) return;
  const Metadata metadata = load_metadata(path);
  const auto at = metadata.find(kKey);
  if (at == metadata.end()) return;  // of another program
  std::vector<std::string> theirs;
  try {
    theirs = nlohmann::json::parse(at->second).get<std::vector<std::string>>();
  } catch (const nlohmann::json::exception&) {
    throw UserError(fmt::format("{}: its vocabulary is no list of tokens", path));
  }
  const std::vector<std::string> ours = model_text(c)->vocabulary.tokens;
  if (theirs == ours) return;
  const auto [a, b] = std::mismatch(theirs.begin(), theirs.end(), ours.begin(), ours.end());
  const auto show = [](const auto& at, const auto& end) {
    return at == end ? std::string("nothing") : fmt::format("`{}`", *at);
  };
  throw UserError(fmt::format(
      "{}: it was trained with another vocabulary: token {} is {} there, {} in this model's text",
      path, a - theirs.begin(), show(a, theirs.end()), show(b, ours.end())));
}

}  // namespace dlc
