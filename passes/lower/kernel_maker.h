#pragma once
// One kernel of a fused graph: its stages and their expressions.
#include <functional>
#include <optional>

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
  loop::BufferId buffer(Value v) const { return place(v).buffer; }
  /// The offset in its buffer of the element of `v` at `index`.
  loop::ExprId offset(loop::KernelBuilder& b, Value v,
                      const std::vector<loop::ExprId>& index) const;
  loop::ExprId load(loop::KernelBuilder& b, Value v, const std::vector<loop::ExprId>& index) const {
    return b.load(buffer(v), g.type(v).element, offset(b, v, index));
  }
  /// The place of `v` itself if it is in memory, or of what it is a strided view of, with strides.
  MemoryView strided(Value v) const;
  bool is_leaf(Value v) const {
    return g[v].kernel >= 0 || g[v].op == Op::input || is_stored_constant(g[v]);
  }
};

/// The node whose elements, stored, are the output: of a parameter's update that is nothing but a
/// reshape, what that is a reshape of.
Value stored_as(const Graph& g, const GraphOutput& out);

/// `items`: the nodes with this kernel's number, in order. `read_elsewhere(v)`: another kernel or
/// an output reads `v`.
loop::Kernel make_kernel(const Storage& storage, const std::vector<Value>& items,
                         const std::function<bool(Value)>& read_elsewhere);

/// Zeros, or the base of `node`, and then the updates in order. Without a base that nobody reads.
std::vector<loop::Kernel> make_scatter(const Storage& storage, Value node, bool reads_base);

/// Whether a stored concat is a loop for each operand rather than a choice for each element: along
/// all axes but the first, which threads share out.
bool is_written_in_parts(const Node& n);
/// Such a concat.
loop::Kernel make_concat(const Storage& storage, Value node);

/// to[i] = 0
loop::Kernel make_zeros(const std::string& name, const MemoryView& to, const Type& type);

/// to[i] = from[i]
loop::Kernel make_copy(const std::string& name, const MemoryView& from, const MemoryView& to,
                       const Type& type);

}  // namespace dlc
