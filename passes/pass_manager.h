#pragma once
// Graph passes by name: what they are, and running a list of them with verification, timing and
// dumps. The list is graph_passes.def, in the order of the default pipeline.
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph/graph.h"

namespace dlc {

struct GraphPass {
  std::string_view name, doc;
  Graph (*run)(const Graph& g);
  bool in_regions;  // it runs on the bodies of scans as well, before the graph around them
};
/// Every pass, each once, sorted by name.
const std::vector<GraphPass>& graph_passes();
/// nullptr when there is none of that name.
const GraphPass* find_graph_pass(std::string_view name);

struct PassTiming {
  std::string pass;
  double milliseconds;
};
struct PassOptions {
  bool verify = false;                // the verifier after every pass
  std::vector<std::string> disabled;  // names left out of a pipeline
  std::function<void(std::string_view pass, const Graph& after)> after_each;
  std::vector<PassTiming>* timings = nullptr;
};

/// Runs the named passes in order. An unknown name is a UserError that lists the passes. An
/// exception inside a pass becomes an InternalError that names the pass and holds the text of its
/// input graph.
Graph run_passes(const Graph& g, const std::vector<std::string>& names, const PassOptions& options);

/// The pass names behind a stage of `dlc dump`: `backward` ends before simplify, `optimized`
/// before fuse, `fused` after it. `gather` adds gather_rows (training on rows chosen by index),
/// `mixed` (bf16 or f16) contractions with operands of that type.
enum class PipelineEnd { Backward, Optimized, Fused };
std::vector<std::string> default_pipeline(PipelineEnd end, bool gather,
                                          std::optional<ElementType> mixed = {});
/// The pass behind `mixed`.
std::string mixed_pass(ElementType mixed);

}  // namespace dlc
