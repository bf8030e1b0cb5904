// A reduction of rows and everything in them becomes one of each row and one over the rows: the
// first is parallel, and its kernel can be the one that computes the rows (the loss of a batch
// beside its softmax).
#include <algorithm>

#include "ir/graph/rewriter.h"

namespace dlc {

namespace {

bool can_split(Op op) {
  return op == Op::reduce_sum || op == Op::reduce_prod || op == Op::reduce_max ||
         op == Op::reduce_min;
}

}  // namespace

Graph run_split_reductions(const Graph& old) {
  return rewrite(old,
                 [](GraphBuilder& b, const Graph& g, Value v, const std::vector<Value>& operands) {
                   const Node& n = g[v];
                   // Between the two a 16-bit float would be rounded.
                   if (!can_split(n.op) || is_16_bit_float(n.type.element)) return Value{};
                   std::vector<std::int64_t> axes = n.ints_attr("axes");
                   const auto rows = std::find(axes.begin(), axes.end(), 0);
                   if (rows == axes.end()) return Value{};
                   axes.erase(rows);
                   const Shape& shape = g.type(n.operands[0]).shape;
                   Dim row = 1;
                   for (const std::int64_t a : axes) row = row * shape[static_cast<std::size_t>(a)];
                   if (row == Dim(1) || shape[0] == Dim(1)) return Value{};
                   return b.reduce(n.op, b.reduce(n.op, operands[0], axes), {0});
                 });
}

}  // namespace dlc
