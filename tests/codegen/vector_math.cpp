// The elementary functions against the C library in a wider type: f32 over a strided set of all bit
// patterns against f64, f64 over points of every magnitude against long double. Bounds are in units
// of the last place (ULP) of the exact result; denormals count in units of the smallest one.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <random>

#include "ir/graph/builder.h"
#include "tests/support/compiled.h"

using namespace dlc;

namespace {

using Wide = long double;

struct Function {
  Op op;
  Wide (*exact)(Wide);
  double f32_bound, f64_bound;
};

const Function kFunctions[] = {
    {Op::exp, [](Wide x) { return std::exp(x); }, 2, 2},
    {Op::expm1, [](Wide x) { return std::expm1(x); }, 2, 2},
    {Op::log, [](Wide x) { return std::log(x); }, 2, 2},
    {Op::log1p, [](Wide x) { return std::log1p(x); }, 2, 2},
    {Op::sin, [](Wide x) { return std::sin(x); }, 2, 2},
    {Op::cos, [](Wide x) { return std::cos(x); }, 2, 2},
    {Op::tanh, [](Wide x) { return std::tanh(x); }, 4, 4},
    {Op::sigmoid,
     [](Wide x) { return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x)); }, 4,
     4},
    {Op::erf, [](Wide x) { return std::erf(x); }, 4, 4},
    {Op::sqrt, [](Wide x) { return std::sqrt(x); }, 0.5, 0.51},
    {Op::floor, [](Wide x) { return std::floor(x); }, 0, 0},
    {Op::ceil, [](Wide x) { return std::ceil(x); }, 0, 0},
    {Op::round, [](Wide x) { return std::nearbyint(x); }, 0, 0},
    {Op::abs, [](Wide x) { return std::abs(x); }, 0, 0},
};

/// Every kStride-th bit pattern (an odd number: all low bits occur), and the edges.
constexpr std::uint32_t kStride = 2621;

std::vector<double> f32_patterns(std::uint32_t stride) {
  std::vector<double> values;
  for (std::uint64_t bits = 0; bits < (std::uint64_t{1} << 32); bits += stride)
    values.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
  for (const std::uint32_t bits : {0u, 1u, 0x007fffffu, 0x00800000u, 0x3f800000u, 0x7f7fffffu,
                                   0x7f800000u, 0x7fc00000u, 0x42b17218u, 0xc2aeac50u, 0xc2cff1b5u})
    for (const std::uint32_t sign : {0u, 0x80000000u})
      values.push_back(std::bit_cast<float>(bits ^ sign));
  return values;
}

/// All magnitudes evenly, the interesting ones more often, and the edges.
std::vector<double> f64_points() {
  std::mt19937_64 random(5);
  std::vector<double> values;
  std::uniform_real_distribution<double> near(-40, 40), far(-800, 800), unit(-1.5, 1.5);
  for (int k = 0; k < 30000; ++k) {
    values.push_back(std::bit_cast<double>(random()));
    values.push_back(near(random));
    values.push_back(far(random));
    values.push_back(unit(random));
    values.push_back(std::ldexp(unit(random), -static_cast<int>(random() % 60)));
    values.push_back(1 + std::ldexp(unit(random), -static_cast<int>(random() % 50)));
  }
  for (const double v : {0.0, 5e-324, 2.2250738585072014e-308, 1.0, 0.625, 709.782712893384, 710.0,
                         745.13, 746.0, 1.7976931348623157e308, HUGE_VAL, std::nan("")})
    values.push_back(v), values.push_back(-v);
  return values;
}

double ulps(double got, Wide want, bool f32) {
  const double rounded =
      f32 ? static_cast<double>(static_cast<float>(want)) : static_cast<double>(want);
  if (got == rounded || (std::isnan(got) && std::isnan(want))) return 0;
  if (std::isnan(got) || std::isnan(want)) return HUGE_VAL;
  // One unit past the largest number is infinity.
  const double largest = f32 ? 0x1.fffffep127 : 0x1.fffffffffffffp1023;
  if (std::isinf(got)) return std::isinf(rounded) || std::abs(want) > largest ? 1 : HUGE_VAL;
  const int least = f32 ? -126 : -1022, mantissa = f32 ? 23 : 52;
  const int exponent = want == 0 ? least : std::max(std::ilogb(want), least);
  return static_cast<double>(std::abs(got - want) / std::ldexp(Wide(1), exponent - mantissa));
}

Compiled elementwise(Op op, ElementType e, int operands) {
  Graph g;
  GraphBuilder b(g);
  std::vector<Value> values;
  for (int k = 0; k < operands; ++k)
    values.push_back(b.input("x" + std::to_string(k), InputKind::Input, {e, {Dim::symbol("N")}}));
  b.output("y", OutputKind::Output, b.node(op, values));
  return Compiled(g);
}

Literal literal(ElementType e, const std::vector<double>& values) {
  return {e, {static_cast<std::int64_t>(values.size())}, values, {}};
}

struct Worst {
  double error = 0, x = 0, got = 0;
};

Worst sweep(const Function& f, ElementType e, const std::vector<double>& xs) {
  const Compiled c = elementwise(f.op, e, 1);
  const Tensor y = std::move(c.run({{"x0", literal(e, xs)}})[0]);
  Worst worst;
  for (std::size_t k = 0; k < xs.size(); ++k) {
    const double got = y.at(static_cast<std::int64_t>(k));
    // f64 suffices as the reference of f32, and is quicker.
    const double error = ulps(got, f.exact(xs[k]), e == ElementType::F32);
    if (error > worst.error || std::isnan(error)) worst = {error, xs[k], got};
  }
  return worst;
}

}  // namespace

TEST_CASE("f32 functions over all magnitudes") {
  const std::vector<double> xs = f32_patterns(kStride);
  for (const Function& f : kFunctions) {
    const Worst w = sweep(f, ElementType::F32, xs);
    CAPTURE(op_name(f.op));
    CAPTURE(w.x);
    CAPTURE(w.got);
    CHECK(w.error <= f.f32_bound);
  }
}

TEST_CASE("f64 functions over all magnitudes") {
  const std::vector<double> xs = f64_points();
  for (const Function& f : kFunctions) {
    const Worst w = sweep(f, ElementType::F64, xs);
    CAPTURE(op_name(f.op));
    CAPTURE(w.x);
    CAPTURE(w.got);
    CHECK(w.error <= f.f64_bound);
  }
}

TEST_CASE("pow in both types") {
  std::mt19937 random(3);
  for (const ElementType e : {ElementType::F32, ElementType::F64}) {
    const bool f32 = e == ElementType::F32;
    std::vector<double> xs, ys;
    std::uniform_real_distribution<double> base(0, 4), power(-20, 20), wide(-300, 300);
    for (int k = 0; k < 200000; ++k) {
      double x = k % 3 == 0 ? std::exp2(wide(random) / 3) : base(random);
      double y = k % 5 == 0 ? std::nearbyint(power(random)) : power(random);
      if (k % 5 == 0 && k % 2 == 0) x = -x;
      if (f32) x = static_cast<float>(x), y = static_cast<float>(y);
      xs.push_back(x);
      ys.push_back(y);
    }
    for (const double x : {0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, HUGE_VAL, -HUGE_VAL, std::nan("")})
      for (const double y :
           {0.0, -0.0, 1.0, -1.0, 2.0, 3.0, 0.5, -0.5, HUGE_VAL, -HUGE_VAL, std::nan("")})
        xs.push_back(x), ys.push_back(y);
    const Compiled c = elementwise(Op::pow, e, 2);
    const Tensor z = std::move(c.run({{"x0", literal(e, xs)}, {"x1", literal(e, ys)}})[0]);
    Worst w;
    for (std::size_t k = 0; k < xs.size(); ++k) {
      const double error =
          ulps(z.at(static_cast<std::int64_t>(k)), std::pow(Wide(xs[k]), Wide(ys[k])), f32);
      if (!(error <= w.error)) w = {error, xs[k], z.at(static_cast<std::int64_t>(k))};
    }
    CAPTURE(w.x);
    CHECK(w.error <= 4);
  }
}
