// Steps in one piece are the same steps: bit for bit what one call after the other gives.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "codegen/llvm/jit.h"
#include "passes/lower/lower.h"
#include "runtime/trainer.h"
#include "tests/support/text.h"

using namespace dlc;

namespace {

/// Least squares with a learning rate that falls with the step, and a metric.
std::unique_ptr<CompiledProgram> compiled_step() {
  const Graph g = graph_of(R"(graph train_step {
    %x: f32[N, 3] = input input  %y: f32[N] = input target
    %w: f32[3] = input param  %step: i64[] = input scalar
    %p: f32[N] = contract %x, %w {lhs = "nk", rhs = "k", out = "n"}
    %d: f32[N] = sub %p, %y  %q: f32[N] = mul %d, %d
    %sum: f32[] = reduce_sum %q {axes = [0]}  %n: f32[] = dim {dim = (N), element = "f32"}
    %loss: f32[] = div %sum, %n
    %most: f32[] = reduce_max %q {axes = [0]}
    %dw: f32[3] = grad %loss, %w
    %t: f32[] = convert %step {element = "f32"}  %ten: f32[] = constant 10.0
    %u: f32[] = add %t, %ten  %r: f32[] = div %ten, %u  %tenth: f32[] = constant 0.1
    %rate: f32[] = mul %r, %tenth  %rates: f32[3] = broadcast %rate {dims = [], shape = (3)}
    %change: f32[3] = mul %rates, %dw  %new: f32[3] = sub %w, %change
    output loss "loss" = %loss output metric "most" = %most output update "w" = %new })");
  loop::Program p = lower(run_passes(g, default_pipeline(PipelineEnd::Fused, true), {}));
  run_loop_passes(p, true);
  return jit_compile(p);
}

struct Run {
  std::vector<float> w;
  std::vector<std::pair<std::int64_t, Metrics>> epochs;
  std::vector<double> losses;
  std::string error;
};

Run train_with(dlc_program program, bool natively, std::int64_t step_every, double bad_label = 0) {
  constexpr std::int64_t kRows = 23;
  if (!natively) program.run_steps = nullptr;
  TensorMap tensors;
  tensors["w"] = Tensor(DLC_F32, {3});
  Rows rows;
  rows.count = kRows;
  Tensor x(DLC_F32, {kRows, 3}), y(DLC_F32, {kRows});
  for (std::int64_t k = 0; k < x.size(); ++k) x.set(k, static_cast<double>(k * 7 % 11) / 11 - 0.4);
  for (std::int64_t k = 0; k < kRows; ++k) y.set(k, static_cast<double>(k % 5) - 2);
  if (bad_label != 0) y.set(20, bad_label);
  rows.columns["x"] = std::move(x);
  rows.columns["y"] = std::move(y);
  TrainOptions options;
  options.batch = 4;
  options.epochs = 3;
  options.shuffle = bad_label == 0;
  TrainObserver observer;
  Run run;
  observer.on_epoch = [&](const EpochReport& r) { run.epochs.emplace_back(r.step, r.train); };
  if (step_every > 0) {
    observer.on_step = [&](const StepReport& r) { run.losses.push_back(r.loss); };
    observer.step_every = step_every;
  }
  ThreadPool pool(1);
  try {
    train(&program, nullptr, tensors, rows, nullptr, options, pool, observer);
  } catch (const UserError& e) {
    run.error = e.what();
  }
  const auto* w = tensors["w"].as<float>();
  run.w.assign(w, w + 3);
  return run;
}

}  // namespace

TEST_CASE("an epoch in one piece, in pieces and step by step: the same bits") {
  const auto code = compiled_step();
  REQUIRE((code->program()->run_steps != nullptr));
  CHECK(code->program()->num_metrics == 2);
  const Run want = train_with(*code->program(), false, 0);
  CHECK(want.epochs.size() == 3);
  CHECK(want.w[0] != 0);
  for (const std::int64_t every : {0, 1, 3, 100}) {
    CAPTURE(every);
    const Run got = train_with(*code->program(), true, every);
    CHECK(std::memcmp(got.w.data(), want.w.data(), 3 * sizeof(float)) == 0);
    CHECK(got.epochs == want.epochs);
    CHECK(got.losses == train_with(*code->program(), false, every).losses);
  }
}

TEST_CASE("a loss that is not finite ends the piece and names its step") {
  const auto code = compiled_step();
  for (const double bad : {std::nan(""), HUGE_VAL}) {
    const Run got = train_with(*code->program(), true, 0, bad);
    CHECK(got.error.find("epoch 1, step 6 (it was ") != std::string::npos);
    CHECK(got.error == train_with(*code->program(), false, 0, bad).error);
  }
}

TEST_CASE("the stop flag ends the piece after the step under way") {
  const auto code = compiled_step();
  const dlc_program* p = code->program();
  ThreadPool pool(1);
  Executable e(p, &pool);
  float x[12] = {1, 2, 3}, y[4] = {1}, w[3] = {}, loss = 0, most = 0;
  std::int32_t order[8] = {0, 1, 2, 3, 3, 2, 1, 0};
  std::int64_t step = 0;
  e.bind(e.find("x"), x), e.bind(e.find("y"), y), e.bind(e.find("w"), w);
  e.bind(p->rows_buffer, order), e.bind(p->step_buffer, &step);
  e.bind(e.find("loss"), &loss), e.bind(e.find("most"), &most);
  for (int s = 0; s < p->num_symbols; ++s) e.set_symbol(s, 4);
  e.prepare();
  double sums[2] = {};
  unsigned char stop = 0;
  dlc_steps steps{2, &stop, sums, 0, 0, 0};
  e.run_steps(steps);
  CHECK(steps.done == 2);
  CHECK(step == 2);
  CHECK(sums[0] == 4 * (steps.loss_before + steps.loss));
  CHECK(steps.loss == loss);
  stop = 1;
  e.bind(p->rows_buffer, order);
  e.run_steps(steps);
  CHECK(steps.done == 1);
  CHECK(step == 3);
}
