#pragma once
// A training run of a model: its settings, and where one goes on. For the verb and the public API.
#include "driver/api/compile.h"
#include "driver/api/run_identity.h"
#include "runtime/trainer.h"

namespace dlc {

/// What replaces settings of the train block.
struct TrainOverrides {
  std::optional<std::int64_t> batch, epochs, steps, seed;
  std::optional<bool> shuffle;
};
/// The settings of the train block, replaced by those given. Epochs or steps say how long to train:
/// where one is given, the block's own epochs and steps do not count.
TrainOptions training_options(const Module& m, const TrainOverrides& given);

struct Resumed {
  RunState state;
  TensorMap recorded;                // what observers kept
  std::vector<std::string> changed;  // what differs, a sentence each
};
/// Takes the run of a checkpoint up: its parameters and states go into `tensors`. Where it was not
/// this run but is to go on all the same (`anyway`), the epoch under way begins anew. UserError:
/// the file is no checkpoint or damaged, or its run differs from `identity` (lists what does).
Resumed resume_run(const Compilation& c, TensorMap& tensors, const std::string& path,
                   const RunIdentity& identity, bool anyway);

}  // namespace dlc
