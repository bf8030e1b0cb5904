#include "driver/train_monitor.h"

#include <fmt/format.h>

#include <algorithm>

#include "driver/show.h"

namespace dlc {

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

TrainMonitor::TrainMonitor(const TrainOptions& options, bool has_rows, TrainLog& log,
                           WatchFiles& files)
    : options_(options), has_rows_(has_rows), log_(log), files_(files) {
  if (has_rows || options.epochs) return;
  // Without data, an epoch of many steps is shown and logged step by step, if they are not too
  // many.
  constexpr std::int64_t kMostShown = 100, kMostLogged = 10'000;
  const std::int64_t steps = options.steps.value_or(1);
  show_every_ = (steps + kMostShown - 1) / kMostShown;
  if (log.open()) log_every_ = (steps + kMostLogged - 1) / kMostLogged;
}

TrainObserver TrainMonitor::observer() {
  TrainObserver result;
  result.on_epoch = [this](const EpochReport& r) { epoch(r); };
  result.on_evaluation = [this](std::int64_t epoch, std::int64_t step, const Metrics& test) {
    evaluation(epoch, step, test);
  };
  if (bar_.shown()) result.on_progress = [this](const ProgressReport& r) { bar_.draw(r.last); };
  if (show_every_ > 0 || !files_.empty()) {
    result.on_step = [this](const StepReport& r) { step(r); };
    result.step_every = files_.empty() && log_every_ == 0 ? show_every_ : 1;
  }
  return result;
}

void TrainMonitor::step(const StepReport& r) {
  files_.record(r.watched);
  if (log_every_ > 0 && (r.step - 1) % log_every_ == 0) log_.write(step_line(r));
  if (show_every_ == 0 || (r.step - 1) % show_every_ != 0) return;
  bar_.clear();
  fmt::print("step {}  loss {:.4g}{}\n", r.step, r.loss, show_watched(r.watched));
  std::fflush(stdout);
}

void TrainMonitor::evaluation(std::int64_t epoch, std::int64_t step, const Metrics& test) {
  bar_.clear();
  fmt::print("epoch {}  step {}  test {}\n", epoch, step, show(test));
  std::fflush(stdout);
  log_.write(evaluation_line(epoch, step, test));
}

void TrainMonitor::epoch(const EpochReport& r) {
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
  log_.write(log_line(r));
}

}  // namespace dlc
