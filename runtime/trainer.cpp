#include "runtime/trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "ir/support/check.h"
#include "runtime/row_order.h"

namespace dlc {

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::int64_t kNoLimit = std::numeric_limits<std::int64_t>::max();

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

bool timed_checkpoints(const TrainObserver& o) {
  return o.on_checkpoint && o.checkpoint_every == 0;
}

/// Steps in one piece between two readings of the clock, so many that on_progress is called about
/// when it wants to be.
class Pace {
 public:
  Pace(const TrainObserver& observer)
      : wanted_(observer.on_progress || timed_checkpoints(observer) ? observer.progress_ms / 1000
                                                                    : -1) {}

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
  static constexpr std::int64_t kLongest = std::int64_t{1} << 40;
  double wanted_;  // seconds; negative: nobody asks
  std::int64_t span_ = 1;
  Clock::time_point start_, last_report_ = Clock::now();
  std::int64_t steps_ = 0;
  double seconds_ = 0;
};

/// The time spent on training itself.
class Stopwatch {
 public:
  explicit Stopwatch(double before) : before_(before) {}
  void start() { start_ = Clock::now(), running_ = true; }
  void stop() { before_ = seconds(), running_ = false; }
  double seconds() const { return before_ + (running_ ? seconds_since(start_) : 0); }

 private:
  double before_;
  bool running_ = false;
  Clock::time_point start_;
};

/// Copies of the tensors, where they were when a run stood at `state`.
struct Snapshot {
  RunState state;
  TensorMap tensors;
  Clock::time_point taken;
  double cost = 0;  // seconds it took

  void take(RunState at, const TensorMap& from) {
    const Clock::time_point start = Clock::now();
    state = std::move(at);
    for (const auto& [name, t] : from) {
      Tensor& to = tensors[name];
      if (!to.data() || to.bytes() != t.bytes()) to = Tensor(t.dtype(), t.shape());
      if (t.bytes() > 0) std::memcpy(to.data(), t.data(), t.bytes());
    }
    taken = Clock::now();
    cost = std::chrono::duration<double>(taken - start).count();
  }
  void restore(TensorMap& into) const {
    for (const auto& [name, t] : tensors)
      if (t.bytes() > 0) std::memcpy(into.at(name).data(), t.data(), t.bytes());
  }
};

template <class Bits>
bool no_full_exponent(const Bits* bits, std::int64_t size, Bits exponent) {
  for (std::int64_t k = 0; k < size; ++k)
    if ((bits[k] & exponent) == exponent) return false;
  return true;
}

/// Whether every number of a tensor is neither infinite nor NaN.
bool all_finite(const Tensor& t) {
  switch (t.dtype()) {
    case DLC_F32:
      return no_full_exponent<std::uint32_t>(t.as<std::uint32_t>(), t.size(), 0x7F80'0000);
    case DLC_F64:
      return no_full_exponent<std::uint64_t>(t.as<std::uint64_t>(), t.size(),
                                             0x7FF0'0000'0000'0000);
    case DLC_BF16:
      return no_full_exponent<std::uint16_t>(t.as<std::uint16_t>(), t.size(), 0x7F80);
    case DLC_F16:
      return no_full_exponent<std::uint16_t>(t.as<std::uint16_t>(), t.size(), 0x7C00);
    default:
      return true;
  }
}

class Trainer {
 public:
  Trainer(const dlc_program* train_step, const dlc_program* evaluate, TensorMap& tensors,
          const Rows& train_rows, const Rows* test_rows, const TrainOptions& options,
          ThreadPool& pool, const TrainObserver& observer, const RunState* resume)
      : options_(options),
        observer_(observer),
        tensors_(tensors),
        program_(train_step, tensors, train_rows, pool),
        averages_(program_),
        pace_(observer),
        watch_(resume ? resume->seconds : 0) {
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
    for (int b = 0; b < train_step->num_buffers; ++b) {
      const dlc_buffer& buffer = train_step->buffers[b];
      if (buffer.kind != DLC_PARAM) continue;
      const Tensor& t = tensors.find(std::string_view(buffer.name))->second;
      if (all_finite(t)) finite_.push_back(&t);
    }
    if (resume) {
      set_state(*resume);
      best_ = resume->best;
    }
    snapshot_.take(state(), tensors_);
  }

  RunState run() {
    while (step_ < steps_ && !stopped() && !out_of_patience()) {
      watch_.start();
      run_epoch();
      watch_.stop();
      const bool complete = rows_ >= used_rows_;
      report(complete);
      if (!complete) break;
      next_epoch();
      checkpoint();
    }
    require_finite();
    return state();
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
  bool out_of_patience() const {
    return options_.patience > 0 && best_.worse_since >= options_.patience;
  }

  // ---- Where the run stands ----

  RunState state() const {
    RunState s;
    s.epoch = epoch_;
    s.rows = rows_;
    s.step = step_;
    s.sums = averages_.sums();
    s.last_loss = last_loss_;
    s.seconds = watch_.seconds();
    if (rows_ > 0) s.carries = program_.carries();
    s.best = best_;
    return s;
  }

  /// Where a run stood; what was best so far stays.
  void set_state(const RunState& s) {
    epoch_ = s.epoch;
    rows_ = s.rows;
    step_ = s.step;
    last_loss_ = s.last_loss;
    averages_.reset();
    if (s.sums.size() == averages_.sums().size()) averages_.sums() = s.sums;
    averages_.weigh(rows_);
    prepare_epoch();
    if (rows_ > 0) {
      program_.set_batch(batch_);
      program_.set_carries(s.carries);
    }
  }

  /// The order of the epoch's rows; at its beginning the carries are zeros.
  void prepare_epoch() {
    if (ordered_ != epoch_) order_rows();
    if (rows_ == 0) program_.reset_carries();
    program_.set_scalars(options_.seed, step_, epoch_ - 1);
  }

  void next_epoch() {
    ++epoch_;
    rows_ = 0;
    averages_.reset();
  }

  void order_rows() {
    ordered_ = epoch_;
    auto* order = order_.as<std::int32_t>();
    if (program_.reads_index() && tokens_ > 0) {
      const SequenceOrder sequences = next_sequences();
      std::copy(sequences.begins.begin(), sequences.begins.end(), order);
    } else if (program_.reads_index()) {
      fill_order(order, all_rows_, options_.seed, epoch_, options_.shuffle);
    }
  }

  // ---- Steps ----

  void run_epoch() {
    prepare_epoch();
    while (rows_ < used_rows_ && step_ < steps_ && !stopped() && !out_of_patience()) {
      refresh_snapshot();
      // Steps of equal batches in one piece, up to where somebody wants to be called.
      const std::int64_t n = next_batch();
      std::int64_t most = std::min({(used_rows_ - rows_) / n, steps_ - step_, pace_.span()});
      if (observer_.on_step) most = std::min(most, to_report());
      if (evaluator_) most = std::min(most, to_multiple(options_.evaluate_every));
      if (observer_.on_checkpoint) most = std::min(most, to_multiple(observer_.checkpoint_every));
      pace_.start();
      run_steps(most, n);
      observe(pace_.end(call_.done));
      if (rows_ >= used_rows_) return;  // run() evaluates and writes then
      evaluate_within_epoch();
      checkpoint();
    }
  }

  /// Makes the program ready for the batch that comes next; its rows.
  std::int64_t next_batch() {
    const std::int64_t n = std::min(batch_, used_rows_ - rows_);
    program_.set_batch(n);
    if (program_.reads_index()) program_.set_index(order_.as<std::int32_t>() + rows_);
    program_.set_step(step_);
    return n;
  }

  void run_steps(std::int64_t most, std::int64_t n) {
    call_.max_steps = most;
    call_.sums = averages_.sums().data();
    program_.run_steps(call_);
    if (call_.done > 1) last_loss_ = call_.loss_before;
    step_ += call_.done;
    rows_ += n * call_.done;
    if (!std::isfinite(call_.loss)) refuse(call_.loss);
    averages_.weigh(n * call_.done);
    last_loss_ = call_.loss;
  }

  /// Steps until on_step is to be called.
  std::int64_t to_report() const {
    const std::int64_t every = std::max<std::int64_t>(1, observer_.step_every);
    return step_ == 0 ? 1 : every - (step_ - 1) % every;
  }
  std::int64_t to_multiple(std::int64_t every) const {
    return every > 0 ? every - step_ % every : kNoLimit;
  }
  bool is_multiple(std::int64_t every) const { return every > 0 && step_ % every == 0; }

  // ---- Between steps ----

  void observe(bool progress) {
    const StepReport report{epoch_, step_, steps_per_epoch_, last_loss_, program_.watched()};
    if (observer_.on_step && (step_ - 1) % std::max<std::int64_t>(1, observer_.step_every) == 0)
      observer_.on_step(report);
    if (progress && observer_.on_progress) observer_.on_progress(pace_.report(report));
  }

  Metrics evaluate() {
    evaluated_at_ = step_;
    return evaluator_->run(options_.seed);
  }

  void evaluate_within_epoch() {
    if (!evaluator_ || !is_multiple(options_.evaluate_every)) return;
    watch_.stop();
    const Metrics test = evaluate();
    if (observer_.on_evaluation) observer_.on_evaluation(epoch_, step_, test);
    judge(test);
    watch_.start();
  }

  void judge(const Metrics& metrics) {
    for (const auto& [name, value] : metrics) {
      if (name != options_.monitor.metric) continue;
      const bool better =
          best_.step == 0
              ? std::isfinite(value)
              : (options_.monitor.larger_is_better ? value > best_.value : value < best_.value);
      if (!better) {
        ++best_.worse_since;
        return;
      }
      best_ = {step_, epoch_, value, 0};
      if (!observer_.on_best) return;
      require_finite();
      observer_.on_best(best_);
      return;
    }
    throw UserError(
        fmt::format("there is no metric `{}` to tell the best by", options_.monitor.metric));
  }

  void report(bool complete) {
    EpochReport r;
    r.epoch = epoch_;
    r.step = step_;
    r.train = averages_.means();
    r.seconds = watch_.seconds();
    r.complete = complete;
    r.watched = &program_.watched();
    const bool known = evaluated_at_ == step_, ends = step_ >= steps_;
    // Who stopped the run does not want to wait for the test rows.
    const bool wanted =
        evaluator_ && !known && !stopped() &&
        (ends || (options_.evaluate_every > 0 ? is_multiple(options_.evaluate_every) : complete));
    if (wanted) r.test = evaluate();
    if (observer_.on_epoch) observer_.on_epoch(r);
    if (wanted)
      judge(r.test);
    else if (!evaluator_ && complete)
      judge(r.train);
  }

  void checkpoint() {
    if (!observer_.on_checkpoint) return;
    constexpr double kApart = 10;  // seconds
    const bool due = timed_checkpoints(observer_) ? seconds_since(last_checkpoint_) >= kApart
                                                  : is_multiple(observer_.checkpoint_every);
    if (!due) return;
    require_finite();
    observer_.on_checkpoint(state());
    last_checkpoint_ = Clock::now();
  }

  // ---- What is not finite ----

  /// So that a bad step can be found by going there again. Every few seconds, and so rarely that it
  /// costs next to nothing.
  void refresh_snapshot() {
    constexpr double kApart = 2, kShare = 0.003;
    if (seconds_since(snapshot_.taken) < std::max(kApart, snapshot_.cost / kShare)) return;
    // A snapshot of what is wrong already would be of no use.
    if (is_finite()) snapshot_.take(state(), tensors_);
  }

  bool is_finite() const {
    return std::all_of(finite_.begin(), finite_.end(),
                       [](const Tensor* t) { return all_finite(*t); });
  }
  void require_finite() {
    if (!is_finite()) refuse(last_loss_);
  }

  [[noreturn]] void refuse(double loss) {
    const std::string message = fmt::format(
        "{} in epoch {}, step {}{}",
        std::isfinite(loss)
            ? "a parameter is no longer finite"
            : fmt::format("the loss is {}", std::isnan(loss) ? "not a number" : "infinite"),
        epoch_, step_,
        step_ > 1 && !std::isfinite(loss)
            ? fmt::format(" (it was {:.6g} a step before)", last_loss_)
            : "");
    throw UserError(message + "; a smaller learning rate may help" + explanation());
  }

  /// Goes again from the last snapshot to the first step after which something is not finite, and
  /// takes that step back.
  std::string explanation() {
    const std::int64_t bad = step_;
    snapshot_.restore(tensors_);
    set_state(snapshot_.state);
    Snapshot before;
    while (step_ < bad) {
      prepare_epoch();
      before.take(state(), tensors_);
      const std::int64_t n = next_batch();
      call_.max_steps = 1;
      program_.run_steps(call_);
      ++step_;
      rows_ += n;
      const bool good = std::isfinite(call_.loss) && is_finite();
      if (!good || step_ == bad) {
        before.restore(tensors_);
        set_state(before.state);
        if (good) return "";
        break;
      }
      if (rows_ >= used_rows_) next_epoch();
    }
    if (!observer_.explain) return "";
    const std::int64_t n = next_batch();
    const TensorMap carries = rows_ > 0 ? program_.carries() : TensorMap{};
    return observer_.explain({epoch_, step_ + 1, n,
                              program_.reads_index() ? order_.as<std::int32_t>() + rows_ : nullptr,
                              carries});
  }

  const TrainOptions& options_;
  const TrainObserver& observer_;
  TensorMap& tensors_;
  BatchProgram program_;
  Averages averages_;
  Pace pace_;
  Stopwatch watch_;
  dlc_steps call_{};
  std::optional<Evaluator> evaluator_;
  Tensor order_;
  std::int64_t batch_ = 1, all_rows_ = 0, used_rows_ = 0;  // without rows, steps stand for them
  std::int64_t tokens_ = 0, sequence_steps_ = 0;           // of a text that is trained on
  std::int64_t steps_per_epoch_ = 1, steps_ = 0;
  std::int64_t epoch_ = 1, rows_ = 0, step_ = 0;  // the epoch under way, its rows done, steps done
  std::int64_t ordered_ = 0;                      // the epoch whose order `order_` is
  double last_loss_ = 0;
  std::int64_t evaluated_at_ = -1;  // the last step after which the test rows were
  BestSoFar best_;
  Clock::time_point last_checkpoint_ = Clock::now();
  Snapshot snapshot_;
  std::vector<const Tensor*> finite_;  // the parameters that were finite at the start
};

}  // namespace

RunState train(const dlc_program* train_step, const dlc_program* evaluate, TensorMap& tensors,
               const Rows& train_rows, const Rows* test_rows, const TrainOptions& options,
               ThreadPool& pool, const TrainObserver& observer, const RunState* resume) {
  return Trainer(train_step, evaluate, tensors, train_rows, test_rows, options, pool, observer,
                 resume)
      .run();
}

}  // namespace dlc
