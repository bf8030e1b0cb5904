#pragma once
// What a scan node is made of. Its body is a region: a graph whose inputs stand for the operands,
// in order,
//
//   carried    the value of the turn before; at first the operand
//   scanned    slice t of the operand, which has the turns as axis 0
//   captured   the operand
//   condition  at most one, bool[], which the body does not read: where it is false there are no
//              turns, and what is yielded is zeros
//
// and whose outputs are `carry`, as many as carried inputs and in their order, then `yield`. The
// results are the last carried values, then of each yield all its values with the turns as axis 0.
#include "ir/graph/builder.h"

namespace dlc {

struct Scan {
  const Node& node;
  const Graph& body;
  std::size_t carried = 0, scanned = 0, captured = 0, yields = 0;
  Dim length;
  bool reverse = false;  // from the last slice to the first
  bool conditional = false;

  explicit Scan(const Node& n);
  /// Without the condition, which comes last.
  std::size_t operands() const { return carried + scanned + captured; }
  Value condition() const { return node.operands.back(); }
  Value input(std::size_t k) const { return body.inputs[k].value; }
  Value carry(std::size_t k) const { return body.outputs[k].value; }
  Value yield(std::size_t k) const { return body.outputs[carried + k].value; }
};

/// A new scan node; the names of the body's inputs and outputs are made unique.
Value make_scan(GraphBuilder& b, Graph body, std::vector<Value> operands, const Dim& length,
                bool reverse);
/// The same scan with another body and other operands.
Value make_scan_like(GraphBuilder& b, const Node& scan, Graph body, std::vector<Value> operands);
/// Result `k` of a node with several.
Value part(GraphBuilder& b, Value of, std::size_t k);

bool has_region(const Node& n);
/// Gives a scan another body; its type becomes that of the body. `types`: of the operands.
void set_scan_body(Node& scan, Graph body, const std::vector<Type>& types);
/// The body with its inputs first, in their order, and without what its outputs do not need.
Graph without_dead_nodes(const Graph& body);

/// The graph with every region in it replaced by `f` of it, innermost first.
Graph map_regions(const Graph& g, Graph (*f)(const Graph&));

}  // namespace dlc
