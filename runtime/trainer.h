#pragma once
// The training loop: batches of rows through a compiled train_step, epochs, metrics, evaluation.
#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runtime/executable.h"

namespace dlc {

/// The columns of a data split by the names of the model's inputs; equal numbers of rows. A model
/// without inputs trains without data: rows 0.
struct Rows {
  TensorMap columns;
  std::int64_t count = 0;
};

struct TrainOptions {
  std::int64_t batch = 32;
  std::optional<std::int64_t> epochs, steps;  // whichever ends first; neither: one epoch
  std::int64_t seed = 0;
  bool shuffle = true;
  bool drop_last = false;             // leaves a partial last batch out (for timing)
  std::atomic<bool>* stop = nullptr;  // set by Ctrl-C: the loop ends after the current step
};

/// Loss first, then the metrics: means over rows.
using Metrics = std::vector<std::pair<std::string, double>>;
struct EpochReport {
  std::int64_t epoch = 0;  // from 1
  std::int64_t step = 0;   // steps done so far
  Metrics train, test;     // test is empty without a test split
  double seconds = 0;      // of training, without evaluation, since the start
  bool complete = true;    // false when stopped inside the epoch
};
struct StepReport {
  std::int64_t epoch, step, steps_per_epoch;
  double loss;
  /// Watched values by name (kind Output buffers named "watch.<name>" of the train step).
  /// They stay where they are for the whole run: those after the last step are there in on_epoch.
  const std::vector<std::pair<std::string, const Tensor*>>& watched;
};
struct TrainObserver {
  std::function<void(const StepReport&)> on_step;
  std::function<void(const EpochReport&)> on_epoch;
};

/// Trains in place: `tensors` holds every parameter and state. `train_step` reads whole data
/// columns through the row-index input "rows" (see the gather_rows pass); the symbol "rows.count"
/// is the rows of the data set, the extent of "rows" is the rows of this batch. `evaluate` and
/// `test_rows` may be null. Order of rows: a Fisher-Yates shuffle of all rows per epoch from a
/// counter-based generator of (seed, epoch). A step that reads no rows trains, too: an epoch is one
/// step, or all of them when only `steps` is given. The scalars "step" and "epoch" count from 0.
/// UserError: a column is missing or has another type, there are no rows, or the loss is not finite
/// (names epoch and step). The loop allocates nothing per step.
void train(const dlc_program* train_step, const dlc_program* evaluate, TensorMap& tensors,
           const Rows& train_rows, const Rows* test_rows, const TrainOptions& options,
           ThreadPool& pool, const TrainObserver& observer);

/// Loss and metrics over all rows, in batches of `batch`, weighted by rows. UserError as train().
Metrics evaluate(const dlc_program* evaluate_program, TensorMap& tensors, const Rows& rows,
                 std::int64_t batch, ThreadPool& pool);

/// The row order of one epoch (from 1), as train() uses it: a permutation of 0 .. rows - 1.
std::vector<std::int32_t> epoch_order(std::int64_t rows, std::int64_t seed, std::int64_t epoch,
                                      bool shuffle);

}  // namespace dlc
