// Matrix products beside the libraries of Debian: OpenBLAS, BLIS, oneDNN, LIBXSMM, whichever is
// found, turn by turn on the same operands; every result is compared with ours.
//
//   dlc_bench_gemm [--rounds N] [--seconds S] [--quick] [CASE...]
//
// The libraries run one thread: their thread counts are set before they are loaded, and threads
// that appear all the same are an error.
#include <dlfcn.h>
#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <functional>

#include "bench/harness.h"
#include "bench/native_loops.h"

#ifdef DLC_BENCH_XSMM
#include <libxsmm.h>
#endif

using namespace dlc;
using namespace dlc::bench;

namespace {

/// C [m, n] = op(A) op(B), row-major: A is [k, m] when `ta`, B is [n, k] when `tb`.
struct Case {
  std::int64_t m, k, n;
  bool ta = false, tb = false;
  std::string element = "f32";

  double flops() const { return 2.0 * static_cast<double>(m) * k * n; }
  std::string name() const {
    return fmt::format("{}x{}x{}{}{}{}", m, k, n, ta ? " A'B" : "", tb ? " AB'" : "",
                       element == "f32" ? "" : " " + element);
  }
};

/// One line a product: m, k, n.
std::vector<Case> cases(bool quick) {
  if (quick) return {{64, 64, 64}, {16, 32, 16, true}, {16, 32, 16, false, true}, {10, 2, 1}};
  return {{64, 64, 64},
          {128, 128, 128},
          {256, 784, 256},
          {784, 256, 256, true},
          {256, 256, 784, true},
          {32, 256, 1024},
          {512, 512, 512},
          {1024, 1024, 1024},
          {2048, 2048, 2048},
          {64, 64, 64, false, true},
          {128, 128, 128, false, true},
          {512, 512, 512, false, true},
          {1, 256, 256},
          {10, 1, 2},
          {10, 2, 1},
          {512, 512, 512, false, false, "bf16"}};
}
/// Below this a call takes so little that its overhead is what is compared: reported as time.
constexpr double kTinyFlops = 1e4;
constexpr double kTwoThreadFlops = 2.0 * 128 * 128 * 128;

struct Operands {
  const void *a, *b;
  void* c;
};
/// Makes `times` calls.
using Calls = std::function<void(const Operands&, std::int64_t times)>;
struct Peer {
  std::string name, package;
  std::function<Calls(const Case&)> prepare;  // null when the library is not there; an empty
                                              // result when it has nothing for the case
};

void* symbol(const char* library, const char* name) {
  // Each prefers its own symbols: several of them define the same names.
  void* handle = dlopen(library, RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
  return handle ? dlsym(handle, name) : nullptr;
}

using Cblas = void (*)(int, int, int, int, int, int, float, const float*, int, const float*, int,
                       float, float*, int);
std::function<Calls(const Case&)> cblas(void* function) {
  if (!function) return nullptr;
  const auto f = reinterpret_cast<Cblas>(function);
  return [f](const Case& s) -> Calls {
    if (s.element != "f32") return {};
    constexpr int kRowMajor = 101, kPlain = 111, kTransposed = 112;
    const int m = static_cast<int>(s.m), n = static_cast<int>(s.n), k = static_cast<int>(s.k);
    return [=, ta = s.ta, tb = s.tb](const Operands& o, std::int64_t times) {
      for (std::int64_t i = 0; i < times; ++i)
        f(kRowMajor, ta ? kTransposed : kPlain, tb ? kTransposed : kPlain, m, n, k, 1.0F,
          static_cast<const float*>(o.a), ta ? m : k, static_cast<const float*>(o.b), tb ? k : n,
          0.0F, static_cast<float*>(o.c), n);
    };
  };
}

/// oneDNN's products have one form for all element types; that of bf16 gives f32.
std::function<Calls(const Case&)> onednn() {
  using Dnnl = int (*)(char, char, std::int64_t, std::int64_t, std::int64_t, float, const void*,
                       std::int64_t, const void*, std::int64_t, float, void*, std::int64_t);
  for (const char* library : {"libdnnl.so.3", "libdnnl.so.2"}) {
    const auto f32 = reinterpret_cast<Dnnl>(symbol(library, "dnnl_sgemm"));
    const auto bf16 = reinterpret_cast<Dnnl>(symbol(library, "dnnl_gemm_bf16bf16f32"));
    if (!f32) continue;
    return [=](const Case& s) -> Calls {
      const Dnnl f = s.element == "f32" ? f32 : s.element == "bf16" ? bf16 : nullptr;
      // It says so where it has none for a processor.
      const float none[2] = {};
      float c = 0;
      if (!f || f('N', 'N', 1, 1, 1, 1.0F, none, 1, none, 1, 0.0F, &c, 1) != 0) return {};
      return [=](const Operands& o, std::int64_t times) {
        for (std::int64_t i = 0; i < times; ++i)
          f(s.ta ? 'T' : 'N', s.tb ? 'T' : 'N', s.m, s.n, s.k, 1.0F, o.a, s.ta ? s.m : s.k, o.b,
            s.tb ? s.k : s.n, 0.0F, o.c, s.n);
      };
    };
  }
  return nullptr;
}

std::function<Calls(const Case&)> xsmm() {
#ifdef DLC_BENCH_XSMM
  // Column-major: C' = op(B)' op(A)'. Its kernels exist for some transpositions only.
  return [](const Case& s) -> Calls {
    if (s.element != "f32") return {};
    const int m = static_cast<int>(s.m), n = static_cast<int>(s.n), k = static_cast<int>(s.k),
              lda = s.ta ? m : k, ldb = s.tb ? k : n;
    const float one = 1, zero = 0;
    const int flags =
        (s.tb ? LIBXSMM_GEMM_FLAG_TRANS_A : 0) | (s.ta ? LIBXSMM_GEMM_FLAG_TRANS_B : 0);
    const auto kernel = libxsmm_smmdispatch(n, m, k, &ldb, &lda, &n, &one, &zero, &flags, nullptr);
    if (!kernel) return {};
    return [kernel](const Operands& o, std::int64_t times) {
      for (std::int64_t i = 0; i < times; ++i)
        kernel(static_cast<const float*>(o.b), static_cast<const float*>(o.a),
               static_cast<float*>(o.c));
    };
  };
#else
  return nullptr;
#endif
}

std::vector<Peer> peers() {
  std::vector<Peer> all = {
      {"OpenBLAS", "libopenblas0-pthread", cblas(symbol("libopenblas.so.0", "cblas_sgemm"))},
      {"BLIS", "libblis4", cblas(symbol("libblis.so.4", "cblas_sgemm"))},
      {"oneDNN", "libdnnl2", onednn()},
      {"LIBXSMM", "libxsmm-dev", xsmm()}};
  std::vector<Peer> found;
  for (Peer& p : all) {
    if (p.prepare)
      found.push_back(std::move(p));
    else
      fmt::print("{{\"system\": \"{}\", \"package\": \"{}\"}}\n", p.name, p.package);
  }
  return found;
}

std::unique_ptr<Program> ours(const Case& s, int threads) {
  const std::string a = s.ta ? fmt::format("{}, {}", s.k, s.m) : fmt::format("{}, {}", s.m, s.k),
                    b = s.tb ? fmt::format("{}, {}", s.n, s.k) : fmt::format("{}, {}", s.k, s.n);
  return prepare(contraction(a, b, fmt::format("{}, {}", s.m, s.n), s.ta ? "km" : "mk",
                             s.tb ? "nk" : "kn", "mn", s.element.c_str()),
                 s.m, false, threads);
}

/// Whether a peer computed what we did; one that did not was called wrongly.
bool same(const Case& s, const Tensor& mine, const Tensor& theirs, const std::string& peer) {
  const double tolerance = s.element == "f32" ? 1e-3 : 2e-2;
  for (std::int64_t i = 0; i < theirs.size(); ++i)
    if (std::abs(mine.at(i) - theirs.at(i)) > tolerance * std::max(1.0, std::abs(theirs.at(i)))) {
      fmt::print(stderr, "{}: {} differs at element {}: {} instead of {}\n", s.name(), peer, i,
                 theirs.at(i), mine.at(i));
      return false;
    }
  return true;
}

/// False when a peer is wrong.
bool measure(const Case& s, const std::vector<Peer>& others, const BenchmarkOptions& options,
             const std::vector<int>& cpus) {
  std::unique_ptr<Program> one, two;
  try {
    one = ours(s, 1);
    // The second thread takes the second processor; this one goes back to the first.
    pin_to(cpus);
    if (cpus.size() > 1 && s.flops() >= kTwoThreadFlops) two = ours(s, 2);
    pin_to({cpus.front()});
  } catch (const std::exception& e) {
    print_skipped(s.name(), e.what());
    return true;
  }
  const bool tiny = s.flops() < kTinyFlops;
  CaseReport report(s.name(), tiny ? "ns" : "GFLOP/s", !tiny);
  const auto value = [&](double seconds) {
    return tiny ? seconds * 1e9 : s.flops() / seconds / 1e9;
  };
  const auto run = [](Program& p) {
    return [e = p.executable.get()](std::int64_t times) {
      for (std::int64_t k = 0; k < times; ++k) e->run();
    };
  };
  Tensor c(DLC_F32, {s.m, s.n});
  const Operands operands{one->tensors.at("a").data(), one->tensors.at("b").data(), c.data()};
  std::vector<std::pair<const Peer*, Calls>> calls;
  for (const Peer& peer : others)
    if (Calls f = peer.prepare(s)) calls.emplace_back(&peer, std::move(f));
  for (int round = 0; round < options.rounds; ++round) {
    const double peak = fma_peak_gflops();
    report.add("dlc", value(seconds_per_call(run(*one), options.seconds)));
    for (const auto& [peer, f] : calls) {
      const double seconds =
          seconds_per_call([&](std::int64_t times) { f(operands, times); }, options.seconds);
      report.add(peer->name, value(seconds));
      if (round == 0 && !same(s, one->tensors.at("c"), c, peer->name)) return false;
    }
    if (two) report.add_variant("two threads", value(seconds_per_call(run(*two), options.seconds)));
    if (!tiny) report.add_limit("FMA peak", peak);
  }
  report.print();
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  for (const char* name : {"OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "BLIS_NUM_THREADS"})
    setenv(name, "1", 1);
  const BenchmarkOptions options = read_options(argc, argv);
  const std::vector<int> cpus = allowed_cpus();
  fmt::print("{{\"target\": \"{}\"}}\n", target_description());
  const std::vector<Peer> others = peers();
  // A product of each that would be worth a second thread, to see that none is started.
  const Case probe{512, 512, 512};
  {
    const auto p = ours(probe, 1);
    const int before = threads_now();
    Tensor c(DLC_F32, {probe.m, probe.n});
    for (const Peer& peer : others) {
      if (const Calls f = peer.prepare(probe))
        f({p->tensors.at("a").data(), p->tensors.at("b").data(), c.data()}, 1);
      if (threads_now() > before) {
        fmt::print(stderr, "{} runs {} threads instead of one\n", peer.name,
                   threads_now() - before + 1);
        return 1;
      }
    }
  }
  for (const Case& s : cases(options.quick))
    if (options.wants(s.name()) && !measure(s, others, options, cpus)) return 1;
}
