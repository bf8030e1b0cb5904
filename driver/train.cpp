// dlc train: trains a model on its data and shows how it goes.
#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>

#include "driver/api/vocabulary.h"
#include "driver/options.h"
#include "driver/show.h"
#include "driver/train_report.h"
#include "driver/verbs.h"
#include "driver/watch_files.h"
#include "runtime/atomic_file.h"
#include "runtime/checkpoint.h"

namespace dlc {

namespace {

struct TrainVerbOptions {
  ModelOptions model;
  RunOptions run;
  LimitOptions limit;
  std::optional<std::int64_t> epochs, steps, batch;
  bool no_shuffle = false;
  std::string save, log;
  std::vector<std::string> watch;
};

/// Ctrl-C ends the training after the current step; a second one ends the program at once. A signal
/// handler can reach nothing but such a variable.
std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free);

class CatchInterrupt {
 public:
  CatchInterrupt() {
    interrupted = false;
    struct sigaction action {};
    action.sa_handler = [](int) { interrupted.store(true, std::memory_order_relaxed); };
    action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, &old_);
  }
  CatchInterrupt(const CatchInterrupt&) = delete;
  CatchInterrupt& operator=(const CatchInterrupt&) = delete;
  ~CatchInterrupt() { sigaction(SIGINT, &old_, nullptr); }

 private:
  struct sigaction old_ {};
};

/// The settings of the train block, replaced by the options given. An option says how long to
/// train: then the block's own epochs and steps do not count.
TrainOptions training_options(const Module& m, const TrainVerbOptions& o) {
  const bool given = o.epochs || o.steps;
  TrainOptions t;
  t.batch = o.batch.value_or(m.train.batch);
  t.epochs = given ? o.epochs : m.train.epochs;
  t.steps = given ? o.steps : m.train.steps;
  t.seed = o.run.seed_of(m);
  t.shuffle = m.train.shuffle && !o.no_shuffle && m.carries.empty();
  t.consecutive = m.train.consecutive;
  t.stop = &interrupted;
  return t;
}

struct Programs {
  std::unique_ptr<CompiledProgram> train_step, evaluate;  // `evaluate` only with test rows
};
Programs compile_programs(const Compilation& c, const DataSplit* split, const DataSplit* test,
                          const LimitOptions& limit, std::int64_t batch) {
  const auto compile = [&](const std::string& name, const DataSplit* rows) {
    const Graph& g = c.graph(name);
    return compile_graph(g, limit.apply_to(c.options(), g, rows, batch));
  };
  Programs p;
  p.train_step = compile("train_step", split);
  if (test) p.evaluate = compile("evaluate", test);
  return p;
}

std::string plural(std::int64_t n, const std::string& what) {
  return fmt::format("{} {}{}", with_commas(n), what, n == 1 ? "" : "s");
}

void print_start(const Module& m, const TrainOptions& options, const Rows& rows, const Rows* test,
                 double compile_ms) {
  std::int64_t parameters = 0;
  for (const ParamInfo& p : m.params)
    if (p.kind == InputKind::Param) parameters += element_count(p.type.shape).value();
  fmt::print("training {}: {}", m.model_name, plural(parameters, "parameter"));
  if (rows.count > 0)
    fmt::print(", {} in batches of {}", plural(rows.count, "row"),
               with_commas(std::min(options.batch, rows.count)));
  if (test) fmt::print(", {}", plural(test->count, "test row"));
  fmt::print("; compiled in {:.0f} ms\n", compile_ms);
  std::fflush(stdout);
}

/// Shows what the trainer reports.
class Monitor {
 public:
  Monitor(const TrainOptions& options, bool has_rows, TrainLog& log, WatchFiles& files)
      : options_(options), has_rows_(has_rows), log_(log), files_(files) {
    // Without data, an epoch of many steps is shown step by step, if they are not too many.
    constexpr std::int64_t kMostLines = 100;
    const std::int64_t steps = options.steps.value_or(1);
    if (!has_rows && !options.epochs) line_every_ = (steps + kMostLines - 1) / kMostLines;
  }

  TrainObserver observer() {
    TrainObserver result;
    result.on_epoch = [this](const EpochReport& r) { epoch(r); };
    if (bar_.shown()) result.on_progress = [this](const ProgressReport& r) { bar_.draw(r.last); };
    if (line_every_ > 0 || !files_.empty()) {
      result.on_step = [this](const StepReport& r) { step(r); };
      result.step_every = files_.empty() ? line_every_ : 1;
    }
    return result;
  }
  std::int64_t steps() const { return steps_; }

 private:
  void step(const StepReport& r) {
    files_.record(r.watched);
    if (line_every_ == 0 || (r.step - 1) % line_every_ != 0) return;
    bar_.clear();
    fmt::print("step {}  loss {:.4g}{}\n", r.step, r.loss, show_watched(r.watched));
    std::fflush(stdout);
  }

  void epoch(const EpochReport& r) {
    steps_ = r.step;
    bar_.clear();
    if (has_rows_ || options_.epochs)
      fmt::print("epoch {}{}{}  step {}  train {}", r.epoch,
                 options_.epochs ? fmt::format("/{}", *options_.epochs) : "",
                 r.complete ? "" : " (in part)", r.step, show(r.train));
    else
      fmt::print("{}, on average {}", plural(r.step, "step"), show(r.train));
    if (!r.test.empty()) fmt::print("  test {}", show(r.test));
    fmt::print("{}", show_watched(*r.watched));
    fmt::print("  {:.3g} s\n", r.seconds);
    std::fflush(stdout);
    log_.write(r);
  }

  const TrainOptions& options_;
  bool has_rows_;
  TrainLog& log_;
  WatchFiles& files_;
  ProgressBar bar_;
  std::int64_t line_every_ = 0;  // 0: no lines for steps
  std::int64_t steps_ = 0;
};

/// Learned values beside those that the simulated data were made with, in the order of `paths`.
void print_truths(const std::vector<std::string>& paths, const TensorMap& tensors,
                  const TensorMap& truths) {
  std::vector<std::array<std::string, 3>> table{{"parameter", "learned", "true"}};
  for (const std::string& path : paths)
    if (const auto at = tensors.find(path); at != tensors.end())
      table.push_back({path, show_flat(at->second), show_flat(truths.find(path)->second)});
  if (table.size() == 1) return;
  std::array<std::size_t, 2> width{};
  for (const auto& row : table)
    for (std::size_t k = 0; k < 2; ++k) width[k] = std::max(width[k], row[k].size());
  for (const auto& row : table)
    fmt::print("{:<{}}  {:<{}}  {}\n", row[0], width[0], row[1], width[1], row[2]);
}

void train_file(const TrainVerbOptions& o) {
  const auto start = std::chrono::steady_clock::now();
  const Compilation c = o.model.compile();
  const Module& m = c.module();
  if (!m.has_model) throw UserError(fmt::format("{}: there is no model to train", m.file));
  if (!m.has_train)
    throw UserError(
        fmt::format("{}: there is no train block; write `train {} on DATA {{ optimizer "
                    "= sgd(lr: 0.1) }}`",
                    m.file, m.model_name));
  const DataSplit* split = train_split(m);
  check_columns(m, m.train_step, split);
  const DataSplit* test_split = find_split(m, "test");
  if (test_split == split) test_split = nullptr;
  if (test_split) check_columns(m, m.evaluate, test_split);
  if (!o.save.empty()) check_writable(o.save);
  TrainLog log(o.log);

  const TrainOptions options = training_options(m, o);
  const Programs programs = compile_programs(c, split, test_split, o.limit, options.batch);
  const double compile_ms =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  ThreadPool pool(o.run.thread_count());
  TensorMap tensors = o.run.parameters(c, pool);
  const LoadedData data =
      split ? load_data(c, *split, test_split, options.seed, pool) : LoadedData{};
  const Rows* test = data.test ? &*data.test : nullptr;

  WatchFiles files(o.watch, m.train_step, data.rows, options.batch);
  print_start(m, options, data.rows, test, compile_ms);
  log.start();
  std::int64_t steps = 0;
  {
    const CatchInterrupt catching;
    Monitor monitor(options, data.rows.count > 0, log, files);
    train(programs.train_step->program(),
          programs.evaluate ? programs.evaluate->program() : nullptr, tensors, data.rows, test,
          options, pool, monitor.observer());
    steps = monitor.steps();
  }
  if (interrupted) fmt::print("stopped by Ctrl-C after step {}\n", steps);
  if (split) print_truths(split->truths, tensors, data.truths);
  if (!o.save.empty()) {
    save_safetensors(o.save, tensors, checkpoint_metadata(c));
    fmt::print("saved to {}\n", o.save);
  }
  for (const std::string& path : files.write()) fmt::print("saved to {}\n", path);
  log.finish();
}

}  // namespace

void add_train(CLI::App& app) {
  auto* verb = app.add_subcommand("train", "train a model");
  auto o = std::make_shared<TrainVerbOptions>();
  o->model.add_to(*verb);
  o->run.add_to(*verb);
  o->limit.add_to(*verb);
  verb->add_option("--epochs", o->epochs, "passes over the data, instead of the train block's")
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--steps", o->steps, "steps in all, instead of the train block's epochs")
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--batch", o->batch, "rows a step")->check(CLI::PositiveNumber);
  verb->add_flag("--no-shuffle", o->no_shuffle, "rows in the order of the data");
  verb->add_option("--save", o->save, "where the parameters go in the end (.safetensors)");
  verb->add_option("--log", o->log, "a file for one JSON object an epoch");
  verb->add_option("--watch", o->watch,
                   "NAME=FILE.npy: the values of something watched in all steps, [steps, shape]")
      ->expected(1)
      ->take_all();
  verb->callback([o] { train_file(*o); });
}

}  // namespace dlc
