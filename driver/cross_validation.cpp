#include "driver/cross_validation.h"

#include <cmath>
#include <cstring>

#include "driver/api/workspace.h"
#include "ir/support/check.h"
#include "runtime/row_order.h"

namespace dlc {

namespace {

Rows rows_at(const Rows& rows, const std::vector<std::int32_t>& index) {
  Rows result;
  result.count = static_cast<std::int64_t>(index.size());
  result.extents = rows.extents;
  for (const auto& [name, t] : rows.columns) {
    std::vector<std::int64_t> shape = t.shape();
    shape[0] = result.count;
    Tensor part(t.dtype(), shape);
    const std::size_t bytes = t.row_bytes();
    for (std::size_t k = 0; k < index.size(); ++k)
      std::memcpy(static_cast<char*>(part.data()) + k * bytes,
                  static_cast<const char*>(t.data()) + static_cast<std::size_t>(index[k]) * bytes,
                  bytes);
    result.columns[name] = std::move(part);
  }
  return result;
}

/// Of each metric the mean over the folds, and how far they are from it.
void summarise(const std::vector<Metrics>& folds, Metrics& mean, Metrics& spread) {
  const auto n = static_cast<double>(folds.size());
  for (std::size_t m = 0; !folds.empty() && m < folds[0].size(); ++m) {
    double sum = 0, squares = 0;
    for (const Metrics& fold : folds) sum += fold[m].second;
    for (const Metrics& fold : folds) squares += std::pow(fold[m].second - sum / n, 2);
    mean.emplace_back(folds[0][m].first, sum / n);
    spread.emplace_back(folds[0][m].first, n > 1 ? std::sqrt(squares / (n - 1)) : 0);
  }
}

}  // namespace

CrossValidation cross_validate(const dlc_program* train_step, const dlc_program* evaluate,
                               const TensorMap& tensors, const Rows& rows, std::int64_t folds,
                               const TrainOptions& options, ThreadPool& pool,
                               const std::function<void(const FoldReport&)>& on_fold) {
  if (rows.steps > 0)
    throw UserError("`folds` cuts rows into parts; the sequences of a text begin anywhere in it");
  if (rows.count < folds)
    throw UserError(fmt::format("{} rows cannot be cut into {} folds", rows.count, folds));
  std::vector<std::int32_t> order(static_cast<std::size_t>(rows.count));
  fill_order(order.data(), rows.count, options.seed, 0, options.shuffle);
  std::vector<Metrics> train_metrics, held_out_metrics;
  CrossValidation result;
  for (std::int64_t fold = 0; fold < folds && !result.stopped; ++fold) {
    const auto first = order.begin() + rows.count * fold / folds;
    const auto last = order.begin() + rows.count * (fold + 1) / folds;
    std::vector<std::int32_t> others(order.begin(), first);
    others.insert(others.end(), last, order.end());
    const Rows part = rows_at(rows, others), held_out = rows_at(rows, {first, last});
    TensorMap own = copy_of(tensors);
    FoldReport report{fold + 1, folds, {}, {}};
    TrainObserver observer;
    observer.on_epoch = [&](const EpochReport& r) {
      report.train = r.train;
      report.held_out = r.test;
    };
    train(train_step, evaluate, own, part, &held_out, options, pool, observer);
    result.stopped = options.stop && options.stop->load();
    if (report.held_out.empty()) continue;
    train_metrics.push_back(report.train);
    held_out_metrics.push_back(report.held_out);
    on_fold(report);
  }
  summarise(train_metrics, result.train, result.train_spread);
  summarise(held_out_metrics, result.held_out, result.held_out_spread);
  return result;
}

}  // namespace dlc
