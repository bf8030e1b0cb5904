#pragma once
// What the benchmarks share: a compiled graph bound to memory, the time of one call, and the form
// in which scripts/bench reads the results.
#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

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

/// The time of one call: the median over batches of calls that together take about `seconds`.
/// Reading the clock takes 25 ns, so a batch has as many calls as make it last. `f` is either one
/// call or, where the call itself is a few nanoseconds, `f(n)` that makes n of them.
template <class F>
double seconds_per_call(const F& f, double seconds = 0.3) {
  const auto batch = [&](std::int64_t calls) {
    const auto start = Clock::now();
    if constexpr (std::is_invocable_v<F, std::int64_t>)
      f(calls);
    else
      for (std::int64_t k = 0; k < calls; ++k) f();
    return seconds_since(start);
  };
  constexpr double kShortestBatch = 5e-4;
  constexpr int kFewestBatches = 3;
  batch(1);  // first touches
  std::int64_t calls = 1;
  while (batch(calls) < kShortestBatch) calls *= 2;
  std::vector<double> times;
  const auto start = Clock::now();
  do times.push_back(batch(calls) / static_cast<double>(calls));
  while (times.size() < kFewestBatches || seconds_since(start) < seconds);
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

/// A contraction of two tensors, "a" and "b", into "c" as the text of a graph.
std::string contraction(const std::string& a, const std::string& b, const std::string& out,
                        const char* lhs, const char* rhs, const char* letters,
                        const char* element = "f32");

/// What one case of a benchmark came to, one value of each system a round. Printed as a line of
/// JSON: scripts/bench reads it.
class CaseReport {
 public:
  CaseReport(std::string name, std::string unit, bool higher_is_better)
      : name_(std::move(name)), unit_(std::move(unit)), higher_(higher_is_better) {}
  void add(const std::string& system, double value) { values(systems_, system).push_back(value); }
  /// dlc in another setting, two threads for instance.
  void add_variant(const std::string& name, double value) {
    values(variants_, name).push_back(value);
  }
  /// What the machine could do at most.
  void add_limit(const std::string& name, double value) { values(limits_, name).push_back(value); }
  void print() const;

 private:
  using Values = std::vector<std::pair<std::string, std::vector<double>>>;  // in order of addition
  static std::vector<double>& values(Values& all, const std::string& name);

  std::string name_, unit_;
  bool higher_;
  Values systems_, variants_, limits_;
};
/// The same for a case that this build cannot run.
void print_skipped(const std::string& name, const std::string& why);

/// The options of every benchmark that scripts/bench starts.
struct BenchmarkOptions {
  int rounds = 5;
  double seconds = 0.05;           // for a system in a round
  bool quick = false;              // tiny sizes, to see that it works
  std::vector<std::string> names;  // of the cases that are wanted; none: all

  bool wants(const std::string& name) const {
    return names.empty() || std::find(names.begin(), names.end(), name) != names.end();
  }
};
BenchmarkOptions read_options(int argc, char** argv);

/// The threads of this process.
int threads_now();

/// The processors that this process may use, and the calling thread on one of them or all.
std::vector<int> allowed_cpus();
void pin_to(const std::vector<int>& cpus);

}  // namespace dlc::bench
