#pragma once
// What a user sees of a run while it goes on, and what is recorded of it.
#include <string>
#include <vector>

#include "driver/train_report.h"
#include "driver/watch_files.h"
#include "frontend/frontend.h"

namespace dlc {

/// "1,460 rows", "1 row".
std::string plural(std::int64_t n, const std::string& what);

/// "training mlp: 203,530 parameters, 60,000 rows in batches of 256, ...; compiled in 20 ms".
void print_start(const Module& m, const TrainOptions& options, const Rows& rows, const Rows* test,
                 double compile_ms);

/// Shows what the trainer reports, writes the log and records what is watched.
class TrainMonitor {
 public:
  TrainMonitor(const TrainOptions& options, bool has_rows, TrainLog& log, WatchFiles& files);
  /// What the trainer is to call; this must outlive it.
  TrainObserver observer();

 private:
  void step(const StepReport& r);
  void evaluation(std::int64_t epoch, std::int64_t step, const Metrics& test);
  void epoch(const EpochReport& r);

  const TrainOptions& options_;
  bool has_rows_;
  TrainLog& log_;
  WatchFiles& files_;
  ProgressBar bar_;
  std::int64_t show_every_ = 0, log_every_ = 0;  // steps; 0: none of them
};

}  // namespace dlc
