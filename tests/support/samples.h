#pragma once
// Graphs and values made from the sample cases of the operations' definitions.
#include <map>
#include <string>
#include <vector>

#include "ir/graph/graph.h"
#include "ir/op_def.h"

/// Every operation, in the order of ops.def.
const std::vector<dlc::Op>& all_ops();

/// A graph of one node from an operation's sample: its operands are the inputs x0, x1, ..., its
/// result the output `y`. An input `size: u8[N]` gives N a value in any case.
dlc::Graph sample_graph(dlc::Op op, const dlc::Sample& s);
/// Values for the inputs of `g`, from a seed: every symbol has the given value, floats and integers
/// lie in [lo, hi].
std::map<std::string, dlc::Literal> sample_values(const dlc::Graph& g, double lo, double hi,
                                                  int symbol, unsigned seed);
