#pragma once
// Rebuilds a graph node by node; the one way in which passes change graphs.
#include <functional>

#include "ir/graph/builder.h"

namespace dlc {

/// Copies `old` in order. For each node `rewrite(builder, old, node, operands)` gets the operands
/// in the new graph and returns the value to use instead, or an invalid Value to copy the node.
/// Names, locations, inputs and outputs are kept; a replacement inherits the name of what it
/// replaces.
Graph rewrite(const Graph& old, const std::function<Value(GraphBuilder&, const Graph&, Value,
                                                          const std::vector<Value>&)>& rewrite);

}  // namespace dlc
