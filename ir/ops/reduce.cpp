// Reductions: the named axes disappear.
#include <algorithm>
#include <limits>

#include "ir/ops/common.h"

namespace dlc::ops {

namespace {

const Dim kN = Dim::symbol("N");

Shape without(const Shape& shape, const Extents& axes) {
  Shape rest;
  for (std::size_t k = 0; k < shape.size(); ++k)
    if (std::find(axes.begin(), axes.end(), static_cast<std::int64_t>(k)) == axes.end())
      rest.push_back(shape[k]);
  return rest;
}

Inferred infer_reduce(Operands o, const Attrs& attrs) {
  if (o.size() != 1) return wrong("1 operand expected, {} given", o.size());
  if (!is_number(o[0].element)) return wrong("the operand is {}; numbers are expected", o[0].str());
  std::string error;
  const Extents* axes = axes_attr(attrs, o[0].rank(), error);
  if (!axes) return wrong("{}", error);
  return ok({o[0].element, without(o[0].shape, *axes)});
}

Inferred infer_arg_reduce(Operands o, const Attrs& attrs) {
  if (o.size() != 1) return wrong("1 operand expected, {} given", o.size());
  const auto axis = axis_attr(attrs, o[0].rank());
  if (!axis) return wrong("`axis` is no axis of {}", o[0].str());
  return ok({I32, without(o[0].shape, {*axis})});
}

/// Visits each element of the operand with the offset of the result element that it belongs to.
void for_each_reduced(
    const Literal& from, const Extents& axes,
    const std::function<void(std::int64_t to, std::int64_t k, const Extents& index)>& f) {
  Extents kept_shape, strides(from.shape.size(), 0);
  for (std::size_t k = 0; k < from.shape.size(); ++k)
    if (std::find(axes.begin(), axes.end(), static_cast<std::int64_t>(k)) == axes.end())
      kept_shape.push_back(from.shape[k]);
  const Extents kept = row_major_strides(kept_shape);
  for (std::size_t k = 0, at = 0; k < from.shape.size(); ++k)
    if (std::find(axes.begin(), axes.end(), static_cast<std::int64_t>(k)) == axes.end())
      strides[k] = kept[at++];
  for_each_index(from.shape, [&](const Extents& i, std::int64_t k) {
    std::int64_t to = 0;
    for (std::size_t a = 0; a < i.size(); ++a) to += i[a] * strides[a];
    f(to, k, i);
  });
}

struct Fold {
  double float_start;
  std::int64_t integer_start;
  double (*f)(double, double);
  std::int64_t (*i)(std::int64_t, std::int64_t);
};

Literal evaluate_reduce(const Node& n, const Literal& from, const Type& result, const Fold& fold) {
  Literal out = literal_of(result);
  std::fill(out.f.begin(), out.f.end(), fold.float_start);
  std::fill(out.i.begin(), out.i.end(), fold.integer_start);
  for_each_reduced(from, n.ints_attr("axes"), [&](std::int64_t to, std::int64_t k, const Extents&) {
    const auto t = static_cast<std::size_t>(to), at = static_cast<std::size_t>(k);
    if (is_float(out.element))
      out.f[t] = fold.f(out.f[t], from.f[at]);
    else
      out.i[t] = fold.i(out.i[t], from.i[at]);
  });
  out.wrap();
  return out;
}

/// `v` (of the reduced shape) repeated along the reduced axes again.
Value spread(GraphBuilder& b, Value v, const Shape& shape, const Extents& axes) {
  Extents dims;
  for (std::size_t k = 0; k < shape.size(); ++k)
    if (std::find(axes.begin(), axes.end(), static_cast<std::int64_t>(k)) == axes.end())
      dims.push_back(static_cast<std::int64_t>(k));
  return b.broadcast(v, shape, dims);
}

/// dx = dy * (x == y) / (how many are equal): the gradient is shared among ties.
V extremum_gradient(GraphBuilder& b, Value y, Value dy) {
  const Value x = b.graph()[y].operands[0];
  const Extents axes = b.graph()[y].ints_attr("axes");
  const Type type = b.type(x);
  const Value ties = b.convert(b.node(Op::eq, {x, spread(b, y, type.shape, axes)}), type.element);
  const Value share = b.div(dy, b.reduce(Op::reduce_sum, ties, axes));
  return {b.mul(ties, spread(b, share, type.shape, axes))};
}

Literal evaluate_arg(const Node& n, const Literal& from, const Type& result, bool largest) {
  Literal out = literal_of(result);
  const std::int64_t axis = n.int_attr("axis");
  if (!is_float(from.element)) {
    std::vector<std::int64_t> best(out.i.size());
    for_each_reduced(from, {axis}, [&](std::int64_t to, std::int64_t k, const Extents& index) {
      const auto t = static_cast<std::size_t>(to);
      const std::int64_t i = index[static_cast<std::size_t>(axis)],
                         v = from.i[static_cast<std::size_t>(k)];
      if (i > 0 && !(largest ? v > best[t] : v < best[t])) return;
      best[t] = v;
      out.i[t] = i;
    });
    return out;
  }
  std::vector<double> best(out.i.size());
  for_each_reduced(from, {axis}, [&](std::int64_t to, std::int64_t k, const Extents& index) {
    const auto t = static_cast<std::size_t>(to);
    const std::int64_t i = index[static_cast<std::size_t>(axis)];
    const double v = from.f[static_cast<std::size_t>(k)];
    const bool better =
        i == 0 || (largest ? v > best[t] : v < best[t]) || (std::isnan(v) && !std::isnan(best[t]));
    if (better && !(i > 0 && std::isnan(best[t]))) {
      best[t] = v;
      out.i[t] = i;
    }
  });
  return out;
}

std::vector<Sample> reduce_samples(double lo, double hi, std::vector<ElementType> elements) {
  std::vector<Sample> samples;
  for (const ElementType e : elements) {
    samples.push_back({{t(e, {7})}, {{"axes", Extents{0}}}, lo, hi});
    samples.push_back({{t(e, {kN, 19})}, {{"axes", Extents{1}}}, lo, hi});
    samples.push_back({{t(e, {kN, 19})}, {{"axes", Extents{0}}}, lo, hi});
    samples.push_back({{t(e, {2, 3, 4})}, {{"axes", Extents{0, 2}}}, lo, hi});
    samples.push_back({{t(e, {3, 33})}, {{"axes", Extents{0, 1}}}, lo, hi});
  }
  return samples;
}

std::vector<Sample> arg_samples() {
  std::vector<Sample> samples;
  for (const ElementType e : {F32, F64, I32, U8})
    for (const std::int64_t axis : {0, 1})
      samples.push_back({{t(e, {kN, 11})}, {{"axis", axis}}, 0, 9});
  return samples;
}

}  // namespace

extern const OpDef reduce_sum_def{
    .name = "reduce_sum",
    .doc = "the sum over {axes}",
    .infer = infer_reduce,
    // dx = dy, repeated
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      const Value x = b.graph()[y].operands[0];
      return {spread(b, dy, Shape(b.type(x).shape), Extents(b.graph()[y].ints_attr("axes")))};
    }),
    .evaluate =
        [](const Node& n, Literals o, const Type& r) {
          return evaluate_reduce(n, o[0], r,
                                 {0, 0, [](double a, double b) { return a + b; },
                                  [](std::int64_t a, std::int64_t b) {
                                    return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) +
                                                                     static_cast<std::uint64_t>(b));
                                  }});
        },
    .lowering = LowerReduce{loop::ReduceKind::Sum},
    .samples = reduce_samples(-2, 2, {F32, F64, BF16, F16, I32, I64, U8}),
};

extern const OpDef reduce_prod_def{
    .name = "reduce_prod",
    .doc = "the product over {axes}",
    .infer = infer_reduce,
    // dx = dy * p / x' where no other element is 0, else 0: x' is x with 1 for 0, and p its product
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      const Value x = b.graph()[y].operands[0];
      const Type type = b.type(x);
      const Extents axes = b.graph()[y].ints_attr("axes");
      const Value none = constant_like(b, x, 0);
      const Value is_zero = b.node(Op::eq, {x, none});
      const Value nonzero = b.select(is_zero, constant_like(b, x, 1), x);
      const Value zeros = b.convert(is_zero, type.element);
      const Value all = spread(b, b.reduce(Op::reduce_sum, zeros, axes), type.shape, axes);
      const Value product = b.mul(dy, b.reduce(Op::reduce_prod, nonzero, axes));
      const Value others = b.div(spread(b, product, type.shape, axes), nonzero);
      return {b.select(b.node(Op::eq, {all, zeros}), others, none)};
    }),
    .evaluate =
        [](const Node& n, Literals o, const Type& r) {
          return evaluate_reduce(n, o[0], r,
                                 {1, 1, [](double a, double b) { return a * b; },
                                  [](std::int64_t a, std::int64_t b) {
                                    return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) *
                                                                     static_cast<std::uint64_t>(b));
                                  }});
        },
    .lowering = LowerReduce{loop::ReduceKind::Prod},
    .samples = reduce_samples(0.7, 1.4, {F32, F64, I64}),
};

extern const OpDef reduce_max_def{
    .name = "reduce_max",
    .doc = "the largest over {axes}; NaN where one is",
    .infer = infer_reduce,
    .gradient = GradientFn(extremum_gradient),
    .evaluate =
        [](const Node& n, Literals o, const Type& r) {
          return evaluate_reduce(n, o[0], r,
                                 {-HUGE_VAL,
                                  r.element == I32  ? INT32_MIN
                                  : r.element == U8 ? 0
                                                    : INT64_MIN,
                                  [](double a, double b) { return a > b || std::isnan(a) ? a : b; },
                                  [](std::int64_t a, std::int64_t b) { return std::max(a, b); }});
        },
    .lowering = LowerReduce{loop::ReduceKind::Max},
    .samples = reduce_samples(-2, 2, {F32, F64, BF16, I32, I64, U8}),
};

extern const OpDef reduce_min_def{
    .name = "reduce_min",
    .doc = "the smallest over {axes}; NaN where one is",
    .infer = infer_reduce,
    .gradient = GradientFn(extremum_gradient),
    .evaluate =
        [](const Node& n, Literals o, const Type& r) {
          return evaluate_reduce(n, o[0], r,
                                 {HUGE_VAL,
                                  r.element == I32  ? INT32_MAX
                                  : r.element == U8 ? 255
                                                    : INT64_MAX,
                                  [](double a, double b) { return a < b || std::isnan(a) ? a : b; },
                                  [](std::int64_t a, std::int64_t b) { return std::min(a, b); }});
        },
    .lowering = LowerReduce{loop::ReduceKind::Min},
    .samples = reduce_samples(-2, 2, {F32, F64, I32, U8}),
};

extern const OpDef argmax_def{
    .name = "argmax",
    .doc = "i32 place of the largest along {axis}, the first of equals",
    .infer = infer_arg_reduce,
    .gradient = NotDifferentiable{"its result is an integer"},
    .evaluate = [](const Node& n, Literals o,
                   const Type& r) { return evaluate_arg(n, o[0], r, true); },
    .lowering = LowerReduce{loop::ReduceKind::ArgMax},
    .samples = arg_samples(),
};

extern const OpDef argmin_def{
    .name = "argmin",
    .doc = "i32 place of the smallest along {axis}, the first of equals",
    .infer = infer_arg_reduce,
    .gradient = NotDifferentiable{"its result is an integer"},
    .evaluate = [](const Node& n, Literals o,
                   const Type& r) { return evaluate_arg(n, o[0], r, false); },
    .lowering = LowerReduce{loop::ReduceKind::ArgMin},
    .samples = arg_samples(),
};

}  // namespace dlc::ops
