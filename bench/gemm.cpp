// Matrix products beside the libraries of Debian: OpenBLAS, BLIS, oneDNN, LIBXSMM. Every library
// that is found is timed in turn with ours, round by round, on the same operands; the least time of
// all rounds counts.
//
//   dlc_bench_gemm [--json] [ROUNDS]
//
// One thread: the program sets the libraries' thread counts before it loads them.
#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>

#include "bench/harness.h"

#ifdef DLC_BENCH_XSMM
#include <libxsmm.h>
#endif

using namespace dlc;
using namespace dlc::bench;

namespace {

/// C [m, n] = op(A) op(B), row-major: A is [k, m] when `ta`, B is [n, k] when `tb`.
struct Shape3 {
  std::int64_t m, k, n;
  bool ta = false, tb = false;
  double aim = 0.93;  // of the peak
};

struct Operands {
  const float *a, *b;
  float* c;
};
using Call = std::function<void(const Operands&)>;
struct Peer {
  std::string name;
  std::function<Call(const Shape3&)> prepare;  // empty when it has nothing for the shape
};

using Cblas = void (*)(int, int, int, int, int, int, float, const float*, int, const float*, int,
                       float, float*, int);
std::function<Call(const Shape3&)> cblas(void* symbol) {
  const auto f = reinterpret_cast<Cblas>(symbol);
  return [f](const Shape3& s) -> Call {
    constexpr int kRowMajor = 101, kPlain = 111, kTransposed = 112;
    const int m = static_cast<int>(s.m), n = static_cast<int>(s.n), k = static_cast<int>(s.k);
    return [=](const Operands& o) {
      f(kRowMajor, s.ta ? kTransposed : kPlain, s.tb ? kTransposed : kPlain, m, n, k, 1.0F, o.a,
        s.ta ? m : k, o.b, s.tb ? k : n, 0.0F, o.c, n);
    };
  };
}

std::vector<Peer> peers() {
  std::vector<Peer> list;
  const auto symbol = [&](const char* library, const char* name) -> void* {
    // Each prefers its own symbols: several of them define the same names.
    void* handle = dlopen(library, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    return handle ? dlsym(handle, name) : nullptr;
  };
  if (void* f = symbol("libopenblas.so.0", "cblas_sgemm")) list.push_back({"OpenBLAS", cblas(f)});
  if (void* f = symbol("libblis.so.4", "cblas_sgemm")) list.push_back({"BLIS", cblas(f)});
  for (const char* name : {"libdnnl.so.3", "libdnnl.so.2"}) {
    using Dnnl = int (*)(char, char, std::int64_t, std::int64_t, std::int64_t, float, const float*,
                         std::int64_t, const float*, std::int64_t, float, float*, std::int64_t);
    const auto f = reinterpret_cast<Dnnl>(symbol(name, "dnnl_sgemm"));
    if (!f) continue;
    list.push_back({"oneDNN", [f](const Shape3& s) -> Call {
                      return [=](const Operands& o) {
                        f(s.ta ? 'T' : 'N', s.tb ? 'T' : 'N', s.m, s.n, s.k, 1.0F, o.a,
                          s.ta ? s.m : s.k, o.b, s.tb ? s.k : s.n, 0.0F, o.c, s.n);
                      };
                    }});
    break;
  }
#ifdef DLC_BENCH_XSMM
  // Column-major: C' = op(B)' op(A)'. Its kernels exist for some transpositions only.
  list.push_back({"LIBXSMM", [](const Shape3& s) -> Call {
                    const int m = static_cast<int>(s.m), n = static_cast<int>(s.n),
                              k = static_cast<int>(s.k), lda = s.ta ? m : k, ldb = s.tb ? k : n;
                    const float one = 1, zero = 0;
                    const int flags = (s.tb ? LIBXSMM_GEMM_FLAG_TRANS_A : 0) |
                                      (s.ta ? LIBXSMM_GEMM_FLAG_TRANS_B : 0);
                    const auto kernel =
                        libxsmm_smmdispatch(n, m, k, &ldb, &lda, &n, &one, &zero, &flags, nullptr);
                    if (!kernel) return {};
                    return [kernel](const Operands& o) { kernel(o.b, o.a, o.c); };
                  }});
#endif
  return list;
}

std::vector<Shape3> shapes() {
  return {{64, 64, 64},
          {128, 128, 128},
          {256, 784, 256},
          {784, 256, 256, true, false},
          {256, 256, 784, true, false},
          {32, 256, 1024},
          {512, 512, 512},
          {64, 64, 64, false, true},
          {128, 128, 128, false, true},
          {256, 784, 256, false, true},
          {512, 512, 512, false, true},
          {1024, 1024, 1024, false, false, 0.88},
          {2048, 2048, 2048, false, false, 0.88},
          {1, 256, 256, false, false, 0},
          {10, 2, 1, false, false, 0}};
}

std::string name_of(const Shape3& s) {
  return fmt::format("{}x{}x{}{}{}", s.m, s.k, s.n, s.ta ? " A'" : "", s.tb ? " B'" : "");
}

std::unique_ptr<Program> ours(const Shape3& s) {
  const std::string a = s.ta ? fmt::format("{}, {}", s.k, s.m) : fmt::format("{}, {}", s.m, s.k),
                    b = s.tb ? fmt::format("{}, {}", s.n, s.k) : fmt::format("{}, {}", s.k, s.n);
  return prepare(contraction(a, b, fmt::format("{}, {}", s.m, s.n), s.ta ? "km" : "mk",
                             s.tb ? "nk" : "kn", "mn"),
                 s.m);
}

}  // namespace

int main(int argc, char** argv) {
  for (const char* name : {"OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "BLIS_NUM_THREADS"})
    setenv(name, "1", 1);
  bool json = false;
  int rounds = 5;
  for (int k = 1; k < argc; ++k)
    std::strcmp(argv[k], "--json") == 0
        ? static_cast<void>(json = true)
        : static_cast<void>(rounds = std::max(1, std::atoi(argv[k])));
  const std::vector<Peer> others = peers();
  double peak = 0;
  for (int k = 0; k < 3; ++k) peak = std::max(peak, peak_gflops());
  if (!json) {
    fmt::print("{}; peak of fused multiply-adds {:.1f} GFLOP/s; f32, one thread, GFLOP/s\n",
               target_description(), peak);
    fmt::print("{:<18} {:>8} {:>7} {:>5}", "m x k x n", "dlc", "of peak", "aim");
    for (const Peer& p : others) fmt::print(" {:>9}", p.name);
    fmt::print(" {:>8}\n", "to best");
  }
  for (const Shape3& s : shapes()) {
    const auto p = ours(s);
    Operands o{p->tensors.at("a").as<float>(), p->tensors.at("b").as<float>(), nullptr};
    Tensor c(DLC_F32, {s.m, s.n});
    o.c = c.as<float>();
    const double flops = 2.0 * static_cast<double>(s.m * s.k * s.n);
    const double budget = std::max(0.03, 3 * flops / 5e10);
    double own = 1e9;
    std::vector<double> times(others.size(), 1e9);
    std::vector<Call> calls;
    for (const Peer& peer : others) calls.push_back(peer.prepare(s));
    for (int round = 0; round < rounds; ++round) {
      own = std::min(own, seconds_per_call([&] { p->executable->run(); }, budget));
      for (std::size_t k = 0; k < others.size(); ++k) {
        if (!calls[k]) continue;
        times[k] = std::min(times[k], seconds_per_call([&] { calls[k](o); }, budget));
        // A peer that computes something else was called wrongly.
        const float* mine = p->tensors.at("c").as<float>();
        for (std::int64_t i = 0; i < c.size(); ++i)
          if (std::abs(mine[i] - o.c[i]) > 1e-3F * std::max(1.0F, std::abs(o.c[i]))) {
            fmt::print(stderr, "{}: {} differs at element {}\n", name_of(s), others[k].name, i);
            return 1;
          }
      }
    }
    const double best = times.empty() ? own : *std::min_element(times.begin(), times.end());
    const auto rate = [&](double t) { return flops / t / 1e9; };
    if (json) {
      fmt::print("{{\"shape\": \"{}\", \"peak\": {:.2f}, \"dlc\": {:.3f}", name_of(s), peak,
                 rate(own));
      for (std::size_t k = 0; k < others.size(); ++k)
        fmt::print(", \"{}\": {:.3f}", others[k].name, rate(times[k]));
      fmt::print("}}\n");
      continue;
    }
    fmt::print("{:<18} {:>8.1f} {:>6.0f}% {:>4.0f}%", name_of(s), rate(own), 100 * rate(own) / peak,
               100 * s.aim);
    for (const double t : times)
      fmt::print(" {:>9}", t < 1e9 ? fmt::format("{:.1f}", rate(t)) : "-");
    fmt::print(" {:>7.2f}x\n", best / own);
  }
}
