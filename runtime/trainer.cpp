#include "runtime/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "ir/support/check.h"
#include "ir/support/mix.h"
#include "runtime/batch_program.h"

namespace dlc {

namespace {

constexpr std::int64_t kNoLimit = std::numeric_limits<std::int64_t>::max();

/// Fisher-Yates: position k gets one of the first k + 1. Random number k is splitmix64's number k
/// of a stream that (seed, epoch) chooses, so an epoch's order does not depend on those before it.
void fill_order(std::int32_t* order, std::int64_t rows, std::int64_t seed, std::int64_t epoch,
                bool shuffle) {
  std::iota(order, order + rows, 0);
  if (!shuffle) return;
  const std::uint64_t stream =
      mix(mix(static_cast<std::uint64_t>(seed) + kGolden) + static_cast<std::uint64_t>(epoch));
  for (std::int64_t k = rows - 1; k > 0; --k) {
    const std::uint64_t random = mix(stream + static_cast<std::uint64_t>(k) * kGolden);
    // random / 2^64 * (k + 1), without a division. Its bias, k / 2^64, is nothing to a shuffle.
    __extension__ using Wide = unsigned __int128;
    const auto other = static_cast<std::int64_t>(
        static_cast<Wide>(random) * static_cast<std::uint64_t>(k + 1) >> 64);
    std::swap(order[k], order[other]);
  }
}

/// A number below `bound` from a stream of (seed, epoch) of its own.
std::int64_t draw(std::int64_t bound, std::int64_t seed, std::int64_t epoch) {
  const std::uint64_t stream =
      mix(mix(static_cast<std::uint64_t>(seed) + 3 * kGolden) + static_cast<std::uint64_t>(epoch));
  return static_cast<std::int64_t>(stream % static_cast<std::uint64_t>(bound));
}

void check_rows(std::int64_t rows, std::int64_t batch) {
  if (batch < 1) throw UserError(fmt::format("batch = {}: a batch has at least 1 row", batch));
  if (rows < 1) throw UserError("the data has no rows");
  if (rows > std::numeric_limits<std::int32_t>::max())
    throw UserError(fmt::format("{} rows are more than a row number of 32 bits can tell", rows));
}

/// Sums of loss and metrics, weighted by rows.
class Averages {
 public:
  explicit Averages(const BatchProgram& program)
      : program_(program), sums_(program.num_metrics(), 0.0) {}
  void reset() {
    std::fill(sums_.begin(), sums_.end(), 0.0);
    weight_ = 0;
  }
  void add(std::int64_t rows) {
    const auto weight = static_cast<double>(rows);
    for (std::size_t k = 0; k < sums_.size(); ++k) sums_[k] += weight * program_.metric(k);
    weight_ += weight;
  }
  /// Where run_steps() adds to; then weigh() says for how many rows it did.
  double* sums() { return sums_.data(); }
  void weigh(std::int64_t rows) { weight_ += static_cast<double>(rows); }
  Metrics means() const {
    Metrics result;
    for (std::size_t k = 0; k < sums_.size(); ++k)
      result.emplace_back(program_.metric_name(k), program_.mean_of(k, sums_[k] / weight_));
    return result;
  }

 private:
  const BatchProgram& program_;
  std::vector<double> sums_;
  double weight_ = 0;
};

class Evaluator {
 public:
  Evaluator(const dlc_program* program, TensorMap& tensors, const Rows& rows, std::int64_t batch,
            ThreadPool& pool)
      : program_(program, tensors, rows, pool), averages_(program_), rows_(rows.count) {
    if (program_.reads_index())
      throw UserError("the program to evaluate reads row numbers; batches are expected");
    if (program_.reads_rows()) check_rows(rows_, batch);
    batch_ = program_.reads_rows() ? std::min(batch, rows_) : 1;
  }

  Metrics run(std::int64_t seed) {
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

 private:
  BatchProgram program_;
  Averages averages_;
  std::int64_t rows_, batch_ = 1;
};

/// Steps in one piece between two readings of the clock, so many that on_progress is called about
/// when it wants to be.
class Pace {
 public:
  Pace(const TrainObserver& observer)
      : wanted_(observer.on_progress ? observer.progress_ms / 1000 : -1) {}

  std::int64_t span() const { return wanted_ < 0 ? kNoLimit : span_; }
  void start() {
    if (wanted_ >= 0) start_ = Clock::now();
  }
  /// True when it is time for a report.
  bool end(std::int64_t steps) {
    if (wanted_ < 0) return false;
    const Clock::time_point now = Clock::now();
    const double took = std::chrono::duration<double>(now - start_).count();
    steps_ += steps;
    seconds_ += took;
    if (steps == span_ && took < wanted_ / 4)
      span_ = std::min(span_ * 2, kLongest);
    else if (took > wanted_ / 2)
      span_ = std::max<std::int64_t>(span_ / 2, 1);
    if (std::chrono::duration<double>(now - last_report_).count() < wanted_) return false;
    last_report_ = now;
    return true;
  }
  ProgressReport report(const StepReport& last) {
    return {last, std::exchange(steps_, 0), std::exchange(seconds_, 0)};
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::int64_t kLongest = std::int64_t{1} << 40;
  double wanted_;  // seconds; negative: nobody wants reports
  std::int64_t span_ = 1;
  Clock::time_point start_, last_report_ = Clock::now();
  std::int64_t steps_ = 0;
  double seconds_ = 0;
};

class Trainer {
 public:
  Trainer(const dlc_program* train_step, const dlc_program* evaluate, TensorMap& tensors,
          const Rows& train_rows, const Rows* test_rows, const TrainOptions& options,
          ThreadPool& pool, const TrainObserver& observer)
      : options_(options),
        observer_(observer),
        program_(train_step, tensors, train_rows, pool),
        averages_(program_),
        pace_(observer) {
    static_assert(sizeof(std::atomic<bool>) == 1 && std::atomic<bool>::is_always_lock_free);
    static constexpr unsigned char kNever = 0;
    call_.stop = options.stop ? reinterpret_cast<const unsigned char*>(options.stop) : &kNever;
    if (program_.num_metrics() == 0) throw UserError("the training step has no loss");
    if (program_.reads_rows() && !program_.reads_index())
      throw UserError("the training step reads batches: it was compiled without gather_rows");
    if (options.epochs.value_or(0) < 0 || options.steps.value_or(0) < 0)
      throw UserError("the numbers of epochs and steps are at least 0");
    plan(train_rows);
    if (evaluate && test_rows)
      evaluator_.emplace(evaluate, tensors, *test_rows, options.batch, pool);
  }

  void run() {
    for (epoch_ = 1; step_ < steps_ && !stopped(); ++epoch_) {
      const auto start = std::chrono::steady_clock::now();
      const bool complete = run_epoch();
      seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      report(complete);
    }
  }

 private:
  /// Steps an epoch has, and steps in all.
  void plan(const Rows& rows) {
    const bool by_epochs = options_.epochs || !options_.steps;
    if (program_.reads_index() && rows.steps > 0) {
      tokens_ = rows.columns.at("rows.text").shape()[0];
      sequence_steps_ = rows.steps;
      batch_ = options_.consecutive ? options_.batch : std::min(options_.batch, rows.count);
      const std::int64_t batches = next_sequences().batches;
      if (batches < 1)
        throw UserError(
            fmt::format("a text of {} tokens is too short for batches of {} sequences of {} tokens",
                        tokens_, batch_, sequence_steps_));
      used_rows_ = all_rows_ = batches * batch_;
      steps_per_epoch_ = batches;
      order_ = Tensor(DLC_I32, {all_rows_});
    } else if (program_.reads_index()) {
      check_rows(rows.count, options_.batch);
      batch_ = std::min(options_.batch, rows.count);
      used_rows_ = options_.drop_last ? rows.count / batch_ * batch_ : rows.count;
      all_rows_ = rows.count;
      steps_per_epoch_ = (used_rows_ + batch_ - 1) / batch_;
      order_ = Tensor(DLC_I32, {all_rows_});
    } else {
      used_rows_ = all_rows_ = steps_per_epoch_ =
          by_epochs ? 1 : std::max<std::int64_t>(1, *options_.steps);
    }
    const std::int64_t epochs = options_.epochs.value_or(by_epochs ? 1 : kNoLimit);
    steps_ = std::min(options_.steps.value_or(kNoLimit),
                      epochs > kNoLimit / steps_per_epoch_ ? kNoLimit : epochs * steps_per_epoch_);
    program_.set_batch(batch_);  // the largest first: what follows fits in its memory
  }

  SequenceOrder next_sequences() const {
    return sequence_order(tokens_, sequence_steps_, batch_, options_.seed, epoch_,
                          options_.consecutive);
  }

  bool stopped() const { return options_.stop && options_.stop->load(std::memory_order_relaxed); }

  /// False when it ended early.
  bool run_epoch() {
    auto* order = order_.as<std::int32_t>();
    const bool indexed = program_.reads_index();
    if (indexed && tokens_ > 0) {
      const SequenceOrder sequences = next_sequences();
      std::copy(sequences.begins.begin(), sequences.begins.end(), order);
    } else if (indexed) {
      fill_order(order, all_rows_, options_.seed, epoch_, options_.shuffle);
    }
    program_.reset_carries();
    program_.set_scalars(options_.seed, step_, epoch_ - 1);
    averages_.reset();
    for (std::int64_t first = 0; first < used_rows_;) {
      // Steps of equal batches in one piece, up to where somebody wants to be called.
      const std::int64_t n = std::min(batch_, used_rows_ - first);
      std::int64_t most = std::min({(used_rows_ - first) / n, steps_ - step_, pace_.span()});
      if (observer_.on_step) most = std::min(most, to_report());
      program_.set_batch(n);
      if (indexed) program_.set_index(order + first);
      program_.set_step(step_);
      pace_.start();
      first += n * run_steps(most, n);
      observe(pace_.end(call_.done));
      if (step_ >= steps_ || stopped()) return first >= used_rows_;
    }
    return true;
  }

  std::int64_t run_steps(std::int64_t most, std::int64_t rows) {
    call_.max_steps = most;
    call_.sums = averages_.sums();
    program_.run_steps(call_);
    if (call_.done > 1) last_loss_ = call_.loss_before;
    step_ += call_.done;
    if (!std::isfinite(call_.loss)) refuse(call_.loss);
    averages_.weigh(rows * call_.done);
    last_loss_ = call_.loss;
    return call_.done;
  }

  /// Steps until on_step is to be called.
  std::int64_t to_report() const {
    const std::int64_t every = std::max<std::int64_t>(1, observer_.step_every);
    return step_ == 0 ? 1 : every - (step_ - 1) % every;
  }

  void observe(bool progress) {
    const StepReport report{epoch_, step_, steps_per_epoch_, last_loss_, program_.watched()};
    if (observer_.on_step && (step_ - 1) % std::max<std::int64_t>(1, observer_.step_every) == 0)
      observer_.on_step(report);
    if (progress) observer_.on_progress(pace_.report(report));
  }

  [[noreturn]] void refuse(double loss) const {
    throw UserError(
        fmt::format("the loss is {} in epoch {}, step {}{}; a smaller learning rate may help",
                    std::isnan(loss) ? "not a number" : "infinite", epoch_, step_,
                    step_ > 1 ? fmt::format(" (it was {:.6g} a step before)", last_loss_) : ""));
  }

  void report(bool complete) {
    if (!observer_.on_epoch) return;
    EpochReport r;
    r.epoch = epoch_;
    r.step = step_;
    r.train = averages_.means();
    r.seconds = seconds_;
    r.complete = complete;
    r.watched = &program_.watched();
    // Who stopped the run does not want to wait for the test rows.
    if (evaluator_ && !stopped()) r.test = evaluator_->run(options_.seed);
    observer_.on_epoch(r);
  }

  const TrainOptions& options_;
  const TrainObserver& observer_;
  BatchProgram program_;
  Averages averages_;
  Pace pace_;
  dlc_steps call_{};
  std::optional<Evaluator> evaluator_;
  Tensor order_;
  std::int64_t batch_ = 1, all_rows_ = 0, used_rows_ = 0;  // without rows, steps stand for them
  std::int64_t tokens_ = 0, sequence_steps_ = 0;           // of a text that is trained on
  std::int64_t steps_per_epoch_ = 1, steps_ = 0;
  std::int64_t epoch_ = 1, step_ = 0;  // the epoch under way, steps done
  double seconds_ = 0, last_loss_ = 0;
};

}  // namespace

void train(const dlc_program* train_step, const dlc_program* evaluate, TensorMap& tensors,
           const Rows& train_rows, const Rows* test_rows, const TrainOptions& options,
           ThreadPool& pool, const TrainObserver& observer) {
  Trainer(train_step, evaluate, tensors, train_rows, test_rows, options, pool, observer).run();
}

Metrics evaluate(const dlc_program* evaluate_program, TensorMap& tensors, const Rows& rows,
                 std::int64_t batch, ThreadPool& pool) {
  return Evaluator(evaluate_program, tensors, rows, batch, pool).run(0);
}

SequenceOrder sequence_order(std::int64_t tokens, std::int64_t steps, std::int64_t batch,
                             std::int64_t seed, std::int64_t epoch, bool consecutive) {
  SequenceOrder result;
  const std::int64_t offsets = consecutive ? steps + 1 : steps;
  const std::int64_t least = tokens - (offsets - 1) - 1;  // tokens with a next one
  result.batches = least < 1 ? 0 : consecutive ? least / batch / steps : least / steps / batch;
  if (result.batches < 1) return result;
  const std::int64_t offset = draw(offsets, seed, epoch);
  if (consecutive) {
    const std::int64_t part = (tokens - offset - 1) / batch;
    for (std::int64_t j = 0; j < result.batches; ++j)
      for (std::int64_t row = 0; row < batch; ++row)
        result.begins.push_back(static_cast<std::int32_t>(offset + row * part + j * steps));
    return result;
  }
  const std::int64_t count = (tokens - offset - 1) / steps;
  result.begins.resize(static_cast<std::size_t>(count));
  fill_order(result.begins.data(), count, seed, epoch, true);
  for (std::int32_t& b : result.begins)
    b = static_cast<std::int32_t>(offset + static_cast<std::int64_t>(b) * steps);
  result.begins.resize(static_cast<std::size_t>(result.batches * batch));
  return result;
}

std::vector<std::int32_t> epoch_order(std::int64_t rows, std::int64_t seed, std::int64_t epoch,
                                      bool shuffle) {
  std::vector<std::int32_t> order(static_cast<std::size_t>(rows));
  fill_order(order.data(), rows, seed, epoch, shuffle);
  return order;
}

}  // namespace dlc
