#pragma once
// Comments that make a dumped graph readable beside the model file.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ir/graph/graph.h"
#include "ir/support/diagnostics.h"

namespace dlc {

/// Above each run of nodes that come from one source line, that line; above the parts of a
/// differentiated training step, which part it is. For `print`.
std::map<std::uint32_t, std::vector<std::string>> comments(const Graph& g, const Sources& sources);

}  // namespace dlc
