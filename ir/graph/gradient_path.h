#pragma once
// Which nodes a gradient flows through, and what stands in its way. The frontend reports obstacles
// with their source lines; the differentiate pass relies on there being none.
#include <string_view>
#include <vector>

#include "ir/graph/graph.h"

namespace dlc {

struct GradientObstacle {
  Value node;            // on a path from `x` to `y`
  std::string_view why;  // NotDifferentiable::why of its operation
};
/// Per node: it depends on `x` and `y` depends on it.
std::vector<bool> nodes_between(const Graph& g, Value x, Value y);
/// The same for any of several.
std::vector<bool> nodes_between(const Graph& g, const std::vector<Value>& xs,
                                const std::vector<Value>& ys);
/// Per node: it depends on one of `xs`, or is one.
std::vector<bool> reached_from(const Graph& g, const std::vector<Value>& xs);
/// Per node: one of `ys` depends on it, or it is one.
std::vector<bool> leading_to(const Graph& g, const std::vector<Value>& ys);
/// Every non-differentiable operation on the paths from `x` to `y`, in node order. A path through
/// an operation with ZeroGradient or through an operand that gets no gradient carries nothing and
/// is fine.
std::vector<GradientObstacle> find_gradient_obstacles(const Graph& g, Value y, Value x);

}  // namespace dlc
