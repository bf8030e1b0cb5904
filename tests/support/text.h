#pragma once
// Graphs beside their text form.
#include <string>
#include <string_view>

#include "ir/graph/graph.h"

/// The one graph of `text`.
dlc::Graph graph_of(std::string_view text);
/// Empty when the text form of `g` parses back to a graph with the same text; else what is wrong.
std::string round_trip_error(const dlc::Graph& g);
