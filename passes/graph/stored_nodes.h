#pragma once
#include <vector>

#include "ir/graph/graph.h"

namespace dlc {

/// By node, whether a kernel computes it once and stores it; everything else is computed where it
/// is used. Stored are outputs, contractions, reductions and scatters; what a contraction reads
/// that is no strided view of something stored; what is costly or large and needed more than once;
/// what is made of a product that nobody else reads, and needed more than once; and what is very
/// large.
std::vector<bool> stored_nodes(const Graph& g);

}  // namespace dlc
