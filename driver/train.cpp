// dlc train: trains a model on its data and shows how it goes.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "driver/api/non_finite.h"
#include "driver/api/training.h"
#include "driver/api/vocabulary.h"
#include "driver/cross_validation.h"
#include "driver/options.h"
#include "driver/show.h"
#include "driver/stop_request.h"
#include "driver/train_monitor.h"
#include "driver/verbs.h"
#include "runtime/atomic_file.h"
#include "runtime/checkpoint.h"

namespace dlc {

namespace {

struct TrainVerbOptions {
  ModelOptions model;
  RunOptions run;
  LimitOptions limit;
  std::optional<std::int64_t> epochs, steps, batch;
  std::optional<double> max_seconds;
  bool no_shuffle = false, resume_anyway = false;
  std::string save, save_best, log, checkpoint, resume;
  std::optional<std::int64_t> checkpoint_every;
  std::vector<std::string> watch;
};

TrainOptions options_of(const Module& m, const TrainVerbOptions& o) {
  return training_options(m, {o.batch, o.epochs, o.steps, o.run.seed_of(m),
                              o.no_shuffle ? std::optional(false) : std::nullopt});
}

/// Everything that a run needs before it begins.
struct Prepared {
  Compilation c;
  TrainOptions options;
  std::unique_ptr<CompiledProgram> train_step, evaluate;  // `evaluate` only with test rows or folds
  ThreadPool& pool;
  TensorMap tensors;
  LoadedData data;
  const DataSplit* split;
  double compile_ms;

  const Module& m() const { return c.module(); }
  const Rows* test() const { return data.test ? &*data.test : nullptr; }
  const dlc_program* evaluate_program() const { return evaluate ? evaluate->program() : nullptr; }
};

void check_trainable(const Module& m) {
  if (!m.has_model) throw UserError(fmt::format("{}: there is no model to train", m.file));
  if (!m.has_train)
    throw UserError(
        fmt::format("{}: there is no train block; write `train {} on DATA {{ optimizer "
                    "= sgd(lr: 0.1) }}`",
                    m.file, m.model_name));
}

void check_files(const TrainVerbOptions& o) {
  for (const std::string& path : {o.save, o.save_best, o.checkpoint})
    if (!path.empty()) check_writable(path);
}

Prepared prepare(const TrainVerbOptions& o, ThreadPool& pool) {
  const auto start = std::chrono::steady_clock::now();
  Compilation c = o.model.compile();
  const Module& m = c.module();
  check_trainable(m);
  const DataSplit* split = train_split(m);
  check_columns(m, m.train_step, split);
  const DataSplit* test_split = find_split(m, "test");
  if (test_split == split) test_split = nullptr;
  if (test_split) check_columns(m, m.evaluate, test_split);
  check_files(o);
  const TrainOptions options = options_of(m, o);
  if (options.evaluate_every > 0 && !test_split)
    throw UserError(
        fmt::format("{}: `evaluate_every` is set, but there are no test rows; "
                    "`split(test: 0.2)` in the data block makes some",
                    m.file));
  const auto compile = [&](const std::string& name, const DataSplit* rows) {
    const Graph& g = c.graph(name);
    return compile_graph(g, o.limit.apply_to(c.options(), g, rows, options.batch));
  };
  auto train_step = compile("train_step", split);
  auto evaluate = test_split          ? compile("evaluate", test_split)
                  : m.train.folds > 0 ? compile("evaluate", split)
                                      : nullptr;
  const double compile_ms =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  TensorMap tensors = o.run.parameters(c, pool);
  LoadedData data = split ? load_data(c, *split, test_split, options.seed, pool) : LoadedData{};
  return {std::move(c),        options, std::move(train_step),
          std::move(evaluate), pool,    std::move(tensors),
          std::move(data),     split,   compile_ms};
}

/// Learned values beside those that the simulated data were made with, in the order of `paths`.
void print_truths(const std::vector<std::string>& paths, const TensorMap& tensors,
                  const TensorMap& truths) {
  std::vector<std::vector<std::string>> table{{"parameter", "learned", "true"}};
  for (const std::string& path : paths)
    if (const auto at = tensors.find(path); at != tensors.end())
      table.push_back({path, show_flat(at->second), show_flat(truths.find(path)->second)});
  if (table.size() == 1) return;
  for (const std::string& line : aligned_lines(table, "<<<")) fmt::print("{}\n", line);
}

/// What is said of a run when it is over.
void print_end(const Prepared& p, const RunState& end, const std::string& stopped_by,
               const TrainVerbOptions& o) {
  if (!stopped_by.empty())
    fmt::print("stopped by {} after step {}\n", stopped_by, end.step);
  else if (p.options.patience > 0 && end.best.worse_since >= p.options.patience)
    fmt::print("stopped after step {}: no better {} in {}\n", end.step, p.options.monitor.metric,
               plural(p.options.patience, "evaluation"));
  if (end.best.step > 0 && (p.options.patience > 0 || !o.save_best.empty()))
    fmt::print("best {} {:.4g} after step {}, in epoch {}{}\n", p.options.monitor.metric,
               end.best.value, end.best.step, end.best.epoch,
               o.save_best.empty() ? "" : fmt::format("; saved to {}", o.save_best));
  if (p.split) print_truths(p.split->truths, p.tensors, p.data.truths);
}

void train_once(Prepared& p, const TrainVerbOptions& o, TrainLog& log) {
  WatchFiles files(o.watch, p.m().train_step, p.data.rows, p.options.batch);
  const RunIdentity identity = o.checkpoint.empty() && o.resume.empty()
                                   ? RunIdentity{}
                                   : run_identity(p.c, p.options, p.data.rows, p.test());
  const bool saves = !o.checkpoint.empty() || !o.save.empty() || !o.save_best.empty();
  const Metadata metadata = saves ? checkpoint_metadata(p.c) : Metadata{};
  std::optional<RunState> begin;
  if (!o.resume.empty()) {
    Resumed from = resume_run(p.c, p.tensors, o.resume, identity, o.resume_anyway);
    files.restore(from.recorded);
    if (!from.changed.empty()) fmt::print("other than before: {}\n", fmt::join(from.changed, "; "));
    begin = std::move(from.state);
  }

  print_start(p.m(), p.options, p.data.rows, p.test(), p.compile_ms);
  if (begin) fmt::print("resumed in epoch {}, after step {}\n", begin->epoch, begin->step);
  std::fflush(stdout);
  begin ? log.resume(begin->step) : log.start();

  StopRequest stop(o.max_seconds);
  p.options.stop = stop.flag();
  TrainMonitor monitor(p.options, p.data.rows.count > 0, log, files);
  TrainObserver observer = monitor.observer();
  const auto save_checkpoint = [&](const RunState& s) {
    save_run(o.checkpoint, p.tensors, files.recorded(), s, identity, metadata);
  };
  if (!o.checkpoint.empty()) {
    observer.on_checkpoint = save_checkpoint;
    observer.checkpoint_every = o.checkpoint_every.value_or(0);
  }
  if (!o.save_best.empty())
    observer.on_best = [&](const BestSoFar&) {
      save_safetensors(o.save_best, p.tensors, metadata);
    };
  observer.explain = [&](const BadStep& bad) {
    return explain_non_finite(p.c, bad, p.tensors, p.data.rows, p.options.seed, p.pool);
  };
  const RunState end = train(p.train_step->program(), p.evaluate_program(), p.tensors, p.data.rows,
                             p.test(), p.options, p.pool, observer, begin ? &*begin : nullptr);
  if (begin && end.step == begin->step)
    fmt::print("nothing is left to do; --epochs or --steps makes the run longer\n");
  print_end(p, end, stop.reason(), o);
  if (!o.checkpoint.empty()) save_checkpoint(end);
  if (!o.save.empty()) save_safetensors(o.save, p.tensors, metadata);
  for (const std::string& path : {o.checkpoint, o.save})
    if (!path.empty()) fmt::print("saved to {}\n", path);
  for (const std::string& path : files.write()) fmt::print("saved to {}\n", path);
  log.finish();
}

/// False when it was stopped.
bool cross_validate(Prepared& p, const TrainVerbOptions& o, TrainLog& log) {
  const std::int64_t folds = p.m().train.folds;
  print_start(p.m(), p.options, p.data.rows, nullptr, p.compile_ms);
  log.start();
  StopRequest stop(o.max_seconds);
  p.options.stop = stop.flag();
  const CrossValidation result =
      cross_validate(p.train_step->program(), p.evaluate_program(), p.tensors, p.data.rows, folds,
                     p.options, p.pool, [&](const FoldReport& r) {
                       fmt::print("fold {}/{}  train {}  held out {}\n", r.fold, r.folds,
                                  show(r.train), show(r.held_out));
                       std::fflush(stdout);
                       log.write(fold_line(r));
                     });
  if (result.stopped) {
    fmt::print("stopped by {}\n", stop.reason());
    return false;
  }
  fmt::print("{} folds  train {}  held out {}\n", folds,
             show_with_spread(result.train, result.train_spread),
             show_with_spread(result.held_out, result.held_out_spread));
  log.write(folds_line(folds, result));
  return true;
}

void train_file(const TrainVerbOptions& o) {
  TrainLog log(o.log);
  ThreadPool pool(o.run.thread_count());
  Prepared p = prepare(o, pool);
  if (p.m().train.folds == 0) return train_once(p, o, log);
  // The folds say how good the model is; what is saved is trained on all rows.
  if (o.resume.empty() && !cross_validate(p, o, log)) return;
  if (!o.save.empty() || !o.checkpoint.empty() || !o.resume.empty()) train_once(p, o, log);
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
  verb->add_option("--max-seconds", o->max_seconds, "ends the training after so many seconds")
      ->check(CLI::PositiveNumber);
  verb->add_option("--save", o->save, "where the parameters go in the end (.safetensors)");
  verb->add_option("--save-best", o->save_best,
                   "where the parameters of the best evaluation so far go");
  auto* checkpoint = verb->add_option(
      "--checkpoint", o->checkpoint,
      "where the whole state of the run goes, in the end and on the way (.safetensors)");
  verb->add_option("--checkpoint-every", o->checkpoint_every,
                   "steps between two checkpoints; without it, about every ten seconds")
      ->check(CLI::PositiveNumber)
      ->needs(checkpoint);
  auto* resume = verb->add_option("--resume", o->resume, "a checkpoint to go on from");
  resume->excludes(verb->get_option("--load"));
  verb->add_flag("--resume-anyway", o->resume_anyway,
                 "also where model, data or settings are not those of the checkpoint")
      ->needs(resume);
  verb->add_option("--log", o->log, "a file for one JSON object an epoch");
  verb->add_option("--watch", o->watch,
                   "NAME=FILE.npy: the values of something watched in all steps, [steps, shape]")
      ->expected(1)
      ->take_all();
  verb->callback([o] { train_file(*o); });
}

}  // namespace dlc
