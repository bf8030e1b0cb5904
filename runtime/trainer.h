#pragma once
// The training loop: batches of rows through a compiled train_step, epochs, metrics, evaluation.
#include <atomic>
#include <functional>
#include <map>
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
  /// Above 0: the rows are sequences of so many tokens of the text `columns["rows.text"]`, and of
  /// the token after them. What is trained on begins anywhere in it.
  std::int64_t steps = 0;
  std::map<std::string, std::int64_t> extents;  // of symbols that no column gives
};

struct TrainOptions {
  std::int64_t batch = 32;
  std::optional<std::int64_t> epochs, steps;  // whichever ends first; neither: one epoch
  std::int64_t seed = 0;
  bool shuffle = true;
  bool consecutive = false;           // of sequences: each batch goes on where the last one ended
  bool drop_last = false;             // leaves a partial last batch out (for timing)
  std::atomic<bool>* stop = nullptr;  // set by Ctrl-C: the loop ends after the current step
};

/// Loss first, then the metrics: means over rows.
using Metrics = std::vector<std::pair<std::string, double>>;
/// Watched values by name (the train step's outputs "watch.<name>"); they stay where they are for
/// the whole run.
using Watched = std::vector<std::pair<std::string, const Tensor*>>;
struct EpochReport {
  std::int64_t epoch = 0;            // from 1
  std::int64_t step = 0;             // steps done so far
  Metrics train, test;               // test is empty without a test split
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
/// The steps between two calls run in one piece: the fewer calls, the less a small step costs.
struct TrainObserver {
  /// After the steps 1, 1 + step_every, 1 + 2 step_every, ...
  std::function<void(const StepReport&)> on_step;
  std::int64_t step_every = 1;
  /// About every so many milliseconds, after some step.
  std::function<void(const ProgressReport&)> on_progress;
  double progress_ms = 50;
  std::function<void(const EpochReport&)> on_epoch;
};

/// Trains in place: `tensors` holds every parameter and state. `train_step` reads whole data
/// columns through the row-index input "rows" (see the gather_rows pass); the symbol "rows.count"
/// is the rows of the data set, the extent of "rows" is the rows of this batch. `evaluate` and
/// `test_rows` may be null. Order of rows: a Fisher-Yates shuffle of all rows per epoch from a
/// counter-based generator of (seed, epoch). A step that reads no rows trains, too: an epoch is one
/// step, or all of them when only `steps` is given. The scalars "step" and "epoch" count from 0.
/// UserError: a column is missing or has another type, there are no rows, or the loss is not finite
/// (names epoch and step). Between two calls of observers the steps
/// of an epoch are one call of the compiled program; nothing is allocated per step.
void train(const dlc_program* train_step, const dlc_program* evaluate, TensorMap& tensors,
           const Rows& train_rows, const Rows* test_rows, const TrainOptions& options,
           ThreadPool& pool, const TrainObserver& observer);

/// Loss and metrics over all rows, in batches of `batch`, weighted by rows. UserError as train().
Metrics evaluate(const dlc_program* evaluate_program, TensorMap& tensors, const Rows& rows,
                 std::int64_t batch, ThreadPool& pool);

/// Where the sequences of one epoch begin in a text, batch by batch, and how many batches there
/// are, as train() uses it. An offset is drawn first. At random: the text after it is cut into
/// sequences, which are shuffled. Consecutive: it is cut into `batch` parts, and batch j has the
/// sequence number j of each (Dive into Deep Learning, "language models and data sets"). Every
/// epoch has as many batches as fit whatever the offset.
struct SequenceOrder {
  std::vector<std::int32_t> begins;
  std::int64_t batches = 0;
};
SequenceOrder sequence_order(std::int64_t tokens, std::int64_t steps, std::int64_t batch,
                             std::int64_t seed, std::int64_t epoch, bool consecutive);

/// The row order of one epoch (from 1), as train() uses it: a permutation of 0 .. rows - 1.
std::vector<std::int32_t> epoch_order(std::int64_t rows, std::int64_t seed, std::int64_t epoch,
                                      bool shuffle);

}  // namespace dlc
