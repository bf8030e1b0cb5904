// Elementwise operations on one operand.
#include "ir/ops/common.h"

namespace dlc::ops {

namespace {

/// Names the derivative of y = f(x) as textbooks do: the slope of `a = sigmoid(z)` is
/// `sigmoid_prime.z`.
Value slope(GraphBuilder& b, Value y, Value derivative) {
  const Node& n = b.graph()[y];
  const std::string& x = b.graph()[n.operands[0]].name;
  if (!x.empty()) b.graph()[derivative].name = fmt::format("{}_prime.{}", op_name(n.op), x);
  return derivative;
}

}  // namespace

extern const OpDef abs_def{
    .name = "abs",
    .doc = "|x|",
    .infer = infer_number_unary,
    // dx = dy * sign(x)
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      const Value x = b.graph()[y].operands[0];
      return {b.mul(dy, b.node(Op::sign, {x}))};
    }),
    .evaluate =
        [](const Node&, Literals o, const Type& r) {
          return map1(
              r, o[0], [](double x) { return std::abs(x); },
              [](std::int64_t x) {
                return x < 0 ? static_cast<std::int64_t>(-static_cast<std::uint64_t>(x)) : x;
              });
        },
    .lowering = LowerElementwise{ScalarOp::Abs},
    .samples = unary_samples(0.2, 2, {F32, F64, BF16, F16, I32, I64, U8}),
};

extern const OpDef neg_def{
    .name = "neg",
    .doc = "-x",
    .infer = infer_number_unary,
    // dx = -dy
    .gradient = GradientFn([](GraphBuilder& b, Value, Value dy) -> V { return {b.neg(dy)}; }),
    .evaluate =
        [](const Node&, Literals o, const Type& r) {
          return map1(
              r, o[0], [](double x) { return -x; },
              [](std::int64_t x) {
                return static_cast<std::int64_t>(-static_cast<std::uint64_t>(x));
              });
        },
    .lowering = LowerElementwise{ScalarOp::Neg},
    .samples = unary_samples(-2, 2, {F32, F64, BF16, F16, I32}),
};

extern const OpDef sign_def{
    .name = "sign",
    .doc = "-1, 0 or 1; NaN stays NaN",
    .infer = infer_number_unary,
    .gradient = ZeroGradient{"piecewise constant"},
    .evaluate =
        [](const Node&, Literals o, const Type& r) {
          return map1(
              r, o[0], [](double x) { return x > 0   ? 1.0
                                             : x < 0 ? -1.0
                                                     : x; },
              [](std::int64_t x) -> std::int64_t { return x > 0   ? 1
                                                          : x < 0 ? -1
                                                                  : 0; });
        },
    .lowering = LowerElementwise{ScalarOp::Sign},
    .samples = unary_samples(-2, 2, {F32, F64, I32, I64}),
};

extern const OpDef floor_def{
    .name = "floor",
    .doc = "the largest whole number <= x",
    .infer = infer_float_unary,
    .gradient = ZeroGradient{"piecewise constant"},
    .evaluate = [](const Node&, Literals o,
                   const Type& r) { return map1(r, o[0], [](double x) { return std::floor(x); }); },
    .lowering = LowerElementwise{ScalarOp::Floor},
    .samples = unary_samples(-5, 5, {F32, F64, BF16, F16}),
};

extern const OpDef ceil_def{
    .name = "ceil",
    .doc = "the smallest whole number >= x",
    .infer = infer_float_unary,
    .gradient = ZeroGradient{"piecewise constant"},
    .evaluate = [](const Node&, Literals o,
                   const Type& r) { return map1(r, o[0], [](double x) { return std::ceil(x); }); },
    .lowering = LowerElementwise{ScalarOp::Ceil},
    .samples = unary_samples(-5, 5),
};

extern const OpDef round_def{
    .name = "round",
    .doc = "the nearest whole number, ties to even",
    .infer = infer_float_unary,
    .gradient = ZeroGradient{"piecewise constant"},
    .evaluate =
        [](const Node&, Literals o, const Type& r) {
          return map1(r, o[0], [](double x) { return std::nearbyint(x); });
        },
    .lowering = LowerElementwise{ScalarOp::Round},
    .samples = unary_samples(-5, 5),
};

extern const OpDef sqrt_def{
    .name = "sqrt",
    .doc = "the square root",
    .infer = infer_float_unary,
    // dx = dy / (2 y)
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      return {b.div(dy, b.mul(constant_like(b, y, 2), y))};
    }),
    .evaluate = [](const Node&, Literals o,
                   const Type& r) { return map1(r, o[0], [](double x) { return std::sqrt(x); }); },
    .lowering = LowerElementwise{ScalarOp::Sqrt},
    .samples = unary_samples(0.5, 4),
};

extern const OpDef rsqrt_def{
    .name = "rsqrt",
    .doc = "1 / sqrt(x)",
    .infer = infer_float_unary,
    // dx = -dy * y^3 / 2
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      const Value cube = b.mul(y, b.mul(y, y));
      return {b.mul(dy, b.mul(constant_like(b, y, -0.5), cube))};
    }),
    .evaluate =
        [](const Node&, Literals o, const Type& r) {
          return map1(r, o[0], [](double x) { return 1 / std::sqrt(x); });
        },
    .lowering = LowerElementwise{ScalarOp::Rsqrt},
    .samples = unary_samples(0.5, 4),
};

extern const OpDef cbrt_def{
    .name = "cbrt",
    .doc = "the cube root, of negative numbers too",
    .infer = infer_float_unary,
    // dx = dy / (3 y^2)
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      return {b.div(dy, b.mul(constant_like(b, y, 3), b.mul(y, y)))};
    }),
    .evaluate = [](const Node&, Literals o,
                   const Type& r) { return map1(r, o[0], [](double x) { return std::cbrt(x); }); },
    .lowering = LowerElementwise{ScalarOp::Cbrt},
    .samples = unary_samples(0.5, 4),
};

extern const OpDef exp_def{
    .name = "exp",
    .doc = "e^x",
    .infer = infer_float_unary,
    // dx = dy * y
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V { return {b.mul(dy, y)}; }),
    .evaluate = [](const Node&, Literals o,
                   const Type& r) { return map1(r, o[0], [](double x) { return std::exp(x); }); },
    .lowering = LowerElementwise{ScalarOp::Exp},
    .samples = unary_samples(-2, 2, {F32, F64, BF16, F16}),
};

extern const OpDef exp2_def{
    .name = "exp2",
    .doc = "2^x",
    .infer = infer_float_unary,
    // dx = dy * y * ln 2
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      return {b.mul(dy, b.mul(y, constant_like(b, y, 0.6931471805599453)))};
    }),
    .evaluate = [](const Node&, Literals o,
                   const Type& r) { return map1(r, o[0], [](double x) { return std::exp2(x); }); },
    .lowering = LowerElementwise{ScalarOp::Exp2},
    .samples = unary_samples(-2, 2),
};

extern const OpDef expm1_def{
    .name = "expm1",
    .doc = "e^x - 1, exact near 0",
    .infer = infer_float_unary,
    // dx = dy * e^x
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      return {b.mul(dy, b.node(Op::exp, {b.graph()[y].operands[0]}))};
    }),
    .evaluate = [](const Node&, Literals o,
                   const Type& r) { return map1(r, o[0], [](double x) { return std::expm1(x); }); },
    .lowering = LowerElementwise{ScalarOp::Expm1},
    .samples = unary_samples(-2, 2),
};

extern const OpDef log_def{
    .name = "log",
    .doc = "the natural logarithm",
    .infer = infer_float_unary,
    // dx = dy / x
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      return {b.div(dy, b.graph()[y].operands[0])};
    }),
    .evaluate = [](const Node&, Literals o,
                   const Type& r) { return map1(r, o[0], [](double x) { return std::log(x); }); },
    .lowering = LowerElementwise{ScalarOp::Log},
    .samples = unary_samples(0.5, 4),
};

extern const OpDef log2_def{
    .name = "log2",
    .doc = "the logarithm to base 2",
    .infer = infer_float_unary,
    // dx = dy / (x ln 2)
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      const Value x = b.graph()[y].operands[0];
      return {b.div(dy, b.mul(x, constant_like(b, x, 0.6931471805599453)))};
    }),
    .evaluate = [](const Node&, Literals o,
                   const Type& r) { return map1(r, o[0], [](double x) { return std::log2(x); }); },
    .lowering = LowerElementwise{ScalarOp::Log2},
    .samples = unary_samples(0.5, 4),
};

extern const OpDef log1p_def{
    .name = "log1p",
    .doc = "log(1 + x), exact near 0",
    .infer = infer_float_unary,
    // dx = dy / (1 + x)
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      const Value x = b.graph()[y].operands[0];
      return {b.div(dy, b.add(constant_like(b, x, 1), x))};
    }),
    .evaluate = [](const Node&, Literals o,
                   const Type& r) { return map1(r, o[0], [](double x) { return std::log1p(x); }); },
    .lowering = LowerElementwise{ScalarOp::Log1p},
    .samples = unary_samples(-0.5, 3),
};

extern const OpDef sin_def{
    .name = "sin",
    .doc = "the sine, x in radians",
    .infer = infer_float_unary,
    // dx = dy * cos(x)
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      return {b.mul(dy, b.node(Op::cos, {b.graph()[y].operands[0]}))};
    }),
    .evaluate = [](const Node&, Literals o,
                   const Type& r) { return map1(r, o[0], [](double x) { return std::sin(x); }); },
    .lowering = LowerElementwise{ScalarOp::Sin},
    .samples = unary_samples(-4, 4),
};

extern const OpDef cos_def{
    .name = "cos",
    .doc = "the cosine, x in radians",
    .infer = infer_float_unary,
    // dx = -dy * sin(x)
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      return {b.neg(b.mul(dy, b.node(Op::sin, {b.graph()[y].operands[0]})))};
    }),
    .evaluate = [](const Node&, Literals o,
                   const Type& r) { return map1(r, o[0], [](double x) { return std::cos(x); }); },
    .lowering = LowerElementwise{ScalarOp::Cos},
    .samples = unary_samples(-4, 4),
};

extern const OpDef tanh_def{
    .name = "tanh",
    .doc = "the hyperbolic tangent",
    .infer = infer_float_unary,
    // dx = dy * (1 - y^2)
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      return {b.mul(dy, slope(b, y, b.sub(constant_like(b, y, 1), b.mul(y, y))))};
    }),
    .evaluate = [](const Node&, Literals o,
                   const Type& r) { return map1(r, o[0], [](double x) { return std::tanh(x); }); },
    .lowering = LowerElementwise{ScalarOp::Tanh},
    .samples = unary_samples(-3, 3, {F32, F64, BF16, F16}),
};

extern const OpDef sigmoid_def{
    .name = "sigmoid",
    .doc = "1 / (1 + e^-x)",
    .infer = infer_float_unary,
    // dx = dy * y (1 - y)
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      return {b.mul(dy, slope(b, y, b.mul(y, b.sub(constant_like(b, y, 1), y))))};
    }),
    .evaluate =
        [](const Node&, Literals o, const Type& r) {
          return map1(r, o[0], [](double x) {
            return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x));
          });
        },
    .lowering = LowerElementwise{ScalarOp::Sigmoid},
    .samples = unary_samples(-4, 4),
};

extern const OpDef erf_def{
    .name = "erf",
    .doc = "the error function, 2/sqrt(pi) times the integral of e^-t^2 from 0 to x",
    .infer = infer_float_unary,
    // dx = dy * 2/sqrt(pi) * e^(-x^2)
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      const Value x = b.graph()[y].operands[0];
      const Value slope =
          b.mul(constant_like(b, x, 1.1283791670955126), b.node(Op::exp, {b.neg(b.mul(x, x))}));
      return {b.mul(dy, slope)};
    }),
    .evaluate = [](const Node&, Literals o,
                   const Type& r) { return map1(r, o[0], [](double x) { return std::erf(x); }); },
    .lowering = LowerElementwise{ScalarOp::Erf},
    .samples = unary_samples(-2, 2),
};

extern const OpDef erfc_def{
    .name = "erfc",
    .doc = "1 - erf(x), exact for large x",
    .infer = infer_float_unary,
    // dx = -dy * 2/sqrt(pi) * e^(-x^2)
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      const Value x = b.graph()[y].operands[0];
      const Value slope =
          b.mul(constant_like(b, x, -1.1283791670955126), b.node(Op::exp, {b.neg(b.mul(x, x))}));
      return {b.mul(dy, slope)};
    }),
    .evaluate = [](const Node&, Literals o,
                   const Type& r) { return map1(r, o[0], [](double x) { return std::erfc(x); }); },
    .lowering = LowerElementwise{ScalarOp::Erfc},
    .samples = unary_samples(-2, 2),
};

extern const OpDef logical_not_def{
    .name = "logical_not",
    .doc = "not x, of bools",
    .infer = [](Operands o, const Attrs&) { return infer_same(o, 1, is_bool, "bools are"); },
    .gradient = NotDifferentiable{"its result is bool"},
    .evaluate =
        [](const Node&, Literals o, const Type& r) {
          return map1(r, o[0], nullptr, [](std::int64_t x) -> std::int64_t { return !x; });
        },
    .lowering = LowerElementwise{ScalarOp::Not},
    .samples = unary_samples(0, 2, {Bool}),
};

/// What C's conversion leaves undefined saturates; NaN becomes 0.
static std::int64_t saturate(double v, ElementType to) {
  if (std::isnan(v)) return 0;
  const double lo = to == U8 ? 0 : to == I32 ? -0x1p31 : -0x1p63;
  const double hi = to == U8 ? 255 : to == I32 ? 0x1p31 - 1 : 0x1p63;
  if (v <= lo) return to == U8 ? 0 : to == I32 ? INT32_MIN : INT64_MIN;
  if (v >= hi) return to == U8 ? 255 : to == I32 ? INT32_MAX : INT64_MAX;
  return static_cast<std::int64_t>(v);
}

/// Element k as a float of type `to`. An i64 that f64 cannot hold is rounded once, to `to` itself
/// (to f32 where that is a 16-bit float).
static double to_float(const Literal& from, std::int64_t k, ElementType to) {
  constexpr std::int64_t kExact = std::int64_t{1} << 53;
  if (is_float(from.element)) return from.at(k);
  const std::int64_t v = from.i[static_cast<std::size_t>(k)];
  const bool exact = -kExact <= v && v <= kExact;
  return to != F64 && !exact ? static_cast<double>(static_cast<float>(v)) : static_cast<double>(v);
}

extern const OpDef convert_def{
    .name = "convert",
    .doc =
        "to another element type {element}; float to integer truncates and saturates, to bool is x "
        "!= 0; f64 and integers become bf16 or f16 by way of f32",
    .infer = [](Operands o, const Attrs& attrs) -> Inferred {
      if (o.size() != 1) return wrong("1 operand expected, {} given", o.size());
      const auto e = element_attr(attrs);
      if (!e) return wrong("the attribute `element` is missing or names no element type");
      return ok({*e, o[0].shape});
    },
    // dx = dy, converted back
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      const ElementType from = b.type(b.graph()[y].operands[0]).element;
      if (!is_float(from) || !is_float(b.type(y).element)) return {Value{}};
      return {b.convert(dy, from)};
    }),
    .evaluate =
        [](const Node&, Literals o, const Type& r) {
          Literal out = literal_of(r);
          for (std::int64_t k = 0; k < out.size(); ++k) {
            const auto at = static_cast<std::size_t>(k);
            if (is_float(r.element))
              out.f[at] = to_float(o[0], k, r.element);
            else if (r.element == Bool)
              out.i[at] = o[0].at(k) != 0;
            else
              out.i[at] = is_float(o[0].element) ? saturate(o[0].f[at], r.element) : o[0].i[at];
          }
          out.wrap();
          return out;
        },
    .lowering = LowerElementwise{ScalarOp::Convert},
    .samples =
        [] {
          std::vector<Sample> samples;
          for (const ElementType from : {F32, F64, BF16, F16, I32, I64, U8, Bool})
            for (const ElementType to : {F32, F64, BF16, F16, I32, I64, U8, Bool})
              if (from != to)
                samples.push_back({{t(from, {Dim::symbol("N"), 5})},
                                   {{"element", std::string(name(to))}},
                                   0,
                                   100});
          return samples;
        }(),
};

extern const OpDef stop_gradient_def{
    .name = "stop_gradient",
    .doc = "x, through which no gradient flows",
    .infer = [](Operands o, const Attrs&) { return infer_same(o, 1, is_any, ""); },
    .gradient = ZeroGradient{"asked for"},
    .evaluate = [](const Node&, Literals o, const Type&) { return o[0]; },
    .lowering = LowerView{[](loop::KernelBuilder&, const Graph&, const Node&,
                             const std::vector<loop::ExprId>& index) { return index; }},
    .samples = unary_samples(-2, 2),
};

}  // namespace dlc::ops
