#pragma once
// A training run in a file: parameters and states, where the run stands, and what it was a run of.
// A safetensors file like any other, so that --load takes the parameters from it; what is not a
// parameter has a name that begins with `@`.
#include <map>
#include <string>

#include "runtime/checkpoint.h"
#include "runtime/run_state.h"

namespace dlc {

/// What must stay the same for a run to go on as if it had not stopped: values by what they are
/// ("batch", "data train.x"), both in words for the user.
using RunIdentity = std::map<std::string, std::string>;

struct RunCheckpoint {
  TensorMap tensors;   // parameters and states
  TensorMap recorded;  // what observers keep over the whole run, by their own names
  RunState state;
  RunIdentity identity;
};

/// Atomically, with `metadata` (a vocabulary) beside. UserError when it cannot be written; a file
/// that was there is intact then.
void save_run(const std::string& path, const TensorMap& tensors, const TensorMap& recorded,
              const RunState& state, const RunIdentity& identity, Metadata metadata);
/// UserError: the file cannot be read, is no checkpoint of a run, or is damaged.
RunCheckpoint load_run(const std::string& path);

}  // namespace dlc
