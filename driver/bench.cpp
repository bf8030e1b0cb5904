// dlc bench: how long a training step takes.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>

#include "driver/options.h"
#include "driver/verbs.h"

namespace dlc {

namespace {

using Clock = std::chrono::steady_clock;

struct BenchOptions {
  ModelOptions model;
  RunOptions run;
  LimitOptions limit;
  double seconds = 2;
  bool json = false;
};

double ms_between(Clock::time_point a, Clock::time_point b) {
  return std::chrono::duration<double, std::milli>(b - a).count();
}

/// Milliseconds a step, from the trainer's reports.
class StepClock {
 public:
  StepClock(double seconds, std::atomic<bool>& stop) : seconds_(seconds), stop_(stop) {
    samples_.reserve(1 << 16);
  }

  void report(const ProgressReport& r) {
    if (warm_up_ > 0) {  // first touches of memory, first calls
      if (--warm_up_ == 0) start_ = Clock::now();
      return;
    }
    samples_.push_back(1000 * r.seconds / static_cast<double>(r.steps));
    if (ms_between(start_, Clock::now()) >= 1000 * seconds_ && samples_.size() >= kFewestSamples)
      stop_ = true;
  }

  double median() {
    auto middle = samples_.begin() + static_cast<std::ptrdiff_t>(samples_.size() / 2);
    std::nth_element(samples_.begin(), middle, samples_.end());
    return *middle;
  }
  double min() const { return *std::min_element(samples_.begin(), samples_.end()); }

 private:
  static constexpr std::size_t kFewestSamples = 5;
  double seconds_;
  std::atomic<bool>& stop_;
  int warm_up_ = 3;
  Clock::time_point start_;
  std::vector<double> samples_;
};

double peak_rss_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

void bench_file(const BenchOptions& o) {
  // From the source text to the machine code of the step, the first that this process compiles.
  const Clock::time_point start = Clock::now();
  const Compilation c = o.model.compile();
  const Module& m = c.module();
  const Graph& step_graph = c.graph("train_step");
  const DataSplit* split = train_split(m);
  check_columns(m, step_graph, split);
  const auto step =
      compile_graph(step_graph, o.limit.apply_to(c.options(), step_graph, split, m.train.batch));
  const double compile_ms = ms_between(start, Clock::now());

  TrainOptions options;
  options.batch = m.train.batch;
  options.steps = std::int64_t{1} << 60;
  options.seed = o.run.seed_of(m);
  options.drop_last = true;  // every step has the same number of rows
  ThreadPool pool(o.run.thread_count());
  TensorMap tensors = o.run.parameters(c, pool);
  const Rows rows = split ? load_rows(c, *split, options.seed, pool) : Rows{};
  if (rows.count > 0) options.batch = std::min(options.batch, rows.count);
  std::atomic<bool> stop{false};
  options.stop = &stop;
  StepClock clock(o.seconds, stop);
  TrainObserver observer;
  observer.on_progress = [&](const ProgressReport& r) { clock.report(r); };
  observer.progress_ms = 0.05;
  train(step->program(), nullptr, tensors, rows, nullptr, options, pool, observer);

  if (o.json)
    fmt::print(
        R"({{"model": "{}", "batch": {}, "threads": {}, "step_ms": {{"median": {:.6g}, "min": {:.6g}}}, )"
        R"("compile_ms": {:.4g}, "peak_rss_mib": {:.4g}}})"
        "\n",
        m.model_name, options.batch, pool.threads(), clock.median(), clock.min(), compile_ms,
        peak_rss_mib());
  else
    fmt::print(
        "{}: {:.4g} ms a step (the fastest {:.4g} ms), batch {}, {} thread{}; compiled in {:.3g} "
        "ms; at most {:.3g} MiB of memory\n",
        m.model_name, clock.median(), clock.min(), options.batch, pool.threads(),
        pool.threads() == 1 ? "" : "s", compile_ms, peak_rss_mib());
}

}  // namespace

void add_bench(CLI::App& app) {
  auto* verb = app.add_subcommand("bench", "time the training step");
  auto o = std::make_shared<BenchOptions>();
  o->model.add_to(*verb);
  o->run.add_to(*verb);
  o->limit.add_to(*verb);
  verb->add_option("--seconds", o->seconds, "how long to measure")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb->add_flag("--json", o->json, "one JSON object");
  verb->callback([o] { bench_file(*o); });
}

}  // namespace dlc
