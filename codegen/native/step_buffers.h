#pragma once
// The buffers of a program that have a part in repeating it: what changes from step to step, and
// what is summed up.
#include <vector>

#include "ir/loop/loop.h"

namespace dlc {

struct StepBuffers {
  loop::BufferId rows = -1;             // the batch's row numbers, made by the pass gather_rows
  loop::BufferId step = -1;             // the scalar "step"
  std::vector<loop::BufferId> metrics;  // scalar outputs that nobody watches, loss first
};
StepBuffers step_buffers(const loop::Program& p);

/// Whether the program is made to be repeated: it updates something in place and has a loss.
bool is_step(const loop::Program& p);

}  // namespace dlc
