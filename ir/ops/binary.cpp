// Elementwise operations on two or three operands of equal type and shape.
#include "ir/ops/common.h"

namespace dlc::ops {

namespace {

std::int64_t wrap(std::uint64_t v) { return static_cast<std::int64_t>(v); }
std::uint64_t u(std::int64_t v) { return static_cast<std::uint64_t>(v); }

/// Floor division; by zero it is 0, and INT64_MIN / -1 wraps.
std::int64_t floor_div(std::int64_t a, std::int64_t b) {
  if (b == 0) return 0;
  if (b == -1) return wrap(-u(a));
  const std::int64_t q = a / b;
  return q - ((a % b != 0) && ((a < 0) != (b < 0)));
}

struct Pair {
  Value a, b;
};
Pair operands_of(GraphBuilder& b, Value y) {
  return {b.graph()[y].operands[0], b.graph()[y].operands[1]};
}

/// The derivative of a^n with respect to a; a square's is 2 a, as one would write it.
Value power_slope(GraphBuilder& b, Value a, Value n) {
  const Graph& g = b.graph();
  const Value scalar = g[n].op == Op::broadcast ? g[n].operands[0] : n;
  const bool square = g[scalar].op == Op::constant && g[scalar].type.shape.empty() &&
                      g[scalar].literal_attr("value").at(0) == 2;
  if (square) return b.mul(n, a);
  return b.mul(n, b.node(Op::pow, {a, b.sub(n, constant_like(b, n, 1))}));
}

}  // namespace

extern const OpDef add_def{
    .name = "add",
    .doc = "a + b",
    .infer = infer_number_binary,
    // da = dy, db = dy
    .gradient = GradientFn([](GraphBuilder&, Value, Value dy) -> V {
      return {dy, dy};
    }),
    .evaluate =
        [](const Node&, Literals o, const Type& r) {
          return map2(
              r, o[0], o[1], [](double a, double b) { return a + b; },
              [](std::int64_t a, std::int64_t b) { return wrap(u(a) + u(b)); });
        },
    .lowering = LowerElementwise{ScalarOp::Add},
    .samples = binary_samples(-2, 2, {F32, F64, BF16, F16, I32, I64, U8}),
};

extern const OpDef sub_def{
    .name = "sub",
    .doc = "a - b",
    .infer = infer_number_binary,
    // da = dy, db = -dy
    .gradient = GradientFn([](GraphBuilder& b, Value, Value dy) -> V {
      return {dy, b.neg(dy)};
    }),
    .evaluate =
        [](const Node&, Literals o, const Type& r) {
          return map2(
              r, o[0], o[1], [](double a, double b) { return a - b; },
              [](std::int64_t a, std::int64_t b) { return wrap(u(a) - u(b)); });
        },
    .lowering = LowerElementwise{ScalarOp::Sub},
    .samples = binary_samples(-2, 2, {F32, F64, I32, U8}),
};

extern const OpDef mul_def{
    .name = "mul",
    .doc = "a * b",
    .infer = infer_number_binary,
    // da = dy * b, db = dy * a
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      const Pair o = operands_of(b, y);
      return {b.mul(dy, o.b), b.mul(dy, o.a)};
    }),
    .evaluate =
        [](const Node&, Literals o, const Type& r) {
          return map2(
              r, o[0], o[1], [](double a, double b) { return a * b; },
              [](std::int64_t a, std::int64_t b) { return wrap(u(a) * u(b)); });
        },
    .lowering = LowerElementwise{ScalarOp::Mul},
    .samples = binary_samples(-2, 2, {F32, F64, BF16, F16, I32, I64}),
};

extern const OpDef div_def{
    .name = "div",
    .doc = "a / b; of integers the floor, and 0 where b is 0",
    .infer = infer_number_binary,
    // da = dy / b, db = -dy * y / b
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      const Value by = operands_of(b, y).b;
      const Value da = b.div(dy, by);
      return {da, b.neg(b.mul(da, y))};
    }),
    .evaluate =
        [](const Node&, Literals o, const Type& r) {
          return map2(
              r, o[0], o[1], [](double a, double b) { return a / b; }, floor_div);
        },
    .lowering = LowerElementwise{ScalarOp::Div},
    .samples = binary_samples(0.5, 9, {F32, F64, BF16, F16, I32, I64, U8}),
};

extern const OpDef rem_def{
    .name = "rem",
    .doc =
        "what a leaves over a multiple of b, exact, with the sign of b; of integers a where b is 0",
    .infer = infer_number_binary,
    // da = dy, db = -dy * floor(a / b)
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      const Pair o = operands_of(b, y);
      return {dy, b.neg(b.mul(dy, b.node(Op::floor, {b.div(o.a, o.b)})))};
    }),
    .evaluate =
        [](const Node&, Literals o, const Type& r) {
          return map2(
              r, o[0], o[1],
              [](double a, double b) {
                const double rest = std::fmod(a, b);
                return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
              },
              [](std::int64_t a, std::int64_t b) {
                return wrap(u(a) - u(floor_div(a, b)) * u(b));
              });
        },
    .lowering = LowerElementwise{ScalarOp::Rem},
    .samples = {{{t(F64, {7}), t(F64, {7})}, {}, 2.1, 2.9},
                {{t(F32, {Dim::symbol("N"), 5}), t(F32, {Dim::symbol("N"), 5})}, {}, -9, 9},
                {{t(I32, {9}), t(I32, {9})}, {}, -9, 9}},
};

extern const OpDef pow_def{
    .name = "pow",
    .doc = "a ^ b",
    .infer = [](Operands o, const Attrs&) { return infer_same(o, 2, is_float, "floats are"); },
    // da = dy * b * a^(b-1), db = dy * y * log(a) where a > 0, else 0
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      const Pair o = operands_of(b, y);
      const Value one = constant_like(b, y, 1), zero = constant_like(b, y, 0);
      const Value da = b.mul(dy, power_slope(b, o.a, o.b));
      const Value positive = b.node(Op::lt, {zero, o.a});
      const Value log_a = b.node(Op::log, {b.select(positive, o.a, one)});
      return {da, b.mul(dy, b.mul(y, log_a))};
    }),
    .evaluate =
        [](const Node&, Literals o, const Type& r) {
          return map2(r, o[0], o[1], [](double a, double b) { return std::pow(a, b); });
        },
    .lowering = LowerElementwise{ScalarOp::Pow},
    .samples = binary_samples(0.5, 3),
};

extern const OpDef max_def{
    .name = "max",
    .doc = "the larger; NaN where either is",
    .infer = infer_number_binary,
    // da = dy * (y > b), db = dy * !(y > b): y > b says the same as a > b, and a need not be kept
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      const Pair o = operands_of(b, y);
      const Value first = b.node(Op::lt, {o.b, y}), zero = constant_like(b, y, 0);
      return {b.select(first, dy, zero), b.select(first, zero, dy)};
    }),
    .evaluate =
        [](const Node&, Literals o, const Type& r) {
          return map2(
              r, o[0], o[1], [](double a, double b) { return a > b || std::isnan(a) ? a : b; },
              [](std::int64_t a, std::int64_t b) { return a > b ? a : b; });
        },
    .lowering = LowerElementwise{ScalarOp::Max},
    .samples = binary_samples(-2, 2, {F32, F64, BF16, F16, I32, U8}),
};

extern const OpDef min_def{
    .name = "min",
    .doc = "the smaller; NaN where either is",
    .infer = infer_number_binary,
    // da = dy * (y < b), db = dy * !(y < b)
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      const Pair o = operands_of(b, y);
      const Value first = b.node(Op::lt, {y, o.b}), zero = constant_like(b, y, 0);
      return {b.select(first, dy, zero), b.select(first, zero, dy)};
    }),
    .evaluate =
        [](const Node&, Literals o, const Type& r) {
          return map2(
              r, o[0], o[1], [](double a, double b) { return a < b || std::isnan(a) ? a : b; },
              [](std::int64_t a, std::int64_t b) { return a < b ? a : b; });
        },
    .lowering = LowerElementwise{ScalarOp::Min},
    .samples = binary_samples(-2, 2, {F32, F64, I32, U8}),
};

extern const OpDef eq_def{
    .name = "eq",
    .doc = "a == b",
    .infer = infer_comparison,
    .gradient = NotDifferentiable{"a comparison gives bools"},
    .evaluate =
        [](const Node&, Literals o, const Type& r) {
          return map2(
              r, o[0], o[1], [](double a, double b) { return double(a == b); },
              [](std::int64_t a, std::int64_t b) { return std::int64_t(a == b); });
        },
    .lowering = LowerElementwise{ScalarOp::Eq},
    .samples = binary_samples(0, 3, {F32, F64, I32, I64, U8, Bool}),
};

extern const OpDef ne_def{
    .name = "ne",
    .doc = "a != b",
    .infer = infer_comparison,
    .gradient = NotDifferentiable{"a comparison gives bools"},
    .evaluate =
        [](const Node&, Literals o, const Type& r) {
          return map2(
              r, o[0], o[1], [](double a, double b) { return double(a != b); },
              [](std::int64_t a, std::int64_t b) { return std::int64_t(a != b); });
        },
    .lowering = LowerElementwise{ScalarOp::Ne},
    .samples = binary_samples(0, 3, {F32, F64, I32, U8, Bool}),
};

extern const OpDef lt_def{
    .name = "lt",
    .doc = "a < b",
    .infer = infer_comparison,
    .gradient = NotDifferentiable{"a comparison gives bools"},
    .evaluate =
        [](const Node&, Literals o, const Type& r) {
          return map2(
              r, o[0], o[1], [](double a, double b) { return double(a < b); },
              [](std::int64_t a, std::int64_t b) { return std::int64_t(a < b); });
        },
    .lowering = LowerElementwise{ScalarOp::Lt},
    .samples = binary_samples(0, 3, {F32, F64, BF16, F16, I32, I64, U8}),
};

extern const OpDef le_def{
    .name = "le",
    .doc = "a <= b",
    .infer = infer_comparison,
    .gradient = NotDifferentiable{"a comparison gives bools"},
    .evaluate =
        [](const Node&, Literals o, const Type& r) {
          return map2(
              r, o[0], o[1], [](double a, double b) { return double(a <= b); },
              [](std::int64_t a, std::int64_t b) { return std::int64_t(a <= b); });
        },
    .lowering = LowerElementwise{ScalarOp::Le},
    .samples = binary_samples(0, 3, {F32, F64, I32, U8}),
};

extern const OpDef logical_and_def{
    .name = "logical_and",
    .doc = "a and b, of bools",
    .infer = infer_logical,
    .gradient = NotDifferentiable{"its result is bool"},
    .evaluate =
        [](const Node&, Literals o, const Type& r) {
          return map2(r, o[0], o[1], nullptr, [](std::int64_t a, std::int64_t b) { return a & b; });
        },
    .lowering = LowerElementwise{ScalarOp::And},
    .samples = binary_samples(0, 2, {Bool}),
};

extern const OpDef logical_or_def{
    .name = "logical_or",
    .doc = "a or b, of bools",
    .infer = infer_logical,
    .gradient = NotDifferentiable{"its result is bool"},
    .evaluate =
        [](const Node&, Literals o, const Type& r) {
          return map2(r, o[0], o[1], nullptr, [](std::int64_t a, std::int64_t b) { return a | b; });
        },
    .lowering = LowerElementwise{ScalarOp::Or},
    .samples = binary_samples(0, 2, {Bool}),
};

extern const OpDef select_def{
    .name = "select",
    .doc = "a where the bool condition holds, else b",
    .infer = [](Operands o, const Attrs&) -> Inferred {
      if (o.size() != 3) return wrong("3 operands expected, {} given", o.size());
      if (o[0].element != Bool) return wrong("the condition is {}; a bool is expected", o[0].str());
      if (!(o[1] == o[2]))
        return wrong("the two choices are {} and {}; they must be equal", o[1].str(), o[2].str());
      if (o[0].shape != o[1].shape)
        return wrong("the condition is {}, the choices are {}; their shapes must be equal",
                     o[0].str(), o[1].str());
      return ok(o[1]);
    },
    // da = dy where the condition holds, db = dy where it does not
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      const Value condition = b.graph()[y].operands[0], zero = constant_like(b, y, 0);
      return {Value{}, b.select(condition, dy, zero), b.select(condition, zero, dy)};
    }),
    .evaluate =
        [](const Node&, Literals o, const Type& r) {
          Literal out = literal_of(r);
          for (std::int64_t k = 0; k < out.size(); ++k)
            copy_element(out, k, o[0].i[static_cast<std::size_t>(k)] ? o[1] : o[2], k);
          return out;
        },
    .lowering = LowerElementwise{ScalarOp::Select},
    .samples = {{{t(Bool, {5}), t(F64, {5}), t(F64, {5})}, {}},
                {{t(Bool, {Dim::symbol("N"), 3}), t(F32, {Dim::symbol("N"), 3}),
                  t(F32, {Dim::symbol("N"), 3})},
                 {}},
                {{t(Bool, {4}), t(I32, {4}), t(I32, {4})}, {}}},
};

}  // namespace dlc::ops
