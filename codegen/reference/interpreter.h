#pragma once
// The reference: evaluates a graph node by node with OpDef::evaluate. Shares nothing with codegen.
#include <map>
#include <string>
#include <vector>

#include "ir/graph/graph.h"

namespace dlc {

enum class Precision {
  Declared,  // every node's value is rounded to its element type
  F64,       // floats keep f64 throughout
};

struct Evaluation {
  std::map<std::string, std::int64_t> symbols;  // as bound by the inputs' shapes
  std::vector<Literal> values;  // one per node; none for a scan, whose parts have them
};
/// `inputs` by name; each has the declared element type and a shape that matches the declared one.
/// A missing input, another type or a shape that does not match is a UserError that names it.
/// `grad` nodes must have been expanded (InternalError otherwise).
Evaluation interpret(const Graph& g, const std::map<std::string, Literal>& inputs,
                     Precision precision);

}  // namespace dlc
