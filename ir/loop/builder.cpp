// Expressions are value-numbered: `intern` returns the id of an equal expression when there is one.
// Integer arithmetic is folded and simplified on the way, so that index expressions stay affine
// where they are.
#include <algorithm>
#include <bit>
#include <optional>

#include "ir/loop/loop.h"
#include "ir/support/check.h"

namespace dlc::loop {

namespace {

bool same(const Expr& a, const Expr& b) {
  // Bit by bit: 0 and -0 are two constants.
  const bool equal_value =
      std::bit_cast<std::uint64_t>(a.value) == std::bit_cast<std::uint64_t>(b.value);
  return a.kind == b.kind && a.type == b.type && a.op == b.op && a.operands == b.operands &&
         equal_value && a.integer == b.integer && a.axis == b.axis && a.buffer == b.buffer &&
         a.stage == b.stage && a.reduction == b.reduction && a.dim == b.dim;
}

/// The value of an integer constant, however it is held.
std::optional<std::int64_t> integer_value(const Expr& e) {
  if (e.kind == ExprKind::Constant && !is_float(e.type)) return e.integer;
  return std::nullopt;
}

}  // namespace

ExprId KernelBuilder::intern(Expr e) {
  // Kernels have tens of expressions: a search from the end is quicker than a table.
  for (std::size_t k = k_.exprs.size(); k-- > 0;)
    if (same(k_.exprs[k], e)) return static_cast<ExprId>(k);
  k_.exprs.push_back(std::move(e));
  return static_cast<ExprId>(k_.exprs.size() - 1);
}

AxisId KernelBuilder::axis(std::string name, Dim extent) {
  k_.axes.push_back({std::move(name), std::move(extent)});
  return static_cast<AxisId>(k_.axes.size() - 1);
}

ExprId KernelBuilder::axis_value(AxisId a) {
  // An axis of one point is its only index.
  if (k_.axes.at(static_cast<std::size_t>(a)).extent == Dim(1)) return integer(0);
  Expr e{ExprKind::Axis, ElementType::I64};
  e.axis = a;
  return intern(std::move(e));
}

ExprId KernelBuilder::constant(ElementType t, double v) {
  if (!is_float(t)) return integer(static_cast<std::int64_t>(v), t);
  Expr e{ExprKind::Constant, t};
  e.value = v;
  return intern(std::move(e));
}

ExprId KernelBuilder::integer(std::int64_t v, ElementType t) {
  if (is_float(t)) return constant(t, static_cast<double>(v));
  Expr e{ExprKind::Constant, t};
  e.integer = v;
  return intern(std::move(e));
}

ExprId KernelBuilder::dim(const Dim& d) {
  if (d.is_constant()) return integer(d.value());
  Expr e{ExprKind::DimValue, ElementType::I64};
  e.dim = d;
  return intern(std::move(e));
}

ExprId KernelBuilder::load(BufferId buffer, ElementType t, ExprId offset) {
  Expr e{ExprKind::Load, t};
  e.buffer = buffer;
  e.operands = {offset};
  return intern(std::move(e));
}

ExprId KernelBuilder::row_value(int stage, int reduction, ElementType t) {
  Expr e{ExprKind::RowValue, t};
  e.stage = stage;
  e.reduction = reduction;
  return intern(std::move(e));
}

ExprId KernelBuilder::accumulator(ElementType t) { return intern(Expr{ExprKind::Accumulator, t}); }

ExprId KernelBuilder::scalar(ScalarOp op, ElementType t, std::vector<ExprId> operands) {
  if (operands.size() == 2 && t == ElementType::I64) {
    const auto a = integer_value(k_.exprs[static_cast<std::size_t>(operands[0])]);
    const auto b = integer_value(k_.exprs[static_cast<std::size_t>(operands[1])]);
    const auto wrap = [](auto x) { return static_cast<std::int64_t>(x); };
    const auto u = [](std::int64_t x) { return static_cast<std::uint64_t>(x); };
    if (a && b) {
      if (op == ScalarOp::Add) return integer(wrap(u(*a) + u(*b)));
      if (op == ScalarOp::Sub) return integer(wrap(u(*a) - u(*b)));
      if (op == ScalarOp::Mul) return integer(wrap(u(*a) * u(*b)));
    }
    if (op == ScalarOp::Add && a == 0) return operands[1];
    if ((op == ScalarOp::Add || op == ScalarOp::Sub) && b == 0) return operands[0];
    if (op == ScalarOp::Mul && (a == 0 || b == 0)) return integer(0);
    if (op == ScalarOp::Mul && a == 1) return operands[1];
    if ((op == ScalarOp::Mul || op == ScalarOp::Div) && b == 1) return operands[0];
    if (op == ScalarOp::Rem && b == 1) return integer(0);
  }
  Expr e{ExprKind::Scalar, t};
  e.op = op;
  e.operands = std::move(operands);
  return intern(std::move(e));
}

ExprId KernelBuilder::add(ExprId a, ExprId b) { return scalar(ScalarOp::Add, type(a), {a, b}); }
ExprId KernelBuilder::mul(ExprId a, ExprId b) { return scalar(ScalarOp::Mul, type(a), {a, b}); }

ExprId KernelBuilder::clamped(ExprId at, const Dim& extent) {
  const ExprId below = scalar(ScalarOp::Min, ElementType::I64, {at, dim(extent - Dim(1))});
  return scalar(ScalarOp::Max, ElementType::I64, {integer(0), below});
}

ExprId KernelBuilder::linear_offset(std::vector<ExprId> index, Shape shape) {
  DLC_CHECK(index.size() == shape.size(), "{} indices for {} axes", index.size(), shape.size());
  // Axes that were joined are what they were.
  for (std::size_t k = shape.size(); k-- > 0;)
    for (const Linear& joined : linear_) {
      if (index[k] != joined.offset || joined.shape.size() < 2 ||
          !(element_count(joined.shape) == shape[k]))
        continue;
      const auto at = static_cast<std::ptrdiff_t>(k);
      index.erase(index.begin() + at);
      shape.erase(shape.begin() + at);
      index.insert(index.begin() + at, joined.index.begin(), joined.index.end());
      shape.insert(shape.begin() + at, joined.shape.begin(), joined.shape.end());
      break;
    }
  // And axes that were taken apart are one again.
  std::vector<ExprId> of = index;
  Shape extents = shape;
  for (const Linear& d : delinearized_) {
    const auto at = std::search(of.begin(), of.end(), d.index.begin(), d.index.end());
    const auto place = at - of.begin(), count = std::ssize(d.index);
    if (count < 2 || at == of.end() ||
        !std::equal(d.shape.begin(), d.shape.end(), extents.begin() + place))
      continue;
    of.erase(at + 1, at + count);
    extents.erase(extents.begin() + place + 1, extents.begin() + place + count);
    of[static_cast<std::size_t>(place)] = d.offset;
    extents[static_cast<std::size_t>(place)] = element_count(d.shape);
  }
  ExprId offset = integer(0);
  Dim stride = 1;
  for (std::size_t k = of.size(); k-- > 0;) {
    offset = add(mul(of[k], dim(stride)), offset);
    stride = stride * extents[k];
  }
  linear_.push_back({std::move(index), std::move(shape), offset});
  return offset;
}

std::vector<ExprId> KernelBuilder::delinearize(ExprId offset, const Shape& shape) {
  std::vector<ExprId> index(shape.size());
  const ExprId whole = offset;
  for (std::size_t k = shape.size(); k-- > 0;) {
    // The leading index needs no remainder: the offset is in range.
    bool leading = true;
    for (std::size_t j = 0; j < k; ++j) leading = leading && shape[j] == Dim(1);
    if (shape[k] == Dim(1)) {
      index[k] = integer(0);
      continue;
    }
    const ExprId extent = dim(shape[k]);
    index[k] = leading ? offset : scalar(ScalarOp::Rem, ElementType::I64, {offset, extent});
    if (!leading)
      offset = scalar(ScalarOp::Div, ElementType::I64, {offset, extent});
    else
      offset = integer(0);
  }
  delinearized_.push_back({index, shape, whole});
  return index;
}

}  // namespace dlc::loop
