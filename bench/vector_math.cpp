// The elementary functions on one thread, beside the C library's called element by element:
// nanoseconds per element over 1M elements.
//
//   dlc_bench_vector_math [--rounds N] [--seconds S] [--quick] [NAME...]
//
// NAME is an operation, or f64 for the other element type.
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
void report(const Case& c, Loop<T> f, const BenchmarkOptions& options) {
  const std::int64_t count = options.quick ? 1 << 10 : 1 << 20;
  const bool f32 = sizeof(T) == 4;
  const bool binary = std::string_view(c.op) == "pow";
  const std::string type = f32 ? "f32[N]" : "f64[N]";
  const auto p = prepare(
      fmt::format(
          "graph g {{ %x: {0} = input input {2} %y: {0} = {1} {3} output output \"y\" = %y }}",
          type, c.op, binary ? fmt::format("%e: {} = input input", type) : "",
          binary ? "%x, %e" : "%x"),
      count);
  std::mt19937 random(1);
  std::uniform_real_distribution<double> numbers(c.low, c.high);
  std::vector<T> x(static_cast<std::size_t>(count)), y(x.size());
  for (T& v : x) v = static_cast<T>(numbers(random));
  for (std::size_t k = 0; k < x.size(); ++k) {
    p->tensors.at("x").set(static_cast<std::int64_t>(k), x[k]);
    if (binary) p->tensors.at("e").set(static_cast<std::int64_t>(k), x[x.size() - 1 - k]);
  }
  CaseReport report(fmt::format("{}{}", c.op, f32 ? "" : " f64"), "ns", false);
  const auto per_element = [&](auto&& call) {
    return seconds_per_call(call, options.seconds) * 1e9 / static_cast<double>(count);
  };
  for (int round = 0; round < options.rounds; ++round) {
    report.add("dlc", per_element([&] { p->executable->run(); }));
    report.add("libm", per_element([&] { f(x, y); }));
  }
  report.print();
}

}  // namespace

int main(int argc, char** argv) {
  const BenchmarkOptions options = read_options(argc, argv);
  std::set<std::string> wanted(options.names.begin(), options.names.end());
  const bool f64 = wanted.erase("f64") > 0;
  for (const Case& c : kCases) {
    if (!wanted.empty() && !wanted.contains(c.op)) continue;
    if (f64)
      report<double>(c, c.f64, options);
    else
      report<float>(c, c.f32, options);
  }
}
