// The elementary functions against the C library in a wider type: f32 over a strided set of all bit
// patterns against f64, f64 over points of every magnitude against long double. Bounds are in units
// of the last place (ULP) of the exact result; denormals count in units of the smallest one.
//
// The sweep over every f32 there is takes about half an hour and is skipped unless asked for:
//
//   cmake -DDLC_EXHAUSTIVE=ON ... && ctest -L exhaustive -V
//   test_codegen --no-skip --test-case="every f32 *"
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <thread>

#include "codegen/llvm/jit.h"
#include "ir/graph/builder.h"
#include "passes/lower/lower.h"
#include "passes/pass_manager.h"
#include "runtime/executable.h"

using namespace dlc;

namespace {

using Wide = long double;

struct Function {
  Op op;
  double (*exact)(double);   // for f32
  Wide (*exact_wide)(Wide);  // for f64
  double f32_bound, f64_bound;
};

#define DLC_EXACT(expression) \
  [](double x) -> double { return expression; }, [](Wide x) -> Wide { return expression; }

const Function kFunctions[] = {
    {Op::exp, DLC_EXACT(std::exp(x)), 2, 2},
    {Op::exp2, DLC_EXACT(std::exp2(x)), 2, 2},
    {Op::expm1, DLC_EXACT(std::expm1(x)), 2, 2},
    {Op::log, DLC_EXACT(std::log(x)), 2, 2},
    {Op::log2, DLC_EXACT(std::log2(x)), 2, 2},
    {Op::log1p, DLC_EXACT(std::log1p(x)), 2, 2},
    {Op::sin, DLC_EXACT(std::sin(x)), 2, 2},
    {Op::cos, DLC_EXACT(std::cos(x)), 2, 2},
    {Op::tanh, DLC_EXACT(std::tanh(x)), 4, 4},
    {Op::sigmoid, DLC_EXACT(x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x))), 4,
     4},
    {Op::erf, DLC_EXACT(std::erf(x)), 4, 4},
    {Op::erfc, DLC_EXACT(std::erfc(x)), 2, 4},
    {Op::sqrt, DLC_EXACT(std::sqrt(x)), 0.5, 0.51},
    {Op::rsqrt, DLC_EXACT(1 / std::sqrt(x)), 2, 2},
    {Op::cbrt, DLC_EXACT(std::cbrt(x)), 2, 2},
    {Op::floor, DLC_EXACT(std::floor(x)), 0, 0},
    {Op::ceil, DLC_EXACT(std::ceil(x)), 0, 0},
    {Op::round, DLC_EXACT(std::nearbyint(x)), 0, 0},
    {Op::abs, DLC_EXACT(std::abs(x)), 0, 0},
};

#undef DLC_EXACT

/// Every kStride-th bit pattern (an odd number: all low bits occur), and the edges.
constexpr std::uint32_t kStride = 2621;

std::vector<float> f32_patterns(std::uint32_t stride) {
  std::vector<float> values;
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
  std::uniform_real_distribution<double> near(-40, 40), far(-1100, 1100), unit(-1.5, 1.5);
  for (int k = 0; k < 30000; ++k) {
    values.push_back(std::bit_cast<double>(random()));
    values.push_back(near(random));
    values.push_back(far(random));
    values.push_back(unit(random));
    values.push_back(std::ldexp(unit(random), -static_cast<int>(random() % 60)));
    values.push_back(1 + std::ldexp(unit(random), -static_cast<int>(random() % 50)));
    // Close to multiples of pi/2, where sines and cosines vanish.
    const auto n = static_cast<Wide>(random() >> (random() % 60 + 4));
    values.push_back(static_cast<double>(n * 1.57079632679489661923L));
  }
  for (const double v : {0.0,
                         5e-324,
                         2.2250738585072014e-308,
                         1.0,
                         0.625,
                         0.5,
                         709.782712893384,
                         710.0,
                         745.13,
                         746.0,
                         1024.0,
                         1074.0,
                         1075.0,
                         26.54,
                         27.2,
                         28.0,
                         0x1p30,
                         0x1.6ac5b262ca1ffp+849,  // the closest to a multiple of pi/2
                         1.7976931348623157e308,
                         HUGE_VAL,
                         std::nan("")})
    values.push_back(v), values.push_back(-v);
  return values;
}

template <class T>
double ulps(T got, Wide want) {
  constexpr bool kF32 = sizeof(T) == 4;
  const T rounded = static_cast<T>(want);
  if (std::isnan(got) && std::isnan(rounded)) return 0;
  if (std::isnan(got) || std::isnan(rounded)) return HUGE_VAL;
  if (got == 0 && rounded == 0 && std::signbit(got) != std::signbit(rounded)) return HUGE_VAL;
  if (got == rounded && std::isinf(got)) return 0;
  // One unit past the largest number is infinity.
  const bool overflows = std::isinf(rounded) || std::abs(want) > std::numeric_limits<T>::max();
  if (std::isinf(got)) return overflows ? 1 : HUGE_VAL;
  if (std::isinf(want)) return HUGE_VAL;
  const int least = kF32 ? -126 : -1022, mantissa = kF32 ? 23 : 52;
  const int exponent = want == 0 ? least : std::max(std::ilogb(want), least);
  return static_cast<double>(std::abs(Wide(got) - want) / std::ldexp(Wide(1), exponent - mantissa));
}

/// A compiled function of one or two vectors of one length.
template <class T>
class Elementwise {
 public:
  explicit Elementwise(Op op, int operands = 1, int vector_bits = 0) {
    Graph g;
    GraphBuilder b(g);
    const ElementType e = sizeof(T) == 4 ? ElementType::F32 : ElementType::F64;
    std::vector<Value> values;
    for (int k = 0; k < operands; ++k)
      values.push_back(b.input("x" + std::to_string(k), InputKind::Input, {e, {Dim::symbol("N")}}));
    b.output("y", OutputKind::Output, b.node(op, values));
    loop::Program p = lower(run_passes(g, default_pipeline(PipelineEnd::Fused, false), {}));
    run_loop_passes(p, true);
    code_ = jit_compile(p, vector_bits);
  }

  std::vector<T> operator()(std::vector<T> x, std::vector<T> y = {}, int threads = 1) const {
    ThreadPool pool(threads);
    Executable e(code_->program(), &pool);
    std::vector<T> result(x.size());
    e.set_symbol("N", static_cast<std::int64_t>(x.size()));
    for (int b = 0; b < code_->program()->num_buffers; ++b) {
      const std::string name = code_->program()->buffers[b].name;
      if (name == "x0") e.bind(b, x.data());
      if (name == "x1") e.bind(b, y.data());
      if (name == "y") e.bind(b, result.data());
    }
    e.prepare();
    e.run();
    return result;
  }

 private:
  std::unique_ptr<CompiledProgram> code_;
};

struct Worst {
  double error = 0, x = 0, got = 0;
  void add(double e, double at, double value) {
    if (!(e <= error)) error = e, x = at, got = value;
  }
};

void check(const Function& f, const Worst& w, double bound) {
  CAPTURE(op_name(f.op));
  CAPTURE(w.x);
  CAPTURE(w.got);
  CHECK(w.error <= bound);
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  for (std::size_t k = 0; k < a.size(); ++k)
    if (std::memcmp(&a[k], &b[k], sizeof(T)) != 0 && !(std::isnan(a[k]) && std::isnan(b[k])))
      return false;
  return a.size() == b.size();
}

/// Functions of one vector at every width, over a count that leaves lanes over, and in two threads.
template <class T>
void check_widths(Op op, int operands, const std::vector<T>& x, const std::vector<T>& y) {
  CAPTURE(op_name(op));
  const std::vector<T> want = Elementwise<T>(op, operands)(x, y);
  CHECK(same_bits(Elementwise<T>(op, operands)(x, y, 2), want));
  for (const int bits : {128, 256}) {
    CAPTURE(bits);
    CHECK(same_bits(Elementwise<T>(op, operands, bits)(x, y), want));
  }
  // One element at a time: all lanes but one are masked.
  const Elementwise<T> f(op, operands);
  for (std::size_t k = 0; k < x.size(); k += x.size() / 37)
    CHECK(same_bits(f({x[k]}, {y[k]}), {want[k]}));
}

template <class T>
void check_pow() {
  std::mt19937 random(3);
  std::vector<T> xs, ys;
  std::uniform_real_distribution<double> base(0, 4), power(-20, 20), wide(-300, 300);
  for (int k = 0; k < 300000; ++k) {
    double x = k % 3 == 0 ? std::exp2(wide(random) / 3) : base(random);
    double y = k % 5 == 0 ? std::nearbyint(power(random)) : power(random);
    if (k % 5 == 0 && k % 2 == 0) x = -x;
    if (k % 7 == 0) x = 1 + (x - 2) * std::exp2(-wide(random) / 15 - 20), y = wide(random) * 1e5;
    if (k % 11 == 0) y = wide(random) / std::log(std::abs(x)) * 2.5;
    xs.push_back(static_cast<T>(x));
    ys.push_back(static_cast<T>(y));
  }
  const T infinity = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
  const T least = std::numeric_limits<T>::denorm_min(), most = std::numeric_limits<T>::max();
  for (const T x : {T(0), T(1), T(2), T(0.5), T(3), least, most, infinity, nan})
    for (const T y :
         {T(0), T(1), T(2), T(3), T(0.5), T(1.5), T(1e9), T(16777215), least, most, infinity, nan})
      for (const int signs : {0, 1, 2, 3})
        xs.push_back(signs & 1 ? -x : x), ys.push_back(signs & 2 ? -y : y);
  const std::vector<T> z = Elementwise<T>(Op::pow, 2)(xs, ys);
  Worst w;
  double y = 0;
  for (std::size_t k = 0; k < xs.size(); ++k) {
    const double error = ulps<T>(z[k], std::pow(Wide(xs[k]), Wide(ys[k])));
    if (!(error <= w.error)) y = static_cast<double>(ys[k]);
    w.add(error, static_cast<double>(xs[k]), static_cast<double>(z[k]));
  }
  CAPTURE(w.x);
  CAPTURE(y);
  CAPTURE(w.got);
  CHECK(w.error <= 4);
  check_widths<T>(Op::pow, 2, {xs.end() - 1003, xs.end()}, {ys.end() - 1003, ys.end()});
}

/// Bit patterns [from, to) of f32.
Worst sweep_all(const Function& f, const Elementwise<float>& compiled, std::uint64_t from,
                std::uint64_t to) {
  constexpr std::uint64_t kChunk = 1 << 20;
  Worst worst;
  std::vector<float> x(kChunk);
  for (std::uint64_t at = from; at < to; at += kChunk) {
    for (std::uint64_t k = 0; k < kChunk; ++k)
      x[k] = std::bit_cast<float>(static_cast<std::uint32_t>(at + k));
    const std::vector<float> y = compiled(x);
    for (std::uint64_t k = 0; k < kChunk; ++k) {
      const double want = f.exact(x[k]);
      // What is rounded correctly is at most half a unit off.
      if (std::bit_cast<std::uint32_t>(y[k]) ==
          std::bit_cast<std::uint32_t>(static_cast<float>(want)))
        continue;
      worst.add(ulps<float>(y[k], want), x[k], y[k]);
    }
  }
  return worst;
}

}  // namespace

TEST_CASE("f32 functions over all magnitudes") {
  const std::vector<float> xs = f32_patterns(kStride);
  for (const Function& f : kFunctions) {
    const std::vector<float> ys = Elementwise<float>(f.op)(xs);
    Worst w;
    for (std::size_t k = 0; k < xs.size(); ++k)
      w.add(ulps<float>(ys[k], f.exact(xs[k])), xs[k], ys[k]);
    check(f, w, f.f32_bound);
  }
}

TEST_CASE("f64 functions over all magnitudes") {
  const std::vector<double> xs = f64_points();
  for (const Function& f : kFunctions) {
    const std::vector<double> ys = Elementwise<double>(f.op)(xs);
    Worst w;
    for (std::size_t k = 0; k < xs.size(); ++k)
      w.add(ulps<double>(ys[k], f.exact_wide(xs[k])), xs[k], ys[k]);
    check(f, w, f.f64_bound);
  }
}

TEST_CASE("functions do not depend on the vector width, the lanes left over or the threads") {
  std::vector<float> xs = f32_patterns(kStride * 1021);
  while (xs.size() % 16 != 13) xs.push_back(0.3f);
  std::vector<double> points = f64_points();
  std::vector<double> wide_xs(points.end() - 1501, points.end());
  while (wide_xs.size() % 8 != 5) wide_xs.push_back(0.3);
  for (const Function& f : kFunctions) {
    check_widths<float>(f.op, 1, xs, xs);
    check_widths<double>(f.op, 1, wide_xs, wide_xs);
  }
}

TEST_CASE("pow in f32") { check_pow<float>(); }
TEST_CASE("pow in f64") { check_pow<double>(); }

TEST_CASE("every f32 through every function" * doctest::skip()) {
  const unsigned threads = std::clamp(std::thread::hardware_concurrency(), 1u, 64u);
  for (const Function& f : kFunctions) {
    const Elementwise<float> compiled(f.op);
    std::vector<Worst> parts(threads);
    std::vector<std::thread> workers;
    constexpr std::uint64_t kAll = std::uint64_t{1} << 32, kUnit = 1 << 20;
    const auto border = [&](unsigned t) { return kAll / kUnit * t / threads * kUnit; };
    for (unsigned t = 0; t < threads; ++t)
      workers.emplace_back([&, t] { parts[t] = sweep_all(f, compiled, border(t), border(t + 1)); });
    for (std::thread& t : workers) t.join();
    Worst worst;
    for (const Worst& w : parts) worst.add(w.error, w.x, w.got);
    fmt::print("every f32 {:<8} {:.4f} ULP at {}\n", op_name(f.op), std::max(worst.error, 0.5),
               worst.x);
    std::fflush(stdout);
    check(f, worst, f.f32_bound);
  }
}
