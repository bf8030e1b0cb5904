// dlc profile: where the time of a training step goes, kernel by kernel.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <numeric>

#include "driver/api/memory_limit.h"
#include "driver/options.h"
#include "driver/verbs.h"
#include "ir/graph/builder.h"
#include "ir/loop/cost.h"
#include "runtime/batch_program.h"
#include "runtime/row_order.h"

namespace dlc {

namespace {

using Clock = std::chrono::steady_clock;

/// From this part of the peak on a kernel counts as running at it.
constexpr double kAtPeak = 0.9;

struct ProfileOptions {
  ModelOptions model;
  RunOptions run;
  LimitOptions limit;
  std::string of = "train_step";
  double seconds = 2;
  bool json = false;
};

double seconds_between(Clock::time_point a, Clock::time_point b) {
  return std::chrono::duration<double>(b - a).count();
}

double median(std::vector<float>& v) {
  const auto middle = v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2);
  std::nth_element(v.begin(), middle, v.end());
  return *middle;
}

/// Notes when each kernel of a run is done.
class KernelClock {
 public:
  explicit KernelClock(std::size_t kernels) : samples_(kernels) {
    // What a note itself takes is in every interval.
    constexpr int kNotes = 1000;
    std::vector<float> gaps;
    for (int k = 0; k < kNotes; ++k) {
      last_ = Clock::now();
      const Clock::time_point now = Clock::now();
      gaps.push_back(static_cast<float>(seconds_between(last_, now)));
    }
    overhead_ = median(gaps);
  }

  void start() { last_ = Clock::now(); }
  static void hook(void* clock, std::int32_t kernel) {
    static_cast<KernelClock*>(clock)->done(static_cast<std::size_t>(kernel));
  }
  void forget() {
    for (auto& s : samples_) s.clear();
  }
  /// Medians over the runs, in seconds.
  std::vector<double> times() {
    std::vector<double> result;
    for (auto& s : samples_) result.push_back(std::max(0.0, median(s) - overhead_));
    return result;
  }

 private:
  void done(std::size_t kernel) {
    const Clock::time_point now = Clock::now();
    samples_.at(kernel).push_back(static_cast<float>(seconds_between(last_, now)));
    last_ = now;
  }

  Clock::time_point last_;
  std::vector<std::vector<float>> samples_;
  double overhead_ = 0;
};

/// Operations a second of a contraction that stays in the nearest cache, on one thread: what the
/// machine's multiply-add units give to code of this compiler, in f32 or f64.
double measured_peak(const CompileOptions& options, ElementType element) {
  constexpr std::int64_t kM = 48, kK = 256, kN = 64;
  Graph g;
  g.name = "peak";
  GraphBuilder b(g);
  const Value x = b.input("x", InputKind::Input, {element, {kM, kK}});
  const Value w = b.input("w", InputKind::Param, {element, {kK, kN}});
  b.output("y", OutputKind::Output, b.contract(x, w, "mk", "kn", "mn"));
  CompileOptions plain = options;
  plain.profile = false;
  plain.times = nullptr;
  plain.autotune = false;
  const auto code = compile_graph(g, plain);
  ThreadPool pool(1);
  Executable e(code->program(), &pool);
  std::vector<Tensor> memory;
  for (int i = 0; i < code->program()->num_buffers; ++i) {
    memory.emplace_back(to_dtype(element), e.shape(i));
    e.bind(i, memory.back().data());
  }
  e.prepare();
  constexpr int kRounds = 200, kCalls = 20;
  double best = 1;
  for (int round = 0; round < kRounds; ++round) {
    const Clock::time_point start = Clock::now();
    for (int k = 0; k < kCalls; ++k) e.run();
    best = std::min(best, seconds_between(start, Clock::now()) / kCalls);
  }
  return 2.0 * kM * kK * kN / best;
}

struct KernelRow {
  const loop::Kernel* kernel;
  double seconds, flops, bytes;  // of all turns of the loops that it is in
  std::int64_t turns = 1;
};

struct Profile {
  std::string model;
  std::int64_t batch;
  int threads;
  double peak;  // of all threads
  std::vector<KernelRow> rows;

  double total() const {
    double sum = 0;
    for (const KernelRow& r : rows) sum += r.seconds;
    return sum;
  }
  bool at_peak(const KernelRow& r) const { return r.flops >= kAtPeak * peak * r.seconds; }
  double share_at_peak() const {
    double sum = 0;
    for (const KernelRow& r : rows)
      if (at_peak(r)) sum += r.seconds;
    return sum / total();
  }
};

std::string table(const Profile& p) {
  const double total = p.total();
  std::string out =
      fmt::format("{}: {:.1f} us a step in kernels, batch {}, {} thread{}\n\n", p.model,
                  total * 1e6, p.batch, p.threads, p.threads == 1 ? "" : "s");
  std::size_t width = 6;
  for (const KernelRow& r : p.rows) width = std::max(width, r.kernel->name.size());
  out += fmt::format("{:<{}}  {:>9}  {:>6}  {:>8}  {:>7}  {:>7}  {}\n", "kernel", width, "us",
                     "share", "GFLOP/s", "of peak", "GB/s", "source");
  for (const KernelRow& r : p.rows) {
    const double per_ns = r.seconds > 0 ? 1e-9 / r.seconds : 0;
    out += fmt::format(
        "{:<{}}  {:>9.2f}  {:>5.1f}%  {:>8.1f}  {:>6.0f}%  {:>7.1f}  {}\n", r.kernel->name, width,
        r.seconds * 1e6, 100 * r.seconds / total, r.flops * per_ns,
        100 * r.flops * per_ns * 1e9 / p.peak, r.bytes * per_ns,
        source_lines(*r.kernel) + (r.turns > 1 ? fmt::format("  ({} turns)", r.turns) : ""));
  }
  return out +
         fmt::format(
             "\n{:.0f}% of that is in kernels at {:.0f}% or more of the peak of {:.0f} GFLOP/s "
             "(measured: a small matrix product{})\n",
             100 * p.share_at_peak(), 100 * kAtPeak, p.peak / 1e9,
             p.threads == 1 ? "" : fmt::format(" on each of {} threads", p.threads));
}

nlohmann::ordered_json to_json(const Profile& p) {
  nlohmann::ordered_json kernels = nlohmann::ordered_json::array();
  for (const KernelRow& r : p.rows)
    kernels.push_back({{"name", r.kernel->name},
                       {"source", source_lines(*r.kernel)},
                       {"turns", r.turns},
                       {"us", r.seconds * 1e6},
                       {"share", r.seconds / p.total()},
                       {"flops", r.flops},
                       {"bytes", r.bytes}});
  return {{"model", p.model},
          {"batch", p.batch},
          {"threads", p.threads},
          {"step_us", p.total() * 1e6},
          {"peak_gflops", p.peak / 1e9},
          {"share_at_peak", p.share_at_peak()},
          {"kernels", std::move(kernels)}};
}

/// Runs batch after batch of shuffled rows for so many seconds.
void repeat(BatchProgram& program, KernelClock& clock, const Rows& rows, std::int64_t batch,
            double seconds, std::int64_t seed) {
  std::vector<std::int32_t> order = epoch_order(rows.count, seed, 1, true);
  constexpr int kWarmUp = 5, kFewest = 20;
  const Clock::time_point start = Clock::now();
  std::int64_t first = 0;
  for (int run = 0; run < kFewest || seconds_between(start, Clock::now()) < seconds; ++run) {
    if (run == kWarmUp) clock.forget();
    if (program.reads_index())
      program.set_index(order.data() + first);
    else if (program.reads_rows())
      program.set_first(first);
    clock.start();
    program.run();
    first = first + 2 * batch <= rows.count ? first + batch : 0;
  }
}

void profile_file(const ProfileOptions& o) {
  const Compilation c = o.model.compile();
  const Module& m = c.module();
  const Graph& g = c.graph(o.of);
  const DataSplit* split = train_split(m);
  check_columns(m, g, split);
  CompileOptions options = o.limit.apply_to(c.options(), g, split, m.train.batch);
  options.profile = true;
  const loop::Program kernels = kernels_of(g, options);
  const auto code = compile_kernels(kernels, options);

  ThreadPool pool(o.run.thread_count());
  TensorMap tensors = o.run.parameters(c, pool);
  const std::int64_t seed = o.run.seed_of(m);
  const Rows rows = split ? load_rows(c, *split, seed, pool) : Rows{};
  const std::int64_t batch = rows.count > 0 ? std::min(m.train.batch, rows.count) : 1;
  Profile p{m.model_name, batch, pool.threads(), 0, {}};
  const ElementType element =
      m.train.precision == ElementType::F64 ? ElementType::F64 : ElementType::F32;
  double peak = measured_peak(options, element);
  BatchProgram program(code->program(), tensors, rows, pool);
  KernelClock clock(kernels.kernels.size());
  program.set_hook(KernelClock::hook, &clock);
  program.set_scalars(seed, 0, 0);
  program.set_batch(batch);
  repeat(program, clock, rows, batch, o.seconds, seed);
  peak = std::max(peak, measured_peak(options, element));
  p.peak = peak * pool.threads();

  Extents sizes = split ? extents_in(g, *split) : Extents{};
  sizes["rows.count"] = rows.count;
  for (const std::string& s : kernels.symbols) sizes.emplace(s, batch);
  for (const loop::Loop& l : kernels.loops) sizes[l.index] = sizes[l.odd] = 0;
  const std::vector<double> times = clock.times();
  for (std::size_t k = 0; k < times.size(); ++k) {
    const loop::KernelCost cost = loop::cost(kernels.kernels[k], kernels);
    std::int64_t turns = 1;
    for (const loop::Loop& l : kernels.loops)
      if (l.first <= static_cast<int>(k) && static_cast<int>(k) < l.last)
        turns *= l.extent.evaluate(sizes);
    const auto all = static_cast<double>(turns);
    p.rows.push_back(
        {&kernels.kernels[k], all * times[k], all * static_cast<double>(cost.flops.evaluate(sizes)),
         all * static_cast<double>((cost.read + cost.written).evaluate(sizes)), turns});
  }
  if (o.json)
    fmt::print("{}\n", to_json(p).dump(2));
  else
    fmt::print("{}", table(p));
}

}  // namespace

void add_profile(CLI::App& app) {
  auto* verb = app.add_subcommand("profile", "time the kernels of the training step");
  auto o = std::make_shared<ProfileOptions>();
  o->model.add_to(*verb);
  o->run.add_to(*verb);
  o->limit.add_to(*verb);
  verb->add_option("--of", o->of, "train_step or evaluate")
      ->check(CLI::IsMember({"train_step", "evaluate"}))
      ->capture_default_str();
  verb->add_option("--seconds", o->seconds, "how long to measure")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb->add_flag("--json", o->json, "one JSON object");
  verb->callback([o] { profile_file(*o); });
}

}  // namespace dlc
