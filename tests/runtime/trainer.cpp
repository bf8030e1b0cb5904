// The training loop on compiled programs written by hand: y = w x with squared loss.
#include "runtime/trainer.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "runtime/row_order.h"
#include "tests/runtime/bytes.h"
#include "tests/support/files.h"

using namespace dlc;

namespace {

const char* const kSymbols[] = {"N", "rows.count"};
const dlc_term kBatchTerm[] = {{1, {0, -1, -1, -1}}}, kAllTerm[] = {{1, {1, -1, -1, -1}}};
const dlc_dim kBatch[] = {{0, 1, kBatchTerm}}, kAll[] = {{0, 1, kAllTerm}};

dlc_buffer buffer(const char* name, dlc_buffer_kind kind, dlc_dtype type,
                  const dlc_dim* extent = nullptr, int alias = -1) {
  dlc_buffer b{};
  b.name = name;
  b.kind = kind;
  b.dtype = type;
  b.rank = extent ? 1 : 0;
  b.shape = extent;
  b.alias = alias;
  return b;
}

/// What the programs were called with, in order.
struct Calls {
  std::vector<std::int64_t> batches, steps, epochs, rows;
  std::int64_t seed = 0;
} calls;

enum : int { kRows, kX, kY, kW, kSeed, kStep, kEpoch, kLoss, kMeanY, kWatchW, kWatchX, kUpdateW };

void train_step(const dlc_call* c) {
  const auto* rows = static_cast<const std::int32_t*>(c->buffers[kRows]);
  const auto* x = static_cast<const float*>(c->buffers[kX]);
  const auto* y = static_cast<const float*>(c->buffers[kY]);
  auto& w = *static_cast<double*>(c->buffers[kW]);
  const auto n = static_cast<double>(c->dims[0]);
  double loss = 0, gradient = 0, mean_y = 0;
  *static_cast<double*>(c->buffers[kWatchW]) = w;
  for (int k = 0; k < c->dims[0]; ++k) {
    const std::int32_t row = rows[k];
    calls.rows.push_back(row);
    const double d = w * x[row] - y[row];
    loss += d * d / n;
    gradient += 2 * d * x[row] / n;
    mean_y += y[row] / n;
    static_cast<float*>(c->buffers[kWatchX])[k] = x[row];
  }
  *static_cast<double*>(c->buffers[kUpdateW]) = w - 0.1 * gradient;
  *static_cast<float*>(c->buffers[kLoss]) = static_cast<float>(loss);
  *static_cast<float*>(c->buffers[kMeanY]) = static_cast<float>(mean_y);
  calls.batches.push_back(c->dims[0]);
  calls.seed = *static_cast<std::int64_t*>(c->buffers[kSeed]);
  calls.steps.push_back(*static_cast<std::int64_t*>(c->buffers[kStep]));
  calls.epochs.push_back(*static_cast<std::int64_t*>(c->buffers[kEpoch]));
}

const dlc_buffer kTrainBuffers[] = {
    buffer("rows", DLC_INPUT, DLC_I32, kBatch),
    buffer("x", DLC_INPUT, DLC_F32, kAll),
    buffer("y", DLC_INPUT, DLC_F32, kAll),
    buffer("w", DLC_PARAM, DLC_F64),
    buffer("seed", DLC_SCALAR, DLC_I64),
    buffer("step", DLC_SCALAR, DLC_I64),
    buffer("epoch", DLC_SCALAR, DLC_I64),
    buffer("loss", DLC_OUTPUT, DLC_F32),
    buffer("mean_y", DLC_OUTPUT, DLC_F32),
    buffer("watch.w", DLC_OUTPUT, DLC_F64),
    buffer("watch.x", DLC_OUTPUT, DLC_F32, kBatch),
    buffer("update.w", DLC_OUTPUT, DLC_F64, nullptr, kW),
};

/// Mean of y and number of rows of a batch; no row numbers.
void evaluate_step(const dlc_call* c) {
  const auto* y = static_cast<const float*>(c->buffers[0]);
  *static_cast<double*>(c->buffers[1]) =
      std::accumulate(y, y + c->dims[0], 0.0) / static_cast<double>(c->dims[0]);
  *static_cast<double*>(c->buffers[2]) = static_cast<double>(c->dims[0]);
}
const dlc_buffer kEvaluateBuffers[] = {
    buffer("y", DLC_INPUT, DLC_F32, kBatch),
    buffer("loss", DLC_OUTPUT, DLC_F64),
    buffer("batch", DLC_OUTPUT, DLC_F64),
};

/// A model without data: w halves.
void halve(const dlc_call* c) {
  auto& w = *static_cast<double*>(c->buffers[0]);
  *static_cast<double*>(c->buffers[1]) = w;
  w *= 0.5;
}
const dlc_buffer kHalveBuffers[] = {
    buffer("w", DLC_PARAM, DLC_F64),
    buffer("loss", DLC_OUTPUT, DLC_F64),
    buffer("update.w", DLC_OUTPUT, DLC_F64, nullptr, 0),
};

const std::int32_t kTrainMetrics[] = {kLoss, kMeanY}, kFirstTwo[] = {1, 2};

/// `rows` and `step`: their buffers, or -1.
template <std::size_t n, std::size_t m>
dlc_program program(const char* name, const dlc_buffer (&buffers)[n], void (*run)(const dlc_call*),
                    int rows, int step, const std::int32_t (&metrics)[m], int num_metrics) {
  dlc_program p{};
  p.rows_buffer = rows;
  p.step_buffer = step;
  p.metrics = metrics;
  p.num_metrics = num_metrics;
  p.abi_version = DLC_ABI_VERSION;
  p.name = name;
  p.num_buffers = n;
  p.buffers = buffers;
  p.num_symbols = 2;
  p.symbols = kSymbols;
  p.run = run;
  return p;
}

struct Fixture {
  dlc_program train = program("train_step", kTrainBuffers, train_step, 0, kStep, kTrainMetrics, 2);
  dlc_program evaluate = program("evaluate", kEvaluateBuffers, evaluate_step, -1, -1, kFirstTwo, 2);
  ThreadPool pool{1};
  TensorMap tensors;
  Rows rows;
  TrainOptions options;
  TrainObserver observer;
  std::vector<EpochReport> reports;

  explicit Fixture(std::int64_t count = 10) {
    calls = {};
    tensors["w"] = Tensor(DLC_F64, {});
    rows.count = count;
    Tensor x(DLC_F32, {count}), y(DLC_F32, {count});
    for (std::int64_t k = 0; k < count; ++k) {
      x.set(k, 1);
      y.set(k, static_cast<double>(k));
    }
    rows.columns["x"] = std::move(x);
    rows.columns["y"] = std::move(y);
    options.batch = 4;
    observer.on_epoch = [this](const EpochReport& r) { reports.push_back(r); };
  }
  void run(const Rows* test = nullptr) {
    dlc::train(&train, &evaluate, tensors, rows, test, options, pool, observer);
  }
};

}  // namespace

TEST_CASE("the order of an epoch is a permutation that seed and epoch choose") {
  const std::vector<std::int32_t> a = epoch_order(1000, 1, 1, true);
  CHECK(std::set<std::int32_t>(a.begin(), a.end()).size() == 1000);
  CHECK(*std::min_element(a.begin(), a.end()) == 0);
  CHECK(*std::max_element(a.begin(), a.end()) == 999);
  CHECK(a == epoch_order(1000, 1, 1, true));
  CHECK(a != epoch_order(1000, 2, 1, true));
  CHECK(a != epoch_order(1000, 1, 2, true));
  CHECK(epoch_order(3, 1, 1, false) == std::vector<std::int32_t>{0, 1, 2});
  CHECK(epoch_order(0, 1, 1, true).empty());
  CHECK(epoch_order(1, 1, 1, true) == std::vector<std::int32_t>{0});
  // Each row is equally likely in each place: chi-square of 10 x 10 counts, 81 degrees of freedom.
  double counts[10][10] = {};
  constexpr int kOrders = 20000;
  for (int seed = 0; seed < kOrders; ++seed) {
    const std::vector<std::int32_t> order = epoch_order(10, seed, 1, true);
    for (int k = 0; k < 10; ++k) counts[k][order[static_cast<std::size_t>(k)]] += 1;
  }
  double chi = 0;
  for (const auto& row : counts)
    for (const double n : row)
      chi += (n - kOrders / 10.0) * (n - kOrders / 10.0) / (kOrders / 10.0);
  CHECK(chi < 140);
}

TEST_CASE("every row is used once an epoch, a partial last batch included") {
  Fixture f;
  f.options.epochs = 2;
  f.options.seed = 5;
  f.run();
  CHECK(calls.batches == std::vector<std::int64_t>{4, 4, 2, 4, 4, 2});
  CHECK(calls.steps == std::vector<std::int64_t>{0, 1, 2, 3, 4, 5});
  CHECK(calls.epochs == std::vector<std::int64_t>{0, 0, 0, 1, 1, 1});
  CHECK(calls.seed == 5);
  std::vector<std::int64_t> want;
  for (const int epoch : {1, 2})
    for (const std::int32_t r : epoch_order(10, 5, epoch, true)) want.push_back(r);
  CHECK(calls.rows == want);
  REQUIRE(f.reports.size() == 2);
  CHECK(f.reports[1].epoch == 2);
  CHECK(f.reports[1].step == 6);
  CHECK(f.reports[1].complete);
  CHECK(f.reports[1].seconds >= f.reports[0].seconds);
  CHECK(f.tensors["w"].at(0) != 0);
}

TEST_CASE("metrics are means over rows, loss first") {
  Fixture f;
  f.options.shuffle = false;
  f.run();  // neither epochs nor steps: one epoch
  REQUIRE(f.reports.size() == 1);
  const Metrics& m = f.reports[0].train;
  REQUIRE(m.size() == 2);
  CHECK(m[0].first == "loss");
  CHECK(m[1].first == "mean_y");
  CHECK(m[1].second == doctest::Approx(4.5));  // (0 + ... + 9) / 10
  CHECK(f.reports[0].test.empty());

  const Metrics e = evaluate(&f.evaluate, f.tensors, f.rows, 4, f.pool);
  CHECK(e[0].second == doctest::Approx(4.5));
  CHECK(e[1].second == doctest::Approx((4 * 4 + 4 * 4 + 2 * 2) / 10.0));
  CHECK(evaluate(&f.evaluate, f.tensors, f.rows, 100, f.pool)[1].second == 10);
}

TEST_CASE("test rows are evaluated after each epoch") {
  Fixture f;
  const Fixture test(3);
  f.options.epochs = 2;
  f.run(&test.rows);
  REQUIRE(f.reports.size() == 2);
  CHECK(f.reports[0].test[0].second == doctest::Approx(1));
  CHECK(f.reports[1].test[1].second == 3);
}

TEST_CASE("steps and epochs end the run, whichever is first") {
  const auto run = [](std::optional<std::int64_t> epochs, std::optional<std::int64_t> steps) {
    Fixture f;
    f.options.epochs = epochs;
    f.options.steps = steps;
    f.run();
    std::string text = fmt::format("{} steps", calls.batches.size());
    for (const EpochReport& r : f.reports)
      text += fmt::format(", {}:{}{}", r.epoch, r.step, r.complete ? "" : " incomplete");
    return text;
  };
  CHECK(run({}, {}) == "3 steps, 1:3");
  CHECK(run({}, 4) == "4 steps, 1:3, 2:4 incomplete");
  CHECK(run({}, 6) == "6 steps, 1:3, 2:6");
  CHECK(run(1, 5) == "3 steps, 1:3");
  CHECK(run(2, 1) == "1 steps, 1:1 incomplete");
  CHECK(run({}, 0) == "0 steps");
  CHECK(run(0, {}) == "0 steps");
}

TEST_CASE("batches: larger than the data, one row, the last one left out") {
  Fixture large;
  large.options.batch = 1000;
  large.run();
  CHECK(calls.batches == std::vector<std::int64_t>{10});
  Fixture single;
  single.options.batch = 1;
  single.run();
  CHECK(calls.batches == std::vector<std::int64_t>(10, 1));
  Fixture whole;
  whole.options.drop_last = true;
  whole.run();
  CHECK(calls.batches == std::vector<std::int64_t>{4, 4});
}

TEST_CASE("the stop flag ends the run after the current step") {
  Fixture f;
  std::atomic<bool> stop{false};
  f.options.stop = &stop;
  f.options.epochs = 100;
  f.observer.on_step = [&](const StepReport& r) {
    CHECK(r.steps_per_epoch == 3);
    if (r.step == 5) stop = true;
  };
  f.run(&f.rows);
  CHECK(calls.batches.size() == 5);
  REQUIRE(f.reports.size() == 2);
  CHECK(f.reports[0].test.size() == 2);
  CHECK(!f.reports[1].complete);
  CHECK(f.reports[1].test.empty());
  Fixture never;
  never.options.stop = &stop;
  never.run();
  CHECK(calls.batches.empty());
}

TEST_CASE("watched values follow the step, of whatever batch") {
  Fixture f;
  f.options.shuffle = false;
  std::vector<double> w;
  std::vector<std::int64_t> extents;
  f.observer.on_step = [&](const StepReport& r) {
    REQUIRE(r.watched.size() == 2);
    CHECK(r.watched[0].first == "w");
    w.push_back(r.watched[0].second->at(0));
    CHECK(r.watched[1].first == "x");
    extents.push_back(r.watched[1].second->size());
    CHECK(r.watched[1].second->at(r.watched[1].second->size() - 1) == 1);
  };
  f.run();
  CHECK(w[0] == 0);
  CHECK(w[1] == doctest::Approx(0.3));  // 0.1 * 2 * mean(0 .. 3)
  CHECK(extents == std::vector<std::int64_t>{4, 4, 2});
}

TEST_CASE("a loss that is not finite names epoch and step") {
  for (const double bad : {std::nan(""), HUGE_VAL}) {
    Fixture f;
    f.options.shuffle = false;
    f.options.epochs = 3;
    f.observer.on_step = [&](const StepReport& r) {
      if (r.step == 4) f.rows.columns["y"].set(5, bad);
    };
    const std::string error = error_of([&] { f.run(); });
    CHECK(contains(error, "epoch 2, step 5"));
    CHECK(contains(error, std::isnan(bad) ? "not a number" : "infinite"));
    CHECK(f.reports.size() == 1);
  }
}

TEST_CASE("a model without data") {
  const dlc_program p = program("train_step", kHalveBuffers, halve, -1, -1, kFirstTwo, 1);
  ThreadPool pool(1);
  const auto run = [&](std::optional<std::int64_t> epochs, std::optional<std::int64_t> steps) {
    TensorMap tensors;
    tensors["w"] = Tensor(DLC_F64, {});
    tensors["w"].set(0, 1024);
    TrainOptions options;
    options.epochs = epochs;
    options.steps = steps;
    std::string text;
    TrainObserver observer;
    observer.on_epoch = [&](const EpochReport& r) {
      text += fmt::format("{}:{} loss {}, ", r.epoch, r.step, r.train[0].second);
    };
    dlc_program none = p;
    none.num_symbols = 0;
    train(&none, nullptr, tensors, {}, nullptr, options, pool, observer);
    return text + fmt::format("w {}", tensors["w"].at(0));
  };
  CHECK(run({}, {}) == "1:1 loss 1024, w 512");
  CHECK(run({}, 2) == "1:2 loss 768, w 256");  // one epoch of two steps
  CHECK(run(2, {}) == "1:1 loss 1024, 2:2 loss 512, w 256");
  CHECK(run(5, 1) == "1:1 loss 1024, w 512");
  CHECK(run({}, 0) == "w 1024");
}

TEST_CASE("data that do not fit the program are named") {
  const auto error = [](const auto& change) {
    Fixture f;
    change(f);
    const std::string text = error_of([&] { f.run(&f.rows); });
    CHECK(calls.batches.empty());
    return text;
  };
  CHECK(contains(error([](Fixture& f) { f.rows.columns.erase("y"); }),
                 "input `y`, the data has no column of that name; its columns are x"));
  CHECK(contains(error([](Fixture& f) { f.rows.columns["x"] = Tensor(DLC_F64, {10}); }),
                 "input `x` is f32 of rank 1, the data column is f64[10]"));
  CHECK(contains(error([](Fixture& f) {
                   f.rows.columns["x"] = Tensor(DLC_F32, {10, 1});
                 }),
                 "f32[10, 1]"));
  CHECK(contains(error([](Fixture& f) { f.rows.columns["x"] = Tensor(DLC_F32, {9}); }),
                 "input `x` is [10], the data column is f32[9]"));
  CHECK(contains(error([](Fixture& f) {
                   f.rows.count = 0;
                   for (auto& [name, t] : f.rows.columns) t = Tensor(DLC_F32, {0});
                 }),
                 "no rows"));
  CHECK(contains(error([](Fixture& f) { f.options.batch = 0; }), "batch = 0"));
  CHECK(contains(error([](Fixture& f) { f.options.steps = -1; }), "at least 0"));
  CHECK(contains(error([](Fixture& f) { f.train.abi_version = 99; }), "version 99"));
}

TEST_CASE("the loop itself costs little") {
  // A step that does next to nothing, on 1000 rows in batches of 10 as in linear regression.
  Fixture f(1000);
  f.train.run = [](const dlc_call*) {};
  f.options.batch = 10;
  f.options.epochs = 2000;
  f.observer.on_epoch = nullptr;
  const auto start = std::chrono::steady_clock::now();
  f.run();
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  MESSAGE("a step around nothing takes ", seconds / 200000 * 1e9, " ns");
  CHECK(seconds / 200000 < 2e-6);  // generous: sanitizers, busy machines
}
