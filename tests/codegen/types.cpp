// Every operation on every element type that it accepts, with the values at the edges of the type:
// compiled code gives what the interpreter gives, to the bit for integers and bools.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "codegen/reference/interpreter.h"
#include "ir/graph/builder.h"
#include "ir/graph/text.h"
#include "tests/support/compiled.h"
#include "tests/support/samples.h"

using namespace dlc;

namespace {

constexpr ElementType kTypes[] = {ElementType::F32, ElementType::F64, ElementType::BF16,
                                  ElementType::F16, ElementType::I32, ElementType::I64,
                                  ElementType::U8,  ElementType::Bool};

Literal edges(ElementType e) {
  Literal l{e, {}, {}, {}};
  if (is_float(e)) {
    const bool f64 = e == ElementType::F64;
    l.f = {0.0,
           -0.0,
           1.0,
           -1.0,
           0.5,
           -2.5,
           3.5,
           254.9,
           256.0,
           -1e-3,
           2147483647.0,
           -2147483648.0,
           1e10,
           -1e19,
           9223372036854775807.0,
           f64                     ? 1e-310
           : e == ElementType::F16 ? 1e-7
                                   : 1e-40,
           f64 ? 1e308 : 3e38,
           HUGE_VAL,
           -HUGE_VAL,
           std::nan("")};
  } else if (e == ElementType::Bool) {
    l.i = {0, 1};
  } else if (e == ElementType::U8) {
    l.i = {0, 1, 2, 7, 127, 128, 200, 255};
  } else if (e == ElementType::I32) {
    l.i = {0, 1, -1, 2, -7, 255, 256, 65537, INT32_MAX, INT32_MIN};
  } else {
    l.i = {0,
           1,
           -1,
           3,
           -7,
           300,
           INT32_MAX,
           INT32_MIN,
           (1ll << 53) + 1,
           (1ll << 24) + 1,
           -(1ll << 40) - 1,
           INT64_MAX,
           INT64_MIN};
  }
  l.shape = {static_cast<std::int64_t>(l.f.size() + l.i.size())};
  l.round();
  return l;
}

/// Operand `k` of `count`, so that together they run through all combinations.
Literal combination(const Literal& from, int k, int count, std::int64_t total) {
  Literal l = Literal::zeros(from.element, {total});
  std::int64_t period = 1;
  for (int j = k + 1; j < count; ++j) period *= from.size();
  for (std::int64_t i = 0; i < total; ++i) {
    const auto at = static_cast<std::size_t>(i / period % from.size());
    if (is_float(from.element))
      l.f[static_cast<std::size_t>(i)] = from.f[at];
    else
      l.i[static_cast<std::size_t>(i)] = from.i[at];
  }
  return l;
}

/// In units of the last place of the wanted value, of the result's type.
double ulps(double got, double want, ElementType e) {
  if (got == want || (std::isnan(got) && std::isnan(want))) return 0;
  if (!std::isfinite(got) || !std::isfinite(want)) return HUGE_VAL;
  const auto [least, bits] = e == ElementType::F64    ? std::pair(-1022, 52)
                             : e == ElementType::F32  ? std::pair(-126, 23)
                             : e == ElementType::BF16 ? std::pair(-126, 7)
                                                      : std::pair(-14, 10);
  const int exponent = std::max(want == 0 ? -2000 : std::ilogb(want), least);
  return std::abs(got - want) / std::ldexp(1.0, exponent - bits);
}

/// What f32 computes to the last bit, its 16-bit result is, too; else it may lie on the other side
/// of a tie.
double allowed_ulps(Op op, ElementType e) {
  if (!is_16_bit_float(e)) return 4;
  return op == Op::add || op == Op::sub || op == Op::mul || op == Op::div || op == Op::sqrt ||
                 op == Op::convert
             ? 0
             : 1;
}

void check(Op op, const std::vector<Literal>& operands, const Attrs& attrs) {
  std::vector<Type> types;
  for (const Literal& l : operands) types.push_back(l.type());
  if (!infer_type(op, types, attrs).type) return;
  Graph g;
  GraphBuilder b(g);
  std::vector<Value> values;
  std::map<std::string, Literal> inputs;
  for (const Literal& l : operands) {
    const std::string name = "x" + std::to_string(values.size());
    values.push_back(b.input(name, InputKind::Input, l.type()));
    inputs[name] = l;
  }
  b.output("y", OutputKind::Output, b.node(op, values, attrs));
  const std::string text = print(g);
  CAPTURE(text);
  const Compiled c(g);
  const Literal want =
      interpret(c.graph(), inputs, Precision::Declared).values[g.outputs[0].value.id];
  const Tensor got = std::move(c.run(inputs)[0]);
  REQUIRE(got.shape() == want.shape);
  for (std::int64_t k = 0; k < want.size(); ++k) {
    std::string at;
    for (const Literal& l : operands)
      if (l.shape == want.shape) at += " " + std::to_string(l.at(k));
    CAPTURE(at);
    if (want.element == ElementType::I64)
      CHECK(got.as<std::int64_t>()[k] == want.i[static_cast<std::size_t>(k)]);
    else if (!is_float(want.element))
      CHECK(got.at(k) == want.at(k));
    else
      CHECK(ulps(got.at(k), want.at(k), want.element) <= allowed_ulps(op, want.element));
  }
}

}  // namespace

TEST_CASE("elementwise operations at the edges of every type") {
  for (const Op op : all_ops()) {
    const OpDef& def = op_def(op);
    if (!std::holds_alternative<LowerElementwise>(def.lowering) || op == Op::convert) continue;
    const int arity = static_cast<int>(def.samples[0].operands.size());
    for (const ElementType e : kTypes) {
      const Literal values = edges(e);
      const int varying = op == Op::select ? 2 : arity;
      std::int64_t total = 1;
      for (int k = 0; k < varying; ++k) total *= values.size();
      std::vector<Literal> operands;
      if (op == Op::select) operands.push_back(combination(edges(ElementType::Bool), 0, 1, total));
      for (int k = 0; k < varying; ++k) operands.push_back(combination(values, k, varying, total));
      check(op, operands, {});
    }
  }
}

TEST_CASE("conversions between all types: what is out of range saturates from floats and wraps") {
  for (const ElementType from : kTypes)
    for (const ElementType to : kTypes)
      check(Op::convert, {edges(from)}, {{"element", std::string(name(to))}});
}

TEST_CASE("reductions and places at the edges of every type") {
  using Ints = std::vector<std::int64_t>;
  for (const ElementType e : kTypes) {
    Literal l = edges(e);
    if (is_float(e)) l.f = {0.0, -1.0, 0.5, 3.0, -0.0, -2.0, 1.5, 1.0};
    l.shape = {static_cast<std::int64_t>(l.f.size() + l.i.size())};
    Literal reversed = l;
    std::reverse(reversed.f.begin(), reversed.f.end());
    std::reverse(reversed.i.begin(), reversed.i.end());
    for (const Literal& x : {l, reversed}) {
      for (const Op op : {Op::reduce_sum, Op::reduce_prod, Op::reduce_max, Op::reduce_min})
        check(op, {x}, {{"axes", Ints{0}}});
      for (const Op op : {Op::argmax, Op::argmin}) check(op, {x}, {{"axis", std::int64_t{0}}});
      Literal table = Literal::zeros(e, {3});
      check(Op::gather, {edges(ElementType::F32), x}, {{"axis", std::int64_t{0}}});
      check(Op::scatter_add, {x, combination(edges(ElementType::I32), 0, 1, x.size())},
            {{"axis", std::int64_t{0}}, {"size", Shape{5}}});
      check(Op::reverse, {x}, {{"axes", Ints{0}}});
      check(Op::concat, {x, table}, {{"axis", std::int64_t{0}}});
    }
    // The largest of i64 values that f64 cannot tell apart.
    if (e == ElementType::I64) {
      Literal close{e, {3}, {}, {INT64_MAX - 2, INT64_MAX - 1, INT64_MAX - 1}};
      check(Op::argmax, {close}, {{"axis", std::int64_t{0}}});
    }
  }
}

TEST_CASE("extremes with NaN and infinities, in rows, in columns and as places") {
  using Ints = std::vector<std::int64_t>;
  const double inf = HUGE_VAL, nan = std::nan("");
  Literal l{ElementType::F32, {4, 5}, {}, {}};
  l.f = {1, nan, 3,   nan, 0,    -inf, -inf, -inf, -inf, -inf,
         5, inf, nan, inf, -inf, inf,  -inf, 0,    inf,  2};
  for (const std::int64_t axis : {0, 1}) {
    for (const Op op : {Op::reduce_max, Op::reduce_min}) check(op, {l}, {{"axes", Ints{axis}}});
    for (const Op op : {Op::argmax, Op::argmin}) check(op, {l}, {{"axis", axis}});
  }
}

TEST_CASE("of equals in different lanes the first is the extreme's place") {
  const double nan = std::nan("");
  for (const ElementType e : {ElementType::F32, ElementType::I32})
    for (const std::int64_t length : {3, 16, 37, 100}) {
      Literal l = Literal::zeros(e, {6, length});
      const auto set = [&](std::int64_t row, std::int64_t column, double v) {
        const auto at = static_cast<std::size_t>(row * length + column);
        if (e == ElementType::F32)
          l.f[at] = v;
        else
          l.i[at] = std::isnan(v) ? 9 : static_cast<std::int64_t>(v);
      };
      set(1, length - 1, 7);
      set(2, length - 1, 7), set(2, length / 2, 7);
      set(3, length - 1, nan), set(3, length / 2, nan), set(3, 0, 8);
      set(4, 2, -5), set(4, length - 1, -5);
      for (std::int64_t k = 0; k < length; ++k) set(5, k, e == ElementType::F32 ? -HUGE_VAL : -3);
      for (const Op op : {Op::argmax, Op::argmin}) check(op, {l}, {{"axis", std::int64_t{1}}});
    }
}

TEST_CASE("a byte over a constant is the rounded quotient") {
  for (const double d : {255.0, 127.5, 3.0, 0.1, -7.0, 1e-30, 3e38, 1e-42, 0.0, HUGE_VAL}) {
    CAPTURE(d);
    Graph g;
    GraphBuilder b(g);
    const Value x = b.input("x", InputKind::Input, {ElementType::U8, {256}});
    const Type type{ElementType::F32, {256}};
    b.output("y", OutputKind::Output,
             b.div(b.convert(x, ElementType::F32), b.splat(type, static_cast<float>(d))));
    Literal bytes = Literal::zeros(ElementType::U8, {256});
    for (std::int64_t k = 0; k < 256; ++k) bytes.i[static_cast<std::size_t>(k)] = k;
    const std::vector<Tensor> results = Compiled(g).run({{"x", bytes}});
    const auto* y = results[0].as<float>();
    for (int k = 0; k < 256; ++k) {
      const float want = static_cast<float>(k) / static_cast<float>(d), got = y[k];
      CHECK((std::isnan(want) ? std::isnan(got) : got == want));
    }
  }
}

TEST_CASE("0 and -0 are two constants") {
  Graph g;
  GraphBuilder b(g);
  const Value x = b.input("x", InputKind::Input, {ElementType::F32, {1}});
  Literal zeros = Literal::zeros(ElementType::F32, {1});
  Literal negative = zeros;
  negative.f[0] = -0.0;
  b.output("a", OutputKind::Output, b.div(x, b.constant(zeros)));
  b.output("b", OutputKind::Output, b.div(x, b.constant(negative)));
  Literal both = Literal::zeros(ElementType::F32, {2});
  both.f[1] = -0.0;
  b.output("c", OutputKind::Output, b.constant(both));
  const Compiled c(g);
  Literal one = Literal::zeros(ElementType::F32, {1});
  one.f[0] = 1;
  const std::vector<Tensor> out = c.run({{"x", one}});
  CHECK(out[0].at(0) == HUGE_VAL);
  CHECK(out[1].at(0) == -HUGE_VAL);
  CHECK(std::signbit(out[2].at(1)));
  CHECK(!std::signbit(out[2].at(0)));
}
