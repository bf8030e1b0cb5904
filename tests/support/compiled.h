#pragma once
// A graph compiled and run beside the reference interpreter.
#include <map>
#include <string>

#include "ir/graph/graph.h"
#include "ir/op_def.h"

/// A graph of one node from an operation's sample, its operands the inputs x0, x1, ...
dlc::Graph sample_graph(dlc::Op op, const dlc::Sample& s);
/// Values for the inputs of `g`, from a seed: symbols take the given value, floats and integers lie
/// in [lo, hi].
std::map<std::string, dlc::Literal> sample_values(const dlc::Graph& g, double lo, double hi,
                                                  int symbol, unsigned seed);
/// The largest difference between compiled and interpreted outputs, relative to the largest value
/// (at least 1); infinite where one is NaN and the other is not. Integers count as they are.
double compiled_distance(const dlc::Graph& g, const std::map<std::string, dlc::Literal>& inputs,
                         int threads = 1, int vector_bits = 0);
