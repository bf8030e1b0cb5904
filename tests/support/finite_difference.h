#pragma once
// Gradients of a scalar output against central finite differences, in f64 by the interpreter.
#include <map>
#include <string>

#include "ir/graph/graph.h"

/// Adds the outputs `d_<input>`, the gradient of the output `loss` (a scalar) for every float
/// input. The result holds `grad` nodes.
dlc::Graph with_gradients(const dlc::Graph& g, std::string_view loss = "loss");

struct GradientReport {
  int checked = 0;
  int kinks = 0;      // elements left out: the loss has no derivative there
  double worst = 0;   // the largest error relative to max(1, |derivative|)
  std::string where;  // of the worst: "d_x[3]: gradient 1.5, finite difference 1.25"
};

/// `g` has f64 inputs, possibly `grad` nodes, and a scalar output `loss`. At most `per_input`
/// elements of each float input are moved.
GradientReport check_gradients(const dlc::Graph& g,
                               const std::map<std::string, dlc::Literal>& inputs,
                               int per_input = 8);
