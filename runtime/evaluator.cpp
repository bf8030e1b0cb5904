#include "runtime/evaluator.h"

#include <algorithm>
#include <limits>

#include "ir/support/check.h"

namespace dlc {

void check_rows(std::int64_t rows, std::int64_t batch) {
  if (batch < 1) throw UserError(fmt::format("batch = {}: a batch has at least 1 row", batch));
  if (rows < 1) throw UserError("the data has no rows");
  if (rows > std::numeric_limits<std::int32_t>::max())
    throw UserError(fmt::format("{} rows are more than a row number of 32 bits can tell", rows));
}

void Averages::reset() {
  std::fill(sums_.begin(), sums_.end(), 0.0);
  weight_ = 0;
}

void Averages::add(std::int64_t rows) {
  const auto weight = static_cast<double>(rows);
  for (std::size_t k = 0; k < sums_.size(); ++k) sums_[k] += weight * program_.metric(k);
  weight_ += weight;
}

Metrics Averages::means() const {
  Metrics result;
  for (std::size_t k = 0; k < sums_.size(); ++k)
    result.emplace_back(program_.metric_name(k), program_.mean_of(k, sums_[k] / weight_));
  return result;
}

Evaluator::Evaluator(const dlc_program* program, TensorMap& tensors, const Rows& rows,
                     std::int64_t batch, ThreadPool& pool)
    : program_(program, tensors, rows, pool), averages_(program_), rows_(rows.count) {
  if (program_.reads_index())
    throw UserError("the program to evaluate reads row numbers; batches are expected");
  if (program_.reads_rows()) check_rows(rows_, batch);
  batch_ = program_.reads_rows() ? std::min(batch, rows_) : 1;
}

Metrics Evaluator::run(std::int64_t seed) {
  program_.set_scalars(seed, 0, 0);
  averages_.reset();
  const std::int64_t all = program_.reads_rows() ? rows_ : 1;
  for (std::int64_t first = 0; first < all; first += batch_) {
    const std::int64_t n = std::min(batch_, all - first);
    program_.set_batch(n);
    program_.set_first(first);
    program_.run();
    averages_.add(n);
  }
  return averages_.means();
}

Metrics evaluate(const dlc_program* evaluate_program, TensorMap& tensors, const Rows& rows,
                 std::int64_t batch, ThreadPool& pool) {
  return Evaluator(evaluate_program, tensors, rows, batch, pool).run(0);
}

}  // namespace dlc
