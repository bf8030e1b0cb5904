#pragma once
// The training loop: batches of rows through a compiled train_step, epochs, metrics, evaluation,
// and what a run needs to be stopped, resumed and trusted.
#include <atomic>
#include <functional>
#include <optional>
#include <string>

#include "runtime/evaluator.h"
#include "runtime/run_state.h"

namespace dlc {

/// Which metric says how good a run is, and which way.
struct Monitor {
  std::string metric = "loss";
  bool larger_is_better = false;
};

struct TrainOptions {
  std::int64_t batch = 32;
  std::optional<std::int64_t> epochs, steps;  // whichever ends first; neither: one epoch
  std::int64_t seed = 0;
  bool shuffle = true;
  bool consecutive = false;         // of sequences: each batch goes on where the last one ended
  bool drop_last = false;           // leaves a partial last batch out (for timing)
  std::int64_t evaluate_every = 0;  // steps between evaluations; 0: after each epoch
  std::int64_t patience = 0;        // evaluations without a better one that end the run; 0: none
  Monitor monitor;                  // of the test rows, or without them of the epoch
  const std::atomic<bool>* stop = nullptr;  // the loop ends after the current step once this is set
};

struct EpochReport {
  std::int64_t epoch = 0;            // from 1
  std::int64_t step = 0;             // steps done so far
  Metrics train, test;               // test is empty where it was not evaluated
  double seconds = 0;                // of training, without evaluation, since the start
  bool complete = true;              // false when stopped inside the epoch
  const Watched* watched = nullptr;  // after the last step
};
struct StepReport {
  std::int64_t epoch, step, steps_per_epoch;
  double loss;
  const Watched& watched;
};
/// Where training has come to, and how long the steps since the last such report took; shuffling
/// and what observers did in between do not count.
struct ProgressReport {
  StepReport last;
  std::int64_t steps;
  double seconds;
};
/// The step after which something is not finite that was before. The tensors are as they were
/// before it.
struct BadStep {
  std::int64_t epoch, step;  // from 1
  std::int64_t rows;         // of its batch
  std::int32_t* index;       // their numbers, or null
  const TensorMap& carries;
};
/// The steps between two calls run in one piece: the fewer calls, the less a small step costs.
struct TrainObserver {
  /// After the steps 1, 1 + step_every, 1 + 2 step_every, ...
  std::function<void(const StepReport&)> on_step;
  std::int64_t step_every = 1;
  /// About every so many milliseconds, after some step.
  std::function<void(const ProgressReport&)> on_progress;
  double progress_ms = 50;
  std::function<void(const EpochReport&)> on_epoch;
  /// The test rows were evaluated within an epoch.
  std::function<void(std::int64_t epoch, std::int64_t step, const Metrics& test)> on_evaluation;
  /// No evaluation so far was as good; all parameters are finite.
  std::function<void(const BestSoFar&)> on_best;
  /// After the steps checkpoint_every, 2 checkpoint_every, ..., or where that is 0 about every ten
  /// seconds; all parameters are finite.
  std::function<void(const RunState&)> on_checkpoint;
  std::int64_t checkpoint_every = 0;
  /// Where in that step it was, as further lines of the error's message.
  std::function<std::string(const BadStep&)> explain;
};

/// Trains in place: `tensors` holds every parameter and state. `train_step` reads whole data
/// columns through the row-index input "rows" (see the gather_rows pass); the symbol "rows.count"
/// is the rows of the data set, the extent of "rows" is the rows of this batch. `evaluate` and
/// `test_rows` may be null. Order of rows: runtime/row_order.h. A step that reads no rows trains,
/// too: an epoch is one step, or all of them when only `steps` is given. The scalars "step" and
/// "epoch" count from 0. `resume` is null or where an earlier run stood when it had these tensors.
/// Returns where it has come to; all parameters are finite then.
/// UserError: a column is missing or has another type, there are no rows, the loss or a parameter
/// is not finite (names epoch and step; the tensors are those before it happened). Between two
/// calls of observers the steps of an epoch are one call of the compiled program; nothing is
/// allocated per step.
RunState train(const dlc_program* train_step, const dlc_program* evaluate, TensorMap& tensors,
               const Rows& train_rows, const Rows* test_rows, const TrainOptions& options,
               ThreadPool& pool, const TrainObserver& observer, const RunState* resume = nullptr);

}  // namespace dlc
