#pragma once
// What a graph costs, counted on its nodes.
#include <map>
#include <string>

#include "ir/graph/graph.h"

namespace dlc {

/// Floating-point operations of nodes [first, last): 2 per multiply-add of a contraction, 1 per
/// element of an elementwise operation and per reduced element; views and conversions are free. As
/// a polynomial in the symbolic dimensions.
Dim count_flops(const Graph& g, std::uint32_t first, std::uint32_t last);

}  // namespace dlc
