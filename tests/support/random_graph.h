#pragma once
// Small random graphs over all primitives, for testing every stage against the interpreter.
#include <map>
#include <string>

#include "ir/graph/graph.h"

/// A graph from a seed: floats of type `element`; shapes mix numbers and the symbol N; a scalar
/// output `loss` that depends on every float input in a differentiable way, further outputs, and
/// updates. What jumps (floor, comparisons, argmax) is applied only to values that any correct
/// implementation computes to the same bit.
dlc::Graph random_graph(unsigned seed, dlc::ElementType element);

/// Values for its inputs: floats in [-1, 1], indices around their range, N = `symbol`.
std::map<std::string, dlc::Literal> random_inputs(const dlc::Graph& g, int symbol, unsigned seed);
