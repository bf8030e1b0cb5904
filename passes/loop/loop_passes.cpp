#include <algorithm>

#include "ir/graph/text.h"
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

const LoopPass* find_loop_pass(std::string_view name) {
  for (const LoopPass& p : loop_passes())
    if (p.name == name) return &p;
  return nullptr;
}

void run_loop_passes(loop::Program& p, bool check) {
  if (check) loop::verify(p);
  for (const LoopPass& pass : loop_passes()) {
    pass.run(p);
    if (check) loop::verify(p);
  }
}

std::string run_passes_to_text(const Graph& g, const std::vector<std::string>& names,
                               const PassOptions& options) {
  const auto on_kernels =
      std::find_if(names.begin(), names.end(), [](const auto& n) { return find_loop_pass(n); });
  const Graph after = run_passes(g, {names.begin(), on_kernels}, options);
  if (on_kernels == names.end()) return print(after);
  if (std::none_of(after.nodes.begin(), after.nodes.end(),
                   [](const Node& n) { return n.kernel >= 0; }))
    throw UserError(
        fmt::format("the pass `{}` works on kernels: `fuse` comes before it", *on_kernels));
  loop::Program p = lower(after);
  for (auto name = on_kernels; name != names.end(); ++name) {
    const LoopPass* pass = find_loop_pass(*name);
    if (!pass)
      throw UserError(fmt::format(
          "the pass `{}` works on graphs, it cannot follow `{}`, which works on kernels", *name,
          *on_kernels));
    pass->run(p);
    if (options.verify) loop::verify(p);
  }
  return loop::print(p);
}

}  // namespace dlc
