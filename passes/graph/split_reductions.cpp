// A reduction of rows and everything in them becomes one of each row and one over the rows: the
// first is parallel, and its kernel can be the one that computes the rows (the loss of a batch
// beside its softmax). Rows are what the first axes tell apart: one, or as many as those of a value
// of each row (the sum of a softmax) that the reduction reads.
#include <algorithm>
#include <numeric>

#include "ir/graph/rewriter.h"
#include "ir/op_def.h"

namespace dlc {

namespace {

bool can_split(Op op) {
  return op == Op::reduce_sum || op == Op::reduce_prod || op == Op::reduce_max ||
         op == Op::reduce_min;
}

/// Of each node, how many first axes the rows have whose values are repeated along the rest in what
/// it is computed from, element by element; 1 if there are none.
std::vector<std::size_t> row_axes(const Graph& g) {
  std::vector<std::size_t> result;
  result.reserve(g.nodes.size());
  for (const Node& n : g.nodes) {
    std::size_t most = 1;
    if (n.op == Op::broadcast) {
      const std::vector<std::int64_t>& dims = n.ints_attr("dims");
      std::vector<std::int64_t> first(dims.size());
      std::iota(first.begin(), first.end(), 0);
      if (dims == first && !dims.empty() && dims.size() < n.type.shape.size()) most = dims.size();
    } else if (is_elementwise(n.op)) {
      for (const Value o : n.operands) most = std::max(most, result[o.id]);
    }
    result.push_back(most);
  }
  return result;
}

/// The reduction `n` of the axes behind the first `count`, then of these; or an invalid value where
/// either would be of nothing.
Value in_two(GraphBuilder& b, const Node& n, Value operand, std::size_t count) {
  const Shape shape = b.type(operand).shape;
  std::vector<std::int64_t> first, rest;
  Dim rows = 1, row = 1;
  for (const std::int64_t a : n.ints_attr("axes")) {
    const bool is_row = static_cast<std::size_t>(a) < count;
    (is_row ? first : rest).push_back(a);
    Dim& size = is_row ? rows : row;
    size = size * shape[static_cast<std::size_t>(a)];
  }
  if (first.size() != count || rows == Dim(1) || row == Dim(1)) return {};
  return b.reduce(n.op, b.reduce(n.op, operand, rest), first);
}

}  // namespace

Graph run_split_reductions(const Graph& old) {
  const std::vector<std::size_t> rows_of = row_axes(old);
  return rewrite(
      old,
      [&](GraphBuilder& b, const Graph& g, Value v, const std::vector<Value>& operands) -> Value {
        const Node& n = g[v];
        // Between the two a 16-bit float would be rounded.
        if (!can_split(n.op) || is_16_bit_float(n.type.element)) return {};
        const Value rows = in_two(b, n, operands[0], rows_of[n.operands[0].id]);
        return rows.valid() ? rows : in_two(b, n, operands[0], 1);
      });
}

}  // namespace dlc
