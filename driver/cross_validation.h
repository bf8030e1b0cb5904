#pragma once
// Training on all rows but some, and evaluating on those, for every part of the rows in turn.
#include <functional>

#include "runtime/trainer.h"

namespace dlc {

struct FoldReport {
  std::int64_t fold, folds;  // from 1
  Metrics train, held_out;   // of the last epoch; after it
};
/// Means and standard deviations (of n - 1) over the folds.
struct CrossValidation {
  Metrics train, held_out, train_spread, held_out_spread;
  bool stopped = false;  // before the last fold was done
};

/// `rows` in `folds` parts of equal numbers, give or take one, as a shuffle by the seed deals them
/// out (or in their order where options.shuffle is false). Each fold trains a copy of `tensors`.
/// UserError: fewer rows than folds, sequences of a text, and as train().
CrossValidation cross_validate(const dlc_program* train_step, const dlc_program* evaluate,
                               const TensorMap& tensors, const Rows& rows, std::int64_t folds,
                               const TrainOptions& options, ThreadPool& pool,
                               const std::function<void(const FoldReport&)>& on_fold);

}  // namespace dlc
