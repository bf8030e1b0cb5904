#include "passes/pass_manager.h"

#include <algorithm>
#include <chrono>

#include "ir/graph/scan.h"
#include "ir/graph/text.h"

namespace dlc {

#define DLC_GRAPH_PASS(name, doc) Graph run_##name(const Graph& g);
#include "passes/graph_passes.def"
#undef DLC_GRAPH_PASS

namespace {

/// A batch is rows of the whole program's inputs; a scan's pictures keep the order of their axes;
/// the scan that a gradient goes through is cut, not those in it.
bool in_regions(std::string_view pass) {
  return pass != "gather_rows" && pass != "layout" && pass != "segment";
}

}  // namespace

const std::vector<GraphPass>& graph_passes() {
  static const std::vector<GraphPass> passes = {
#define DLC_GRAPH_PASS(name, doc) {#name, doc, run_##name, in_regions(#name)},
#include "passes/graph_passes.def"
#undef DLC_GRAPH_PASS
  };
  return passes;
}

const GraphPass* find_graph_pass(std::string_view name) {
  for (const GraphPass& p : graph_passes())
    if (p.name == name) return &p;
  return nullptr;
}

namespace {

const GraphPass& named_pass(const std::string& name) {
  if (const GraphPass* p = find_graph_pass(name)) return *p;
  std::string names;
  for (const GraphPass& p : graph_passes()) names += fmt::format(" {}", p.name);
  throw UserError(fmt::format("there is no pass `{}`; the passes are{}", name, names));
}

Graph run_guarded(const GraphPass& pass, const Graph& g, bool check) {
  try {
    Graph result = pass.run(pass.in_regions ? map_regions(g, pass.run) : g);
    if (check) verify(result);
    return result;
  } catch (const InternalError& e) {
    throw InternalError(
        fmt::format("in pass {}: {}\nthe graph before it:\n{}", pass.name, e.what(), print(g)));
  }
}

}  // namespace

Graph run_passes(const Graph& g, const std::vector<std::string>& names,
                 const PassOptions& options) {
  std::vector<const GraphPass*> passes;
  for (const std::string& name : names)
    if (std::find(options.disabled.begin(), options.disabled.end(), name) == options.disabled.end())
      passes.push_back(&named_pass(name));
  Graph result = g;
  for (const GraphPass* pass : passes) {
    const auto start = std::chrono::steady_clock::now();
    result = run_guarded(*pass, result, options.verify);
    const std::chrono::duration<double, std::milli> spent =
        std::chrono::steady_clock::now() - start;
    if (options.timings) options.timings->push_back({std::string(pass->name), spent.count()});
    if (options.after_each) options.after_each(pass->name, result);
  }
  return result;
}

std::string mixed_pass(ElementType mixed) { return fmt::format("mixed_{}", name(mixed)); }

std::vector<std::string> default_pipeline(PipelineEnd end, bool gather,
                                          std::optional<ElementType> mixed) {
  // From here no `grad` is left: the graph is forward and backward computation, without the
  // gradients that nobody asked for.
  std::vector<std::string> names{"segment", "differentiate", "dce"};
  if (end == PipelineEnd::Backward) return names;
  // From here a training batch is rows of the data set.
  if (gather) names.push_back("gather_rows");
  // Algebra first, since equal subexpressions are easier to see in simple form; again after, since
  // sharing opens new chances.
  names.push_back("simplify");
  // From here a scan does turn by turn only what it must.
  for (const char* name : {"hoist", "sink_sums", "dce", "simplify", "one_hot"})
    names.push_back(name);
  // From here pictures have the order of axes in which they stay, and sums of products are
  // contractions.
  for (const char* name : {"layout", "dce", "simplify", "expand_conv"}) names.push_back(name);
  // From here contractions read 16-bit operands, whose conversions are then shared like the rest.
  if (mixed) names.push_back(mixed_pass(*mixed));
  for (const char* name : {"fold", "cse", "simplify", "sparse_updates", "cse", "dce"})
    names.push_back(name);
  // From here every stored node has a kernel.
  if (end == PipelineEnd::Fused)
    names.insert(names.end(), {"split_reductions", "relayout", "fuse"});
  return names;
}

}  // namespace dlc
