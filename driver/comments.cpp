#include "driver/comments.h"

#include <algorithm>

namespace dlc {

namespace {

/// The last node that loss or metrics need, or -1.
std::int64_t last_of_forward(const Graph& g) {
  std::int64_t last = -1;
  for (const GraphOutput& out : g.outputs)
    if (out.kind == OutputKind::Loss || out.kind == OutputKind::Metric)
      last = std::max<std::int64_t>(last, out.value.id);
  return last;
}

/// The last gradient of a parameter, or -1.
std::int64_t last_of_backward(const Graph& g) {
  for (std::size_t id = g.nodes.size(); id-- > 0;)
    for (const GraphInput& in : g.inputs)
      if (in.kind == InputKind::Param && g.nodes[id].name == "d_" + in.name)
        return static_cast<std::int64_t>(id);
  return -1;
}

}  // namespace

std::map<std::uint32_t, std::vector<std::string>> comments(const Graph& g, const Sources& sources) {
  std::map<std::uint32_t, std::vector<std::string>> result;
  const std::int64_t forward = last_of_forward(g), backward = last_of_backward(g);
  const bool parts = forward >= 0 && backward > forward;
  Loc before;
  for (std::uint32_t id = 0; id < g.nodes.size(); ++id) {
    const bool part_begins = parts && (id == 0 || id == forward + 1 || id == backward + 1);
    if (part_begins) {
      result[id].push_back(id == 0             ? "---- forward: from the inputs to the loss"
                           : id == forward + 1 ? "---- backward: from the loss to the parameters"
                                               : "---- update: a step down the gradients");
      before = {};
    }
    const Node& n = g.nodes[id];
    if (n.op == Op::input || !n.loc.known()) continue;
    if (n.loc.file == before.file && n.loc.line == before.line) continue;
    before = n.loc;
    if (const std::string_view line = sources.line(n.loc); !line.empty())
      result[id].emplace_back(line);
  }
  return result;
}

}  // namespace dlc
