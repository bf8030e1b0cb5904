#include "ir/support/check.h"
#include "passes/lower/lower.h"

namespace dlc {

#define DLC_LOOP_PASS(name, doc) void run_##name(loop::Program& p);
#include "passes/loop_passes.def"
#undef DLC_LOOP_PASS

const std::vector<LoopPass>& loop_passes() {
  static const std::vector<LoopPass> passes = {
#define DLC_LOOP_PASS(name, doc) {#name, doc, run_##name},
#include "passes/loop_passes.def"
#undef DLC_LOOP_PASS
  };
  return passes;
}

void run_loop_passes(loop::Program& p, bool check) {
  if (check) loop::verify(p);
  for (const LoopPass& pass : loop_passes()) {
    pass.run(p);
    if (check) loop::verify(p);
  }
}

}  // namespace dlc
