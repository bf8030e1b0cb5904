#pragma once
// Graph nodes as scalar expressions of a kernel: what computes one element of a node at given
// indices. Views fold into the indices; at a leaf (a node that is stored, or an input) the caller
// says how it is read.
#include <functional>
#include <vector>

#include "ir/graph/graph.h"
#include "ir/loop/loop.h"

namespace dlc {

class Expressions {
 public:
  using Index = std::vector<loop::ExprId>;
  /// Reads a leaf at an index.
  using Leaf = std::function<loop::ExprId(Value v, const Index& index)>;

  /// `is_leaf(v)` says which nodes are read rather than computed.
  Expressions(const Graph& g, loop::KernelBuilder& b, std::function<bool(Value)> is_leaf, Leaf leaf)
      : g_(g), b_(b), is_leaf_(std::move(is_leaf)), leaf_(std::move(leaf)) {}

  /// The element of `v` at `index`, where `v` is a leaf or computed from leaves.
  loop::ExprId element(Value v, const Index& index);
  /// The same, computing `v` itself even if it is a leaf.
  loop::ExprId compute(Value v, const Index& index);

 private:
  const Graph& g_;
  loop::KernelBuilder& b_;
  std::function<bool(Value)> is_leaf_;
  Leaf leaf_;
};

/// Whether a node is a constant whose elements differ: it is stored as a buffer.
bool is_stored_constant(const Node& n);
/// In memory before any kernel runs: an input or such a table.
bool is_given(const Graph& g, Value v);
bool is_reduction(const Node& n);

/// An offset as base + sum of stride * axis, when it has that form.
struct Affine {
  Dim base;
  std::map<loop::AxisId, Dim> strides;
};
std::optional<Affine> as_affine(const loop::Kernel& k, loop::ExprId offset);

}  // namespace dlc
