#pragma once
// What of a graph is in memory, and where.
#include <functional>
#include <optional>
#include <vector>

#include "ir/graph/graph.h"
#include "ir/loop/loop.h"
#include "passes/lower/expressions.h"

namespace dlc {

/// Where the elements of a value are: in a buffer, from element `base` on, row-major unless there
/// are strides (in elements, by axis).
struct MemoryView {
  loop::BufferId buffer = -1;
  Dim base;
  std::optional<std::vector<Dim>> strides = {};
};

/// How lowering sees the graph: what is in memory, and where.
struct Storage {
  const Graph& g;
  /// The place of a node that is stored or given; makes one on first use.
  std::function<MemoryView(Value)> place;
  std::string prefix = {};  // of the names of kernels
  /// Gives a node, of a shape that ends in `row`, a place for a row alone, in each thread.
  std::function<void(Value, const Shape& row)> make_local = {};
  loop::BufferId buffer(Value v) const { return place(v).buffer; }
  /// The offset in its buffer of the element of `v` at `index`.
  loop::ExprId offset(loop::KernelBuilder& b, Value v,
                      const std::vector<loop::ExprId>& index) const;
  loop::ExprId load(loop::KernelBuilder& b, Value v, const std::vector<loop::ExprId>& index) const {
    return b.load(buffer(v), g.type(v).element, offset(b, v, index));
  }
  /// The place of `v` itself if it is in memory, or of what it is a strided view of, with strides.
  MemoryView strided(Value v) const;
  /// The same; nullopt where there are no such strides.
  std::optional<MemoryView> view_of(Value v) const;
  bool is_leaf(Value v) const { return g[v].kernel >= 0 || is_given(g, v); }
};

/// base + sum of index[k] * strides[k], of an element of a value of this shape. Axes that follow
/// one another in memory are one, so that an index which has been taken apart along them is put
/// together again.
loop::ExprId offset_at(loop::KernelBuilder& b, const MemoryView& p,
                       const std::vector<loop::ExprId>& index, const Shape& shape);

/// Where in a concat an operand has its place: that of what the operand is a reshape of. nullopt
/// when that has no strides there.
std::optional<MemoryView> place_of_part(const Storage& storage, Value concat, std::size_t part);

}  // namespace dlc
