#pragma once
// Text from a compiled program, one token at a time.
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/executable.h"

namespace dlc {

/// How a token is drawn from its logits.
struct SamplingOptions {
  double temperature = 1;  // logits are divided by it; 0: always the likeliest
  std::int64_t top_k = 0;  // of so many likeliest ones; 0: of all
  std::int64_t seed = 0;
};

/// A program with one input of tokens i32[N, T] and an output of logits [N, T, tokens]. What it
/// carries flows from each call to the next; without that it reads all the tokens so far each time.
class TokenGenerator {
 public:
  /// `tensors`: parameters and states; they stay where they are. UserError when the program has no
  /// such input or output; `input` and `logits` name them.
  TokenGenerator(const dlc_program* program, TensorMap& tensors, const std::string& input,
                 const std::string& logits, ThreadPool& pool);

  /// Reads tokens, at least one; the logits of the token after the last. Of a program that carries
  /// nothing at most the last `context` are read.
  std::span<const float> read(std::span<const std::int32_t> tokens);
  bool carries() const { return !carried_.empty(); }
  void set_context(std::int64_t tokens) { context_ = tokens; }
  std::int64_t vocabulary() const { return vocabulary_; }

 private:
  Executable executable_;
  int input_ = -1, logits_ = -1, steps_symbol_ = -1;
  std::int64_t vocabulary_ = 0, context_ = 0;
  std::int64_t scalars_[3] = {0, 0, 0};
  std::vector<Tensor> carried_, others_;
  Tensor tokens_, result_;
  std::vector<std::int32_t> all_;  // what has been read
};

/// Token number `position` of a run, by its logits: a function of the seed and the position.
std::int32_t sample(std::span<const float> logits, const SamplingOptions& options,
                    std::int64_t position);

}  // namespace dlc
