#pragma once
#include "ir/graph/graph.h"

namespace dlc {

/// `v` is no view that repeats, leaves out or rearranges what it is a view of: axes of it may be
/// joined and split without a copy.
inline bool is_in_order(const Graph& g, Value v) {
  const Op op = g[g.below_reshapes(v)].op;
  return op != Op::window && op != Op::slice && op != Op::transpose && op != Op::broadcast &&
         op != Op::reverse;
}

}  // namespace dlc
