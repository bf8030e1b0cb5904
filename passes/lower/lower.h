#pragma once
// From the fused graph to the kernel IR: one loop::Kernel per kernel number that `fuse` gave, over
// buffers for everything that crosses kernels.
#include "ir/graph/graph.h"
#include "ir/loop/loop.h"
#include "passes/pass_manager.h"

namespace dlc {

/// `g` has gone through `fuse`; no `grad` nodes are left. Temps have no arena offset yet.
loop::Program lower(const Graph& g);

/// The loop passes in order (loop_passes.def): `plan` gives each Temp its arena offset by liveness.
struct LoopPass {
  std::string_view name, doc;
  void (*run)(loop::Program& p);
};
const std::vector<LoopPass>& loop_passes();
void run_loop_passes(loop::Program& p, bool verify);
/// nullptr when there is none of that name.
const LoopPass* find_loop_pass(std::string_view name);
/// The text after the named passes, graph passes first; the first loop pass lowers the graph to
/// kernels, so `fuse` comes before it. A UserError for an unknown name or a wrong order.
std::string run_passes_to_text(const Graph& g, const std::vector<std::string>& names,
                               const PassOptions& options);

}  // namespace dlc
