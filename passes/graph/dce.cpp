#include "ir/graph/graph.h"

namespace dlc {

/// Inputs stay, used or not: the signature of a program does not change.
Graph run_dce(const Graph& old) {
  std::vector<bool> live(old.nodes.size(), false);
  for (const GraphInput& in : old.inputs) live[in.value.id] = true;
  for (const GraphOutput& out : old.outputs) live[out.value.id] = true;
  for (std::size_t id = old.nodes.size(); id-- > 0;)
    if (live[id])
      for (const Value v : old.nodes[id].operands) live[v.id] = true;
  Graph g;
  g.name = old.name;
  std::vector<Value> now(old.nodes.size());
  for (std::size_t id = 0; id < old.nodes.size(); ++id) {
    if (!live[id]) continue;
    Node n = old.nodes[id];
    for (Value& v : n.operands) v = now[v.id];
    now[id] = Value{static_cast<std::uint32_t>(g.nodes.size())};
    g.nodes.push_back(std::move(n));
  }
  for (const GraphInput& in : old.inputs) g.inputs.push_back({in.name, in.kind, now[in.value.id]});
  for (const GraphOutput& out : old.outputs)
    g.outputs.push_back({out.name, out.kind, now[out.value.id]});
  return g;
}

}  // namespace dlc
