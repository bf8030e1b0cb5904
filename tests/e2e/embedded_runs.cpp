// Runs inside a C++ program that are stopped and taken up again.
#include <doctest/doctest.h>

#include <atomic>
#include <dlc/dlc.hpp>

#include "tests/support/temp_dir.h"

namespace {

const char* const kModel = R"(
model net {
  input  x: f32[N, 4]
  target y: f32[N]
  loss = mean((reshape(x |> dense(16) |> dropout(0.2) |> tanh |> dense(1), [-1]) - y) ^ 2)
}
train net { optimizer = adam(lr: 0.01); batch = 16; epochs = 10 }
)";

struct Data {
  std::vector<float> x, y;
  Data() : x(100 * 4), y(100) {
    for (std::size_t k = 0; k < x.size(); ++k) x[k] = static_cast<float>(k * 37 % 101) / 101 - 0.5F;
    for (std::size_t k = 0; k < y.size(); ++k) y[k] = x[4 * k] * x[4 * k + 1];
  }
  dlc::Arrays arrays() const { return {{"x", {x, {100, 4}}}, {"y", y}}; }
};

std::string error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const dlc::Error& e) {
    return e.what();
  }
  return "";
}

}  // namespace

TEST_CASE("an embedded run goes on from its checkpoint with the same bits") {
  const TempDir dir;
  const Data data;
  const std::string file = dir.path("run");
  dlc::Model whole = dlc::Model::from_text(kModel);
  whole.train(data.arrays());

  std::atomic<bool> stop{false};
  dlc::TrainingOptions first;
  first.checkpoint = file;
  first.checkpoint_every = 3;
  first.stop = &stop;
  dlc::Model part = dlc::Model::from_text(kModel);
  part.train(data.arrays(), first, [&](const dlc::Epoch& e) { stop = e.number == 4; });

  dlc::TrainingOptions second;
  second.resume = file;
  dlc::Model rest = dlc::Model::from_text(kModel);
  const dlc::Epoch last = rest.train(data.arrays(), second);
  CHECK(last.number == 10);
  for (const std::string& name : whole.parameter_names())
    CHECK(rest.parameter(name).values == whole.parameter(name).values);

  second.batch = 20;
  CHECK(contains(error_of([&] { rest.train(data.arrays(), second); }), "batch is 20, it was 16"));
  second.resume_anyway = true;
  CHECK(error_of([&] { rest.train(data.arrays(), second); }).empty());
}

TEST_CASE("an embedded run that goes wrong says where, and keeps the parameters from before") {
  dlc::Model m = dlc::Model::from_text(R"(
model bad {
  param w: f32[] = 4.0
  loss = log(w)
}
train bad { optimizer = sgd(lr: 16.5); steps = 3 }
)",
                                       {});
  const std::string error = error_of([&] { m.train(); });
  CHECK(contains(error, "NaN from `loss` (log), in the forward pass of step 2"));
  CHECK(contains(error, "model:4:10: loss = log(w)"));
  CHECK(m.parameter("w").values[0] == 4.0 - 16.5 / 4);
}
