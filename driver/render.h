#pragma once
// A graph in the formats of `dlc dump --format`: JSON for programs, DOT for Graphviz, SVG to look
// at.
#include <string>

#include "ir/graph/graph.h"

namespace dlc {

std::string to_json(const Graph& g);
std::string to_dot(const Graph& g);
/// Layered from top to bottom, operands above their users.
std::string to_svg(const Graph& g);

}  // namespace dlc
