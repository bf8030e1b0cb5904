#include "ir/graph/gradient_path.h"

#include "ir/op_def.h"

namespace dlc {

std::vector<bool> nodes_between(const Graph& g, Value x, Value y) {
  std::vector<bool> from_x(g.nodes.size(), false), to_y(g.nodes.size(), false);
  from_x[x.id] = true;
  for (std::uint32_t id = x.id + 1; id < g.nodes.size(); ++id)
    for (const Value v : g.nodes[id].operands)
      if (from_x[v.id]) from_x[id] = true;
  to_y[y.id] = true;
  for (std::uint32_t id = y.id + 1; id-- > 0;)
    if (to_y[id])
      for (const Value v : g.nodes[id].operands) to_y[v.id] = true;
  for (std::uint32_t id = 0; id < g.nodes.size(); ++id) from_x[id] = from_x[id] && to_y[id];
  return from_x;
}

std::vector<GradientObstacle> find_gradient_obstacles(const Graph& g, Value y, Value x) {
  // Walks back from y along edges that carry a gradient; only what lies on a path from x matters.
  const std::vector<bool> between = nodes_between(g, x, y);
  std::vector<bool> reached(g.nodes.size(), false);
  std::vector<GradientObstacle> obstacles;
  if (between[y.id]) reached[y.id] = true;
  for (std::uint32_t id = y.id + 1; id-- > 0;) {
    if (!reached[id] || id == x.id) continue;
    const Node& n = g.nodes[id];
    const Gradient& gradient = op_def(n.op).gradient;
    if (std::holds_alternative<ZeroGradient>(gradient)) continue;
    // An inner grad is expanded before the outer one is taken: what stands in the way of either is
    // on the path to its operands.
    if (const auto* no = std::get_if<NotDifferentiable>(&gradient); no && n.op != Op::grad) {
      obstacles.insert(obstacles.begin(), {Value{id}, no->why});
      continue;
    }
    for (const Value v : n.operands)
      if (between[v.id] && is_float(g.type(v).element)) reached[v.id] = true;
  }
  return obstacles;
}

}  // namespace dlc
