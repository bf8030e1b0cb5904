#include "ir/graph/gradient_path.h"

#include "ir/op_def.h"

namespace dlc {

std::vector<bool> reached_from(const Graph& g, const std::vector<Value>& xs) {
  std::vector<bool> reached(g.nodes.size(), false);
  for (const Value x : xs) reached[x.id] = true;
  for (std::uint32_t id = 0; id < g.nodes.size(); ++id)
    for (const Value v : g.nodes[id].operands)
      if (reached[v.id]) reached[id] = true;
  return reached;
}

std::vector<bool> leading_to(const Graph& g, const std::vector<Value>& ys) {
  std::vector<bool> leads(g.nodes.size(), false);
  for (const Value y : ys) leads[y.id] = true;
  for (std::size_t id = g.nodes.size(); id-- > 0;)
    if (leads[id])
      for (const Value v : g.nodes[id].operands) leads[v.id] = true;
  return leads;
}

std::vector<bool> nodes_between(const Graph& g, const std::vector<Value>& xs,
                                const std::vector<Value>& ys) {
  std::vector<bool> result = reached_from(g, xs);
  const std::vector<bool> leads = leading_to(g, ys);
  for (std::size_t id = 0; id < result.size(); ++id) result[id] = result[id] && leads[id];
  return result;
}

std::vector<bool> nodes_between(const Graph& g, Value x, Value y) {
  return nodes_between(g, std::vector<Value>{x}, std::vector<Value>{y});
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
