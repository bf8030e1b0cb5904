#pragma once
// The text form of a graph: one node a line; parse(print(g)) is g again. Reference: docs/ir.md.
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph/graph.h"

namespace dlc {

/// `comments` are printed before the nodes of their numbers, one line each.
std::string print(const Graph& g,
                  const std::map<std::uint32_t, std::vector<std::string>>& comments = {});
/// One or more graphs in one text. Throws UserError with line and column on malformed text.
std::vector<Graph> parse_graphs(std::string_view text, const std::string& file_name);
/// Throws InternalError naming the broken node: operands precede users, types equal what inference
/// says, updates have a matching input of equal type, names are unique.
void verify(const Graph& g);

}  // namespace dlc
