#pragma once
// A compiled step bound to parameters and data columns, run on one batch after the other: what
// training and evaluation share.
#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/executable.h"
#include "runtime/rows.h"

namespace dlc {

/// Watched values by name (a program's outputs "watch.<name>"); they stay where they are for the
/// whole run.
using Watched = std::vector<std::pair<std::string, const Tensor*>>;

class BatchProgram {
 public:
  /// Binds everything but the batch. `tensors` and `rows` must outlive this and stay where they
  /// are. UserError when a column is missing or has another type than the program reads.
  BatchProgram(const dlc_program* program, TensorMap& tensors, const Rows& rows, ThreadPool& pool);

  /// Whether a run reads a batch of rows; otherwise it reads the columns whole, or nothing.
  bool reads_rows() const { return index_ >= 0 || !sliced_.empty(); }
  /// Whether it reads them through a vector of row numbers.
  bool reads_index() const { return index_ >= 0; }

  /// Rows of the batches to come. Allocates when they need more memory than any before.
  void set_batch(std::int64_t rows);
  /// The row numbers of the next batch.
  void set_index(std::int32_t* index) { executable_.bind(index_, index); }
  /// The next batch is the rows from `first` on.
  void set_first(std::int64_t first);
  void set_scalars(std::int64_t seed, std::int64_t step, std::int64_t epoch);
  void set_step(std::int64_t step) { step_ = step; }
  /// Carries are zeros again. They are as well after the rows of a batch have changed.
  void reset_carries();
  /// Copies of what the carries hold, by path; and back. They have the rows of the batch.
  TensorMap carries() const;
  void set_carries(const TensorMap& carries);
  void run() { executable_.run(); }
  void set_hook(dlc_kernel_hook hook, void* data) { executable_.set_hook(hook, data); }
  /// As dlc_program.run_steps says, also of a program without it.
  void run_steps(dlc_steps& steps);

  /// Loss first, then the metrics; their values after the last run. Of a metric that is a function
  /// of a mean (ir/support/metric_name.h) it is that mean; `mean_of` gives the metric's own.
  std::size_t num_metrics() const { return metrics_.size(); }
  const std::string& metric_name(std::size_t k) const { return metrics_[k].name; }
  double mean_of(std::size_t k, double mean) const { return metrics_[k].of_mean(mean); }
  double metric(std::size_t k) const {
    const Output& m = metrics_[k];
    return m.dtype == DLC_F32 ? *m.value.as<float>() : m.value.at(0);
  }
  const Watched& watched() const { return watched_; }

 private:
  struct Sliced {
    int buffer;
    char* data;
    std::int64_t row_bytes;
  };
  struct Output {
    int buffer;
    dlc_dtype dtype;
    std::string name;
    Tensor value;
    double (*of_mean)(double) = nullptr;  // of a metric: see ir/support/metric_name.h
  };

  void bind_columns(const Rows& rows);
  void bind_column(int buffer, const Rows& rows, std::vector<bool>& known);
  void bind_outputs();
  Tensor& add_output(std::deque<Output>& to, int buffer, std::string_view name);

  const dlc_program* program_;
  Executable executable_;
  int index_;              // the buffer "rows"
  int batch_symbol_ = -1;  // the rows of a batch
  std::int64_t batch_ = -1;
  std::int64_t seed_ = 0, step_ = 0, epoch_ = 0;
  std::vector<Sliced> sliced_;
  // The addresses of what is bound stay as these grow.
  std::deque<Output> metrics_, others_, carries_;
  Watched watched_;
};

}  // namespace dlc
