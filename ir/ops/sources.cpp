// Operations without tensor operands: inputs, constants, indices, random numbers; and `grad`.
//
// random_uniform is Threefry-2x32 with 20 rounds (Salmon et al., "Parallel Random Numbers: As Easy
// as 1, 2, 3", SC 2011). For element i of a draw with stream s at (seed, step) the key and the
// counter are
//   key     = (low 32 bits of seed, high 32 bits of seed XOR s * 0x9E3779B9)
//   counter = (low 32 bits of i,    (high 32 bits of i) XOR low 32 bits of step)
// and the result is word 0, from 0 to 2^32 - 1. An f32 draw is (word >> 8) / 2^24 for i the linear
// index. An f64 draw takes the words a (of 2i) and b (of 2i + 1): ((a >> 5) * 2^26 + (b >> 6)) /
// 2^53.
#include "ir/ops/common.h"
#include "ir/ops/threefry.h"

namespace dlc::ops {

using Element = std::function<ExprId(int, const Index&)>;

namespace {

const Dim kN = Dim::symbol("N");

Inferred infer_shaped(const Attrs& attrs) {
  const Shape* shape = attr<Shape>(attrs, "shape");
  const auto element = element_attr(attrs);
  if (!shape || !element) return wrong("the attributes `shape` and `element` are needed");
  std::string error;
  if (!shape_is_sane(*shape, error)) return wrong("{}", error);
  return ok({*element, *shape});
}

}  // namespace

std::uint32_t threefry(std::int64_t seed, std::int64_t step, std::int64_t stream, std::int64_t i) {
  const auto low = [](std::int64_t v) {
    return static_cast<std::uint32_t>(static_cast<std::uint64_t>(v));
  };
  const auto high = [](std::int64_t v) {
    return static_cast<std::uint32_t>(static_cast<std::uint64_t>(v) >> 32);
  };
  const std::uint32_t k0 = low(seed), k1 = high(seed) ^ (low(stream) * 0x9E3779B9u);
  const std::uint32_t keys[3] = {k0, k1, k0 ^ k1 ^ 0x1BD11BDAu};
  constexpr int kRotations[8] = {13, 15, 26, 6, 17, 29, 16, 24};
  std::uint32_t x0 = low(i) + keys[0], x1 = (high(i) ^ low(step)) + keys[1];
  for (int round = 0; round < 20; ++round) {
    const int r = kRotations[round % 8];
    x0 += x1;
    x1 = (x1 << r) | (x1 >> (32 - r));
    x1 ^= x0;
    if (round % 4 == 3) {
      const int block = round / 4 + 1;
      x0 += keys[block % 3];
      x1 += keys[(block + 1) % 3] + static_cast<std::uint32_t>(block);
    }
  }
  return x0;
}

extern const OpDef input_def{
    .name = "input",
    .doc = "a value from outside, named by the graph's input",
    .infer = [](Operands, const Attrs&) -> Inferred {
      return wrong("an input has the type it is declared with");
    },
    .gradient = ZeroGradient{"it has no operands"},
    .evaluate = [](const Node& n, Literals, const Type&) -> Literal {
      throw InternalError(fmt::format("the input `{}` has no value", n.name));
    },
    .lowering = LowerNone{"inputs are buffers"},
    .samples = {},
};

extern const OpDef constant_def{
    .name = "constant",
    .doc = "a literal {value}",
    .infer = [](Operands o, const Attrs& attrs) -> Inferred {
      const auto* value = attr<std::shared_ptr<const Literal>>(attrs, "value");
      if (!o.empty() || !value || !*value)
        return wrong("a constant has no operands and an attribute `value`");
      return ok((*value)->type());
    },
    .gradient = ZeroGradient{"it has no operands"},
    .evaluate = [](const Node& n, Literals, const Type&) { return n.literal_attr("value"); },
    // Others than uniform ones are buffers: `lower` asks first.
    .lowering = LowerGenerate{[](KernelBuilder& b, const Graph&, const Node& n, const Index&,
                                 const Element&) {
      const Literal& l = n.literal_attr("value");
      DLC_CHECK(l.is_uniform(), "a constant of several values is a buffer");
      return is_float(l.element) ? b.constant(l.element, l.f[0]) : b.integer(l.i[0], l.element);
    }},
    .samples =
        {{{}, {{"value", std::make_shared<const Literal>(Literal::scalar(F64, 2.5))}}},
         {{},
          {{"value", std::make_shared<const Literal>(Literal{F32, {2, 2}, {1, -2, 0.5, 4}, {}})}}},
         {{}, {{"value", std::make_shared<const Literal>(Literal{I32, {3}, {}, {7, -1, 0}})}}}},
};

extern const OpDef dim_def{
    .name = "dim",
    .doc = "the value of a symbolic dimension as a scalar {dim} {element}",
    .infer = [](Operands o, const Attrs& attrs) -> Inferred {
      const Shape* dim = attr<Shape>(attrs, "dim");
      const auto element = element_attr(attrs);
      if (!o.empty() || !dim || dim->size() != 1 || !element || *element == Bool)
        return wrong("dim has no operands and the attributes `dim` (one dimension) and `element`");
      return ok({*element, {}});
    },
    .gradient = ZeroGradient{"it has no operands"},
    .evaluate =
        [](const Node& n, Literals, const Type& r) {
          Literal out = literal_of(r);
          out.set(0, static_cast<double>(n.shape_attr("dim")[0].value()));
          return out;
        },
    .lowering = LowerGenerate{[](KernelBuilder& b, const Graph&, const Node& n, const Index&,
                                 const Element&) {
      const ExprId v = b.dim(n.shape_attr("dim")[0]);
      return n.type.element == I64 ? v : b.scalar(ScalarOp::Convert, n.type.element, {v});
    }},
    .samples = {},
};

extern const OpDef iota_def{
    .name = "iota",
    .doc = "each element is its index along {axis} {shape} {element}",
    .infer = [](Operands o, const Attrs& attrs) -> Inferred {
      Inferred r = infer_shaped(attrs);
      if (!r.type) return r;
      if (!o.empty() || !axis_attr(attrs, r.type->rank()))
        return wrong("`axis` is no axis of {}", r.type->str());
      if (r.type->element == Bool) return wrong("numbers are expected");
      return r;
    },
    .gradient = ZeroGradient{"it has no operands"},
    .evaluate =
        [](const Node& n, Literals, const Type& r) {
          const auto axis = static_cast<std::size_t>(n.int_attr("axis"));
          Literal out = literal_of(r);
          for_each_index(out.shape, [&](const Extents& i, std::int64_t k) {
            out.set(k, static_cast<double>(i[axis]));
          });
          return out;
        },
    .lowering = LowerGenerate{[](KernelBuilder& b, const Graph&, const Node& n, const Index& index,
                                 const Element&) {
      const ExprId v = index[static_cast<std::size_t>(n.int_attr("axis"))];
      return n.type.element == I64 ? v : b.scalar(ScalarOp::Convert, n.type.element, {v});
    }},
    .samples =
        {{{}, {{"shape", Shape{19}}, {"axis", std::int64_t{0}}, {"element", std::string("i32")}}},
         {{},
          {{"shape", Shape{3, 5}}, {"axis", std::int64_t{1}}, {"element", std::string("f32")}}}},
};

extern const OpDef random_uniform_def{
    .name = "random_uniform",
    .doc =
        "uniform on [0, 1): a function of the operands seed and step (i64 scalars), of {stream} "
        "and of the "
        "element's place {shape} {element}",
    .infer = [](Operands o, const Attrs& attrs) -> Inferred {
      Inferred r = infer_shaped(attrs);
      if (!r.type) return r;
      if (!attr<std::int64_t>(attrs, "stream")) return wrong("the attribute `stream` is missing");
      const Type scalar{I64, {}};
      if (o.size() != 2 || !(o[0] == scalar) || !(o[1] == scalar))
        return wrong("the operands are seed and step, i64[]");
      if (r.type->element != F32 && r.type->element != F64)
        return wrong("random numbers are f32 or f64");
      return r;
    },
    .gradient = ZeroGradient{"it depends on the seed alone"},
    .evaluate =
        [](const Node& n, Literals o, const Type& r) {
          Literal out = literal_of(r);
          const auto word = [&](std::int64_t i) {
            return threefry(o[0].i[0], o[1].i[0], n.int_attr("stream"), i);
          };
          for (std::int64_t k = 0; k < out.size(); ++k) {
            if (r.element == F32) {
              out.set(k, static_cast<double>(word(k) >> 8) * 0x1p-24);
            } else {
              const auto a = static_cast<double>(word(2 * k) >> 5),
                         b = static_cast<double>(word(2 * k + 1) >> 6);
              out.set(k, (a * 0x1p26 + b) * 0x1p-53);
            }
          }
          return out;
        },
    .lowering = LowerGenerate{[](KernelBuilder& b, const Graph&, const Node& n, const Index& index,
                                 const Element& element) {
      const ExprId seed = element(0, {}), step = element(1, {}),
                   stream = b.integer(n.int_attr("stream"));
      const ExprId i = b.linear_offset(index, n.type.shape);
      const auto word = [&](ExprId at) {
        return b.scalar(ScalarOp::Threefry, I64, {seed, step, stream, at});
      };
      const auto shift = [&](ExprId v, int bits) {
        return b.scalar(ScalarOp::Div, I64, {v, b.integer(std::int64_t{1} << bits)});
      };
      const ElementType t = n.type.element;
      const auto to_float = [&](ExprId v) { return b.scalar(ScalarOp::Convert, t, {v}); };
      if (t == F32) return b.mul(to_float(shift(word(i), 8)), b.constant(t, 0x1p-24));
      const ExprId twice = b.mul(i, b.integer(2));
      const ExprId high = b.mul(to_float(shift(word(twice), 5)), b.constant(t, 0x1p26));
      return b.mul(b.add(high, to_float(shift(word(b.add(twice, b.integer(1))), 6))),
                   b.constant(t, 0x1p-53));
    }},
    .samples =
        {{{t(I64, {}), t(I64, {})},
          {{"stream", std::int64_t{3}}, {"shape", Shape{37}}, {"element", std::string("f32")}},
          0,
          9},
         {{t(I64, {}), t(I64, {})},
          {{"stream", std::int64_t{0}}, {"shape", Shape{kN, 5}}, {"element", std::string("f64")}},
          0,
          9}},
    .stack = cannot_stack,
};

extern const OpDef grad_def{
    .name = "grad",
    .doc = "the gradient of the sum of the first operand with respect to the second",
    .infer = [](Operands o, const Attrs&) -> Inferred {
      if (o.size() != 2) return wrong("2 operands expected, {} given", o.size());
      if (!is_float(o[0].element) || !is_float(o[1].element))
        return wrong("the operands are {} and {}; floats are expected", o[0].str(), o[1].str());
      return ok(o[1]);
    },
    .gradient = NotDifferentiable{"an inner grad is expanded first"},
    .evaluate = [](const Node&, Literals, const Type&) -> Literal {
      throw InternalError(
          "a grad node is expanded by the pass `differentiate` before anything is evaluated");
    },
    .lowering = LowerNone{"expanded by differentiate"},
    .samples = {},
    .stack = cannot_stack,
};

}  // namespace dlc::ops
