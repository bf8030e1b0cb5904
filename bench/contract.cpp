// How fast contractions run, kernel by kernel: GFLOP/s on one thread for the shapes of an MLP's
// training step, beside the machine's peak of fused multiply-adds measured in the same run.
//
//   dlc_bench_contract            every shape
//   dlc_bench_contract 256 784 10   one [M, K] x [K, N] product
//   dlc_bench_contract nk nm km n=256 k=784 m=256   any, by its letters and their extents; n is
//                                                   the batch, which the compiler does not know,
//                                                   and so does any other with t=n
#include <fmt/format.h>

#include <cstdlib>
#include <map>

#include "bench/harness.h"
#include "bench/native_loops.h"

using namespace dlc;
using namespace dlc::bench;

namespace {

struct Case {
  const char* what;
  std::int64_t n;  // the batch
  std::string text;
  double flops;
};

std::vector<Case> cases() {
  const double mlp1 = 2.0 * 256 * 784 * 256, mlp2 = 2.0 * 256 * 256 * 256,
               head = 2.0 * 256 * 256 * 10, softmax = 2.0 * 256 * 784 * 10;
  return {
      {"x[N,784] w[784,256]", 256, contraction("N, 784", "784, 256", "N, 256", "nk", "km", "nm"),
       mlp1},
      {"dw[784,256] = x' dy", 256, contraction("N, 784", "N, 256", "784, 256", "nk", "nm", "km"),
       mlp1},
      {"dw[256,784] = dy' x", 256, contraction("N, 256", "N, 784", "256, 784", "nk", "nm", "km"),
       mlp1},
      {"h[N,256] w[256,256]", 256, contraction("N, 256", "256, 256", "N, 256", "nk", "km", "nm"),
       mlp2},
      {"dw[256,256] = h' dy", 256, contraction("N, 256", "N, 256", "256, 256", "nk", "nm", "km"),
       mlp2},
      {"dx[N,256] = dy w'", 256, contraction("N, 256", "256, 256", "N, 256", "nm", "km", "nk"),
       mlp2},
      {"h[N,256] w[256,10]", 256, contraction("N, 256", "256, 10", "N, 10", "nk", "km", "nm"),
       head},
      {"dw[256,10] = h' dy", 256, contraction("N, 256", "N, 10", "256, 10", "nk", "nm", "km"),
       head},
      {"dh[N,256] = dy w'", 256, contraction("N, 10", "256, 10", "N, 256", "nm", "km", "nk"), head},
      {"y[N] = x[N,784] w[784]", 256, contraction("N, 784", "784", "N", "nk", "k", "n"),
       2.0 * 256 * 784},
      {"dw[784] = x' dy[N]", 256, contraction("N, 784", "N", "784", "nk", "n", "k"),
       2.0 * 256 * 784},
      {"x[N,784] w[784,10]", 256, contraction("N, 784", "784, 10", "N, 10", "nk", "km", "nm"),
       softmax},
      {"dw[784,10] = x' dy", 256, contraction("N, 784", "N, 10", "784, 10", "nk", "nm", "km"),
       softmax},
  };
}

/// A training step on u8 pictures: layers as given, cross-entropy over the classes, plain gradient
/// descent.
std::string training_step(const std::vector<int>& sizes) {
  std::string text = fmt::format(
      "graph step {{\n  %u: u8[N, {0}] = input input\n"
      "  %f: f32[N, {0}] = convert %u {{element = \"f32\"}}\n"
      "  %max: f32[] = constant 255.0\n"
      "  %maxs: f32[N, {0}] = broadcast %max {{shape = (N, {0}), dims = []}}\n"
      "  %x: f32[N, {0}] = div %f, %maxs\n",
      sizes[0]);
  text += "  %y: i32[N] = input target\n";
  const std::size_t layers = sizes.size() - 1;
  for (std::size_t k = 0; k < layers; ++k)
    text += fmt::format("  %w{0}: f32[{1}, {2}] = input param\n  %b{0}: f32[{2}] = input param\n",
                        k, sizes[k], sizes[k + 1]);
  std::string h = "%x";
  for (std::size_t k = 0; k < layers; ++k) {
    const int m = sizes[k + 1];
    text += fmt::format(
        "  %p{0}: f32[N, {1}] = contract {2}, %w{0} {{lhs = \"nk\", rhs = \"km\", out = \"nm\"}}\n"
        "  %bb{0}: f32[N, {1}] = broadcast %b{0} {{shape = (N, {1}), dims = [1]}}\n"
        "  %z{0}: f32[N, {1}] = add %p{0}, %bb{0}\n",
        k, m, h);
    h = fmt::format("%z{}", k);
    if (k + 1 == layers) break;
    text += fmt::format(
        "  %zero{0}: f32[] = constant 0.0\n"
        "  %zeros{0}: f32[N, {1}] = broadcast %zero{0} {{shape = (N, {1}), dims = []}}\n"
        "  %h{0}: f32[N, {1}] = max {2}, %zeros{0}\n",
        k, m, h);
    h = fmt::format("%h{}", k);
  }
  const int classes = sizes.back();
  text += fmt::format(
      "  %m: f32[N] = reduce_max {0} {{axes = [1]}}\n"
      "  %ms: f32[N] = stop_gradient %m\n"
      "  %mb: f32[N, {1}] = broadcast %ms {{shape = (N, {1}), dims = [0]}}\n"
      "  %d: f32[N, {1}] = sub {0}, %mb\n"
      "  %e: f32[N, {1}] = exp %d\n"
      "  %s: f32[N] = reduce_sum %e {{axes = [1]}}\n"
      "  %ls: f32[N] = log %s\n"
      "  %yb: i32[N, {1}] = broadcast %y {{shape = (N, {1}), dims = [0]}}\n"
      "  %classes: i32[N, {1}] = iota {{shape = (N, {1}), axis = 1, element = \"i32\"}}\n"
      "  %hit: bool[N, {1}] = eq %yb, %classes\n"
      "  %zc: f32[] = constant 0.0\n"
      "  %zcs: f32[N, {1}] = broadcast %zc {{shape = (N, {1}), dims = []}}\n"
      "  %picked: f32[N, {1}] = select %hit, %d, %zcs\n"
      "  %right: f32[N] = reduce_sum %picked {{axes = [1]}}\n"
      "  %nll: f32[N] = sub %ls, %right\n"
      "  %total: f32[] = reduce_sum %nll {{axes = [0]}}\n"
      "  %count: f32[] = dim {{dim = (N), element = \"f32\"}}\n"
      "  %loss: f32[] = div %total, %count\n"
      "  %rate: f32[] = constant 0.0625\n",
      h, classes);
  for (std::size_t k = 0; k < layers; ++k)
    for (const char* p : {"w", "b"}) {
      const std::string shape = *p == 'w' ? fmt::format("{}, {}", sizes[k], sizes[k + 1])
                                          : fmt::format("{}", sizes[k + 1]);
      text += fmt::format(
          "  %g{0}{1}: f32[{2}] = grad %loss, %{0}{1}\n"
          "  %r{0}{1}: f32[{2}] = broadcast %rate {{shape = ({2}), dims = []}}\n"
          "  %s{0}{1}: f32[{2}] = mul %g{0}{1}, %r{0}{1}\n"
          "  %n{0}{1}: f32[{2}] = sub %{0}{1}, %s{0}{1}\n"
          "  output update \"{0}{1}\" = %n{0}{1}\n",
          p, k, shape);
    }
  return text + "  output loss \"loss\" = %loss\n}\n";
}

void report_step(const char* what, const std::vector<int>& sizes) {
  const auto p = prepare(training_step(sizes), 256, true);
  double flops = 0;
  for (std::size_t k = 0; k + 1 < sizes.size(); ++k)
    flops += 2.0 * 256 * sizes[k] * sizes[k + 1] * (k == 0 ? 2 : 3);
  const double t = seconds_per_call([&] { p->executable->run(); });
  fmt::print("{:<24} {:>8.1f} us {:>8.1f} GFLOP/s   compiled in {:.0f} ms\n", what, t * 1e6,
             flops / t / 1e9, p->compile_seconds * 1e3);
}

/// C[out] = sum of A[lhs] * B[rhs]; the extents of `symbolic` letters are N.
Case named(const std::string& lhs, const std::string& rhs, const std::string& out,
           const std::map<char, std::int64_t>& extents, const std::string& symbolic = "") {
  const auto shape = [&](const std::string& letters) {
    std::string result;
    for (const char c : letters)
      result += (result.empty() ? "" : ", ") +
                (symbolic.find(c) != std::string::npos ? "N" : std::to_string(extents.at(c)));
    return result;
  };
  double flops = 2;
  for (const auto& [letter, extent] : extents) flops *= static_cast<double>(extent);
  const auto n = extents.find('n');
  return {"one product", n == extents.end() ? 1 : n->second,
          contraction(shape(lhs), shape(rhs), shape(out), lhs.c_str(), rhs.c_str(), out.c_str()),
          flops};
}

}  // namespace

int main(int argc, char** argv) {
  fmt::print("{}\n", target_description());
  const double peak = fma_peak_gflops();
  fmt::print("peak of fused multiply-adds: {:.1f} GFLOP/s\n\n", peak);
  std::vector<Case> all = cases();
  if (argc == 4) {
    all = {
        named("ak", "km", "am",
              {{'a', std::atoi(argv[1])}, {'k', std::atoi(argv[2])}, {'m', std::atoi(argv[3])}})};
  } else if (argc > 4) {
    std::map<char, std::int64_t> extents;
    std::string symbolic = "n";
    for (int k = 4; k < argc; ++k) {
      const std::string extent = argv[k] + 2;
      if (extent == "n") symbolic += argv[k][0];
      extents[argv[k][0]] = extent == "n" ? extents['n'] : std::stoll(extent);
    }
    all = {named(argv[1], argv[2], argv[3], extents, symbolic)};
  }
  for (const Case& c : all) {
    const auto p = prepare(c.text, c.n);
    const double t = seconds_per_call([&] { p->executable->run(); });
    const double rate = c.flops / t / 1e9;
    fmt::print("{:<24} {:>8.1f} us {:>8.1f} GFLOP/s {:>5.0f} %   compiled in {:.0f} ms\n", c.what,
               t * 1e6, rate, 100 * rate / peak, p->compile_seconds * 1e3);
  }
  if (argc >= 4) return 0;
  fmt::print("\n");
  report_step("step MLP 784-256-10", {784, 256, 10});
  report_step("step 784-256-256-10", {784, 256, 256, 10});
  report_step("step softmax 784-10", {784, 10});
}
