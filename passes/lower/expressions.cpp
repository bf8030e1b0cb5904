#include "passes/lower/expressions.h"

#include "ir/op_def.h"

namespace dlc {

using loop::ExprId;
using loop::ExprKind;
using loop::ScalarOp;

bool is_stored_constant(const Node& n) {
  return n.op == Op::constant && !n.literal_attr("value").is_uniform();
}

bool is_given(const Graph& g, Value v) { return g[v].op == Op::input || is_stored_constant(g[v]); }

bool is_reduction(const Node& n) { return lowers_as<LowerReduce>(n.op); }

ExprId Expressions::element(Value v, const Index& index) {
  return is_leaf_(v) ? leaf_(v, index) : compute(v, index);
}

ExprId Expressions::compute(Value v, const Index& index) {
  const Node& n = g_[v];
  const Lowering& lowering = op_def(n.op).lowering;
  if (const auto* e = std::get_if<LowerElementwise>(&lowering)) {
    std::vector<ExprId> operands;
    for (const Value o : n.operands) operands.push_back(element(o, index));
    return b_.scalar(e->op, n.type.element, std::move(operands));
  }
  if (const auto* view = std::get_if<LowerView>(&lowering))
    return element(n.operands[0], view->map(b_, g_, n, index));
  if (const auto* generate = std::get_if<LowerGenerate>(&lowering))
    return generate->make(b_, g_, n, index, [&](int k, const Index& at) {
      return element(n.operands[static_cast<std::size_t>(k)], at);
    });
  throw InternalError(fmt::format("{} is no scalar expression of its operands", op_name(n.op)));
}

namespace {

/// The polynomial an integer expression without axes stands for.
std::optional<Dim> as_dim(const loop::Kernel& k, ExprId id) {
  const std::optional<Affine> a = as_affine(k, id);
  if (!a || !a->strides.empty()) return std::nullopt;
  return a->base;
}

}  // namespace

std::optional<Affine> as_affine(const loop::Kernel& k, ExprId id) {
  const loop::Expr& e = k.exprs.at(static_cast<std::size_t>(id));
  switch (e.kind) {
    case ExprKind::Constant:
      return Affine{Dim(e.integer), {}};
    case ExprKind::DimValue:
      return Affine{e.dim, {}};
    case ExprKind::Axis:
      return Affine{Dim(0), {{e.axis, Dim(1)}}};
    case ExprKind::Scalar:
      break;
    default:
      return std::nullopt;
  }
  if (e.op == ScalarOp::Add || e.op == ScalarOp::Sub) {
    auto a = as_affine(k, e.operands[0]);
    const auto b = as_affine(k, e.operands[1]);
    if (!a || !b) return std::nullopt;
    const Dim sign = e.op == ScalarOp::Add ? 1 : -1;
    a->base = a->base + b->base * sign;
    for (const auto& [axis, stride] : b->strides) {
      Dim& s = a->strides[axis];
      s = s + stride * sign;
      if (s == Dim(0)) a->strides.erase(axis);
    }
    return a;
  }
  if (e.op == ScalarOp::Mul) {
    for (int factor = 0; factor < 2; ++factor) {
      const auto by = as_dim(k, e.operands[static_cast<std::size_t>(factor)]);
      if (!by) continue;
      auto a = as_affine(k, e.operands[static_cast<std::size_t>(1 - factor)]);
      if (!a) return std::nullopt;
      a->base = a->base * *by;
      for (auto& [axis, stride] : a->strides) stride = stride * *by;
      return a;
    }
  }
  return std::nullopt;
}

}  // namespace dlc
