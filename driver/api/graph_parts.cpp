#include "driver/api/graph_parts.h"

#include <algorithm>

namespace dlc {

GraphParts::GraphParts(const Graph& g) {
  for (const GraphOutput& out : g.outputs)
    if (out.kind == OutputKind::Loss || out.kind == OutputKind::Metric)
      forward_ = std::max<std::int64_t>(forward_, out.value.id);
  for (std::size_t id = g.nodes.size(); id-- > 0 && backward_ < 0;)
    for (const GraphInput& in : g.inputs)
      if (in.kind == InputKind::Param && g.nodes[id].name == "d_" + in.name)
        backward_ = static_cast<std::int64_t>(id);
}

GraphPart GraphParts::of(std::uint32_t id) const {
  if (!several() || id <= forward_) return GraphPart::Forward;
  return id <= backward_ ? GraphPart::Backward : GraphPart::Update;
}

}  // namespace dlc
