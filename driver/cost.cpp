#include "driver/cost.h"

#include "ir/graph/scan.h"
#include "ir/op_def.h"
#include "ir/windows.h"

namespace dlc {

namespace {

/// A multiply-add for each combination of the letters.
Dim contraction_flops(const Graph& g, const Node& n) {
  std::map<char, Dim> extents;
  const auto add = [&](const char* key, const Shape& shape) {
    note_extents(*parse_axis_indices(n.str_attr(key)), shape, extents);
  };
  add("lhs", g.type(n.operands[0]).shape);
  add("rhs", g.type(n.operands[1]).shape);
  add("out", n.type.shape);
  Dim points = 2;
  for (const auto& [letter, extent] : extents) points = points * extent;
  return points;
}

}  // namespace

Dim count_flops(const Graph& g, std::uint32_t first, std::uint32_t last) {
  Dim total = 0;
  for (std::uint32_t id = first; id < last; ++id) {
    const Node& n = g.nodes[id];
    if (n.op == Op::scan) {
      const Scan scan(n);
      total = total + scan.length * count_flops(scan.body, 0,
                                                static_cast<std::uint32_t>(scan.body.nodes.size()));
      continue;
    }
    const Lowering& lowering = op_def(n.op).lowering;
    if (std::holds_alternative<LowerContract>(lowering) || n.op == Op::conv) {
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
