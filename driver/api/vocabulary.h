#pragma once
// The text that a model was trained on: its tokens, and what a checkpoint says of them.
#include <optional>

#include "driver/api/compile.h"
#include "runtime/checkpoint.h"
#include "runtime/data/text.h"

namespace dlc {

struct ModelText {
  FileSource source;
  Vocabulary vocabulary;
};
/// Of the sequences that the model is trained on; nullopt without such. UserError as read_text().
std::optional<ModelText> model_text(const Compilation& c);

/// Of the pairs of sentences that the model is trained on.
struct ModelPairs {
  ModelText source, target;
  std::string input, lengths;  // the model's inputs for a sentence and its length; or ""
  std::int64_t steps = 0;
};
std::optional<ModelPairs> model_pairs(const Compilation& c);

/// What a checkpoint of the model says beside its tensors: "vocabulary", "vocabulary.source"
/// and "vocabulary.target", JSON lists of tokens.
Metadata checkpoint_metadata(const Compilation& c);
/// A UserError that names the first difference when the checkpoint was made with another
/// vocabulary.
void check_vocabulary(const Compilation& c, const std::string& path);

}  // namespace dlc
