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
/// Every non-differentiable operation on the paths from `x` to `y`, in node order. A path through
/// an operation with ZeroGradient or through an operand that gets no gradient carries nothing and
/// is fine.
std::vector<GradientObstacle> find_gradient_obstacles(const Graph& g, Value y, Value x);

}  // namespace dlc
