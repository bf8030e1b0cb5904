#pragma once
// What a training run is a run of: whether a checkpoint goes on with it.
#include "driver/api/compile.h"
#include "runtime/run_checkpoint.h"
#include "runtime/trainer.h"

namespace dlc {

/// The model (its source and what it computes), the settings that numbers follow from, the data and
/// dlc's version. How long a run goes on, with how many threads, is not part of it.
RunIdentity run_identity(const Compilation& c, const TrainOptions& options, const Rows& rows,
                         const Rows* test);

/// What differs, a sentence each; empty when the runs are the same.
std::vector<std::string> differences(const RunIdentity& checkpoint, const RunIdentity& now);

}  // namespace dlc
