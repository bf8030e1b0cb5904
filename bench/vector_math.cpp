// The elementary functions on one thread, beside the C library's called element by element:
// nanoseconds per element over 1M elements, and how many times as fast.
//
//   dlc_bench_vector_math             every function
//   dlc_bench_vector_math exp tanh    these
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <random>
#include <set>

#include "bench/harness.h"

using namespace dlc;
using namespace dlc::bench;

namespace {

constexpr std::int64_t kCount = 1 << 20;

/// One call of a library function for each element; pow also takes the elements from behind.
template <class T>
using Loop = void (*)(const std::vector<T>& in, std::vector<T>& out);

struct Case {
  const char* op;
  double low, high;
  Loop<float> f32;
  Loop<double> f64;
};

template <class T, class F>
void loop(F f, const std::vector<T>& in, std::vector<T>& out) {
  for (std::size_t k = 0; k < in.size(); ++k) out[k] = f(in[k], in[in.size() - 1 - k]);
}

#define DLC_LOOP(T, expression)                                               \
  [](const std::vector<T>& in, std::vector<T>& out) {                         \
    loop([](T x, [[maybe_unused]] T y) -> T { return expression; }, in, out); \
  }
#define DLC_SCALAR(expression) DLC_LOOP(float, expression), DLC_LOOP(double, expression)

const Case kCases[] = {
    {"exp", -10, 10, DLC_SCALAR(std::exp(x))},
    {"exp2", -10, 10, DLC_SCALAR(std::exp2(x))},
    {"expm1", -10, 10, DLC_SCALAR(std::expm1(x))},
    {"log", 0.01, 100, DLC_SCALAR(std::log(x))},
    {"log2", 0.01, 100, DLC_SCALAR(std::log2(x))},
    {"log1p", -0.9, 100, DLC_SCALAR(std::log1p(x))},
    {"tanh", -5, 5, DLC_SCALAR(std::tanh(x))},
    {"sigmoid", -10, 10, DLC_SCALAR(1 / (1 + std::exp(-x)))},
    {"erf", -3, 3, DLC_SCALAR(std::erf(x))},
    {"erfc", -3, 3, DLC_SCALAR(std::erfc(x))},
    {"sin", -100, 100, DLC_SCALAR(std::sin(x))},
    {"cos", -100, 100, DLC_SCALAR(std::cos(x))},
    {"pow", 0.01, 10, DLC_SCALAR(std::pow(x, y))},
    {"sqrt", 0.01, 100, DLC_SCALAR(std::sqrt(x))},
    {"rsqrt", 0.01, 100, DLC_SCALAR(1 / std::sqrt(x))},
    {"cbrt", -100, 100, DLC_SCALAR(std::cbrt(x))},
};

#undef DLC_SCALAR
#undef DLC_LOOP

template <class T>
void report(const Case& c, Loop<T> f) {
  const bool f32 = sizeof(T) == 4;
  const bool binary = std::string_view(c.op) == "pow";
  const std::string type = f32 ? "f32[N]" : "f64[N]";
  const auto p = prepare(
      fmt::format(
          "graph g {{ %x: {0} = input input {2} %y: {0} = {1} {3} output output \"y\" = %y }}",
          type, c.op, binary ? fmt::format("%e: {} = input input", type) : "",
          binary ? "%x, %e" : "%x"),
      kCount);
  std::mt19937 random(1);
  std::uniform_real_distribution<double> numbers(c.low, c.high);
  std::vector<T> x(kCount), y(kCount);
  for (T& v : x) v = static_cast<T>(numbers(random));
  for (std::size_t k = 0; k < x.size(); ++k) {
    p->tensors.at("x").set(static_cast<std::int64_t>(k), x[k]);
    if (binary) p->tensors.at("e").set(static_cast<std::int64_t>(k), x[x.size() - 1 - k]);
  }
  const double ours = seconds_per_call([&] { p->executable->run(); }) * 1e9 / kCount;
  const double library = seconds_per_call([&] { f(x, y); }) * 1e9 / kCount;
  fmt::print("{} {:<8} {:>8.3f} ns {:>8.3f} ns {:>6.1f} x   compiled in {:.1f} ms\n",
             f32 ? "f32" : "f64", c.op, ours, library, library / ours, p->compile_seconds * 1e3);
}

}  // namespace

int main(int argc, char** argv) {
  const std::set<std::string> wanted(argv + 1, argv + argc);
  fmt::print("{}\n\n             {:>8}    {:>8}\n", target_description(), "dlc", "libm");
  for (const bool f32 : {true, false})
    for (const Case& c : kCases) {
      if (!wanted.empty() && !wanted.contains(c.op)) continue;
      if (f32)
        report<float>(c, c.f32);
      else
        report<double>(c, c.f64);
    }
}
