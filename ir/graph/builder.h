#pragma once
// Appends nodes to a graph with inferred and checked types. Used by the frontend, by gradients and
// by passes. Every function returns the value of the new node.
#include <span>

#include "ir/graph/graph.h"

namespace dlc {

class GraphBuilder {
 public:
  explicit GraphBuilder(Graph& g) : g_(g) {}
  Graph& graph() { return g_; }
  const Type& type(Value v) const { return g_.type(v); }

  /// The location given to the nodes that follow.
  void set_loc(Loc loc) { loc_ = std::move(loc); }
  const Loc& loc() const { return loc_; }

  Value input(std::string name, InputKind kind, Type type);
  void output(std::string name, OutputKind kind, Value v);

  /// Any operation; the type comes from OpDef::infer. Throws InternalError when inference fails:
  /// callers with user-made operands call infer_type (op_def.h) first and report its message.
  Value node(Op op, std::vector<Value> operands, Attrs attrs = {});

  Value constant(Literal value);
  Value scalar(ElementType t, double v);         // rank 0
  Value splat(const Type& type, double v);       // a scalar constant broadcast to `type`
  Value dim_value(const Dim& d, ElementType t);  // the run-time value of a dimension, rank 0

  Value ordinals(Shape shape);  // i32: 0, 1, 2, ... in row-major order
  /// For each of the integers `places`, clamped to what is below `size`: the ordinal of the last
  /// that equals it.
  Value last_equal(Value places, const Dim& size);

  // Elementwise; both operands already of one type and shape.
  Value add(Value a, Value b) { return node(Op::add, {a, b}); }
  Value sub(Value a, Value b) { return node(Op::sub, {a, b}); }
  Value mul(Value a, Value b) { return node(Op::mul, {a, b}); }
  Value div(Value a, Value b) { return node(Op::div, {a, b}); }
  Value neg(Value a) { return node(Op::neg, {a}); }
  Value select(Value cond, Value a, Value b) { return node(Op::select, {cond, a, b}); }
  Value convert(Value a, ElementType t);  // `a` itself when it has the type already

  // Views. `broadcast` maps operand axis k to result axis dims[k]; an operand axis of extent 1 may
  // stretch. Each returns `a` itself when it would change nothing.
  Value reshape(Value a, const Shape& shape);
  Value broadcast(Value a, const Shape& shape, const std::vector<std::int64_t>& dims);
  Value broadcast_trailing(Value a, const Shape& shape);  // NumPy rule: axes align at the end
  Value transpose(Value a, const std::vector<std::int64_t>& perm);  // result axis k = a's perm[k]
  Value pad(Value a, const Shape& low, const Shape& high);  // zeros before and after, per axis

  // Reductions drop the reduced axes.
  Value reduce(Op op, Value a, const std::vector<std::int64_t>& axes);
  /// Sums `a` down to `shape`: the adjoint of broadcast_trailing.
  Value sum_to_trailing(Value a, const Shape& shape);

  /// Einsum over two operands: one letter per axis, each letter in at least two of the three
  /// ("nk", "km" -> "nm"). A letter in lhs and rhs but not in out is summed.
  Value contract(Value a, Value b, std::string lhs, std::string rhs, std::string out);

 private:
  Graph& g_;
  Loc loc_;
};

}  // namespace dlc
