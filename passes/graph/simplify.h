#pragma once
// What the rules of simplify are written with, and those that fill a file of their own.
#include <vector>

#include "ir/graph/rewriter.h"

namespace dlc::simplify {

using Ints = std::vector<std::int64_t>;

/// The node under consideration, with its operands in the new graph.
struct Here {
  GraphBuilder& b;
  const Node& n;
  const std::vector<Value>& operands;
  const std::vector<std::uint32_t>& uses;  // of the nodes of the old graph

  Value a() const { return operands[0]; }
  Value c() const { return operands[1]; }
  const Node& at(Value v) const { return b.graph()[v]; }
  bool is(Value v, Op op) const { return at(v).op == op; }
  /// The operand of `v`, which is an `op`.
  Value in(Value v, int k = 0) const { return at(v).operands[static_cast<std::size_t>(k)]; }

  /// Nothing but this node uses its first operand: what replaces both is no second computation.
  bool only_use() const { return uses[n.operands[0].id] == 1; }
  bool is_splat(Value v, double x) const {
    const auto s = b.graph().splat(v);
    return s && *s == x;
  }
  bool floats() const { return is_float(n.type.element); }
};

inline const Value kNone{};

// ---- Contractions (simplify_contract.cpp) ----

/// A transposed operand is the operand with its letters in another order.
Value contract_of_transpose(const Here& h, int k);
bool is_flattened(const Here& h, Value v);
/// An operand whose axes were transposed and then joined (the places and channels of a picture,
/// flattened for a dense layer) is read where it is: the joined axis is several letters.
Value contract_of_flattened(const Here& h, std::size_t k);
/// A transposed contraction gives its letters in another order.
Value transpose_of_contract(const Here& h);

}  // namespace dlc::simplify
