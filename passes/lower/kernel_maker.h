#pragma once
// One kernel of a fused graph: its stages and their expressions.
#include <functional>
#include <optional>

#include "ir/graph/graph.h"
#include "ir/loop/loop.h"
#include "passes/lower/storage.h"

namespace dlc {

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
/// Such a concat, but for the operands that are in their places already; nullopt when all are.
std::optional<loop::Kernel> make_concat(const Storage& storage, Value node);

/// to[i] = 0
loop::Kernel make_zeros(const std::string& name, const MemoryView& to, const Type& type);

/// to[i] = from[i]
loop::Kernel make_copy(const std::string& name, const MemoryView& from, const MemoryView& to,
                       const Type& type);

}  // namespace dlc
