#pragma once
// Loss and metrics: their means over batches, and over all rows of a split.
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "runtime/batch_program.h"

namespace dlc {

/// Loss first, then the metrics: means over rows.
using Metrics = std::vector<std::pair<std::string, double>>;

/// Sums of loss and metrics, weighted by rows.
class Averages {
 public:
  explicit Averages(const BatchProgram& program)
      : program_(program), sums_(program.num_metrics(), 0.0) {}
  void reset();
  void add(std::int64_t rows);
  /// Where run_steps() adds to; then weigh() says for how many rows it did.
  std::vector<double>& sums() { return sums_; }
  const std::vector<double>& sums() const { return sums_; }
  void weigh(std::int64_t rows) { weight_ += static_cast<double>(rows); }
  Metrics means() const;

 private:
  const BatchProgram& program_;
  std::vector<double> sums_;
  double weight_ = 0;
};

class Evaluator {
 public:
  /// As evaluate(), which see.
  Evaluator(const dlc_program* program, TensorMap& tensors, const Rows& rows, std::int64_t batch,
            ThreadPool& pool);
  Metrics run(std::int64_t seed);

 private:
  BatchProgram program_;
  Averages averages_;
  std::int64_t rows_, batch_ = 1;
};

/// Loss and metrics over all rows, in batches of `batch`, weighted by rows. UserError: a column is
/// missing or has another type, or there are no rows.
Metrics evaluate(const dlc_program* evaluate_program, TensorMap& tensors, const Rows& rows,
                 std::int64_t batch, ThreadPool& pool);

/// A UserError unless there are rows, as many as row numbers can tell, in batches of one at least.
void check_rows(std::int64_t rows, std::int64_t batch);

}  // namespace dlc
