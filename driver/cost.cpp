#include "driver/cost.h"

#include "ir/op_def.h"

namespace dlc {

namespace {

Dim contraction_flops(const Graph& g, const Node& n) {
  std::map<char, Dim> extents;
  for (int operand = 0; operand < 2; ++operand) {
    const std::string& letters = n.str_attr(operand == 0 ? "lhs" : "rhs");
    const Shape& shape = g.type(n.operands[operand]).shape;
    for (std::size_t k = 0; k < letters.size(); ++k) extents[letters[k]] = shape[k];
  }
  Dim points = 2;
  for (const auto& [letter, extent] : extents) points = points * extent;
  return points;
}

}  // namespace

Dim count_flops(const Graph& g, std::uint32_t first, std::uint32_t last) {
  Dim total = 0;
  for (std::uint32_t id = first; id < last; ++id) {
    const Node& n = g.nodes[id];
    const Lowering& lowering = op_def(n.op).lowering;
    if (std::holds_alternative<LowerContract>(lowering)) {
      total = total + contraction_flops(g, n);
    } else if (std::holds_alternative<LowerReduce>(lowering)) {
      total = total + element_count(g.type(n.operands[0]).shape);
    } else if (const auto* e = std::get_if<LowerElementwise>(&lowering);
               e && e->op != loop::ScalarOp::Convert && is_float(n.type.element)) {
      total = total + element_count(n.type.shape);
    }
  }
  return total;
}

}  // namespace dlc
