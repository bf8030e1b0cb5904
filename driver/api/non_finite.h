#pragma once
// Where a NaN or an infinity comes from.
#include "driver/api/compile.h"
#include "runtime/trainer.h"

namespace dlc {

/// Does a training step that went wrong once more, with every value looked at, and names the first
/// that is not finite though all that it was computed from is: what it is, in which part of the
/// step, and its source line; or the row of the data. Lines that begin with a newline; empty when
/// nothing is found. `tensors` are those before the step, and stay so.
std::string explain_non_finite(const Compilation& c, const BadStep& bad, TensorMap& tensors,
                               const Rows& rows, std::int64_t seed, ThreadPool& pool);

}  // namespace dlc
