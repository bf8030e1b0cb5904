#pragma once
// What the benchmarks share: a compiled graph bound to memory, and the least time of one run.
#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "codegen/llvm/jit.h"
#include "runtime/executable.h"

namespace dlc::bench {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start);

struct Program {
  explicit Program(int threads) : pool(threads) {}
  std::unique_ptr<CompiledProgram> code;
  double compile_seconds = 0;
  ThreadPool pool;
  std::map<std::string, Tensor> tensors;  // by buffer
  std::unique_ptr<Executable> executable;
};

/// Compiles a graph and binds every buffer to fresh memory; the batch has `n` rows, drawn from
/// 60000 with `gather`.
std::unique_ptr<Program> prepare(const std::string& text, std::int64_t n, bool gather = false,
                                 int threads = 1);

/// The least time of one call, over about `seconds`, by the clock around batches of calls of 5 ms.
template <class F>
double seconds_per_call(const F& f, double seconds = 0.3) {
  f();
  double best = 1e9;
  const auto start = Clock::now();
  do {
    const auto at = Clock::now();
    int runs = 0;
    do f(), ++runs;
    while (seconds_since(at) < 0.005);
    best = std::min(best, seconds_since(at) / runs);
  } while (seconds_since(start) < seconds);
  return best;
}

/// A contraction of two f32 tensors, "a" and "b", into "c" as the text of a graph.
std::string contraction(const std::string& a, const std::string& b, const std::string& out,
                        const char* lhs, const char* rhs, const char* letters);

/// What one thread can do at most, in GFLOP/s: a product that stays in the L1 cache.
double peak_gflops();

}  // namespace dlc::bench
