// What a train block makes of gradients: several steps as one update, averages of parameters,
// optimizers by name.
#include <doctest/doctest.h>

#include <cmath>

#include "runtime/checkpoint.h"
#include "runtime/data/readers.h"
#include "tests/e2e/process.h"

using dlc::TensorMap;

namespace {

const char* const kNet = R"(
data points { x: f32[96, 3] = normal(); y = sum(x, axis: 1, keepdims: true) }
model net {
  input  x: f32[N, 3]
  target y: f32[N, 1]
  out = x |> dense(8) |> tanh |> dense(1)
  loss = mse(out, y)
  output prediction = out
}
train net on points {
  optimizer = adam(lr: 0.05 / (1 + step))
  clip      = global_norm(1.0)
  batch     = 32
  epochs    = 4
  shuffle   = false
}
)";

TensorMap trained(const TempDir& dir, const std::string& model, std::vector<std::string> more) {
  const std::string saved = dir.path("saved");
  more.insert(more.begin(), {"train", model, "--save", saved});
  const Finished f = dlc_command(more);
  REQUIRE_MESSAGE(f.exit_code == 0, f.err);
  return dlc::load_safetensors(saved);
}

}  // namespace

TEST_CASE("four steps of accumulated gradients are one step of a batch four times as large") {
  TempDir dir;
  const std::string model = dir.write("net.dl", kNet);
  // Rates, Adam's corrections and the limit of the norm are those of the updates.
  const TensorMap large = trained(dir, model, {});
  const TensorMap parts = trained(dir, model, {"--batch", "8", "--set", "accumulate=4"});
  for (const auto& [name, t] : large) {
    CAPTURE(name);
    for (std::int64_t k = 0; k < t.size(); ++k)
      CHECK(parts.at(name).at(k) == doctest::Approx(t.at(k)).epsilon(1e-5));
  }
  CHECK(parts.at("accumulated.dense_1.w").at(0) == 0);
  // Between two updates nothing moves.
  const TensorMap three =
      trained(dir, model, {"--batch", "8", "--steps", "3", "--set", "accumulate=4"});
  const TensorMap none = trained(dir, model, {"--steps", "0"});
  for (const char* name : {"dense_1.w", "dense_2.b", "adam.dense_1.w.m"})
    CHECK(three.at(name).at(0) == none.at(name).at(0));
  CHECK(three.at("accumulated.dense_1.w").at(0) != 0);
}

TEST_CASE("updates of the rows of a batch are those of the whole table") {
  // Half of the words are one of 30, so that many are twice in a batch; some are far outside.
  const char* const kWords = R"(
data reviews {
  draw: f32[60, 9] = random_uniform([60, 9])
  words: i32[60, 9] = i32(where(draw < 0.5, 60 * draw, 2200 * draw - 100))
  label: i32[60] = i32(2 * random_uniform([60]))
}
model bag {
  input  words: i32[N, T]
  target label: i32[N]
  table = embedding(10000, 6)
  loss = cross_entropy(sum(words |> table |> tanh, axis: 1) ALSO |> dense(2), label)
}
train bag on reviews { optimizer = sgd(lr: 0.5); batch = 16; epochs = 3; AVERAGE }
)";
  TempDir dir;
  const auto written = [&](const char* average, const char* also) {
    std::string text = kWords;
    text.replace(text.find("ALSO"), 4, also);
    return dir.write("bag.dl", text.replace(text.find("AVERAGE"), 7, average));
  };
  const auto check = [&](const std::vector<std::string>& settings, bool same_bits,
                         const char* average = "", const char* also = "") {
    const std::string model = written(average, also);
    std::vector<std::string> whole = settings;
    whole.insert(whole.end(), {"--disable-pass", "sparse_updates"});
    const TensorMap expected = trained(dir, model, whole);
    for (const char* threads : {"1", "2"}) {
      std::vector<std::string> sparse = settings;
      sparse.insert(sparse.end(), {"--threads", threads});
      for (const auto& [name, t] : trained(dir, model, sparse)) {
        CAPTURE(name);
        const dlc::Tensor& other = expected.at(name);
        int different = 0;
        for (std::int64_t k = 0; k < t.size(); ++k)
          different += same_bits ? t.at(k) != other.at(k)
                                 : t.at(k) != doctest::Approx(other.at(k)).epsilon(1e-5);
        CHECK(different == 0);
      }
    }
  };
  for (const char* optimizer : {"sgd(lr: 0.5)", "adagrad(lr: 0.1)", "sparse_adam()"}) {
    CAPTURE(optimizer);
    check({"--set", std::string("optimizer=") + optimizer}, true);
    check({"--set", std::string("optimizer=") + optimizer, "--set", "clip=by_value(0.01)"}, true);
    check({"--set", std::string("optimizer=") + optimizer}, true, "average = 0.9");
    // A table that is read twice: its gradient is one sum instead of two.
    check({"--set", std::string("optimizer=") + optimizer}, false, "", "+ table(words[:, 0])");
    // The norm is a sum over the rows of the batch rather than of the table.
    check({"--set", std::string("optimizer=") + optimizer, "--set", "clip=global_norm(0.1)"},
          false);
  }
}

TEST_CASE("an average follows the parameters, and is what evaluation and prediction use") {
  TempDir dir;
  const std::string model = dir.write("bowl.dl", R"(
model bowl {
  param x: f32[2] = [-5.0, -2.0]
  loss = 0.1 * x[0] ^ 2 + 2 * x[1] ^ 2
  output place = x + 0
}
train bowl { optimizer = sgd(lr: 0.4); steps = 21; average = min(0.8, 0.5 + 0.01 * f32(step)); watch x }
)");
  const std::string steps = dir.path("x.npy"), saved = dir.path("saved");
  const TensorMap end = trained(dir, model, {"--watch", "x=" + steps});
  const dlc::Tensor x = dlc::read_file("npy", steps, {});
  for (int axis = 0; axis < 2; ++axis) {
    double average = x.at(axis);
    for (int step = 0; step < 21; ++step) {
      const double after = step < 20 ? x.at(2 * (step + 1) + axis) : end.at("x").at(axis);
      const double keep = std::min(0.8, 0.5 + 0.01 * step);
      average = keep * average + (1 - keep) * after;
    }
    CHECK(end.at("average.x").at(axis) == doctest::Approx(average).epsilon(1e-6));
  }
  const std::string place = dir.path("place.npy");
  const Finished f = dlc_command({"predict", model, "--load", saved, "--output", "place=" + place});
  REQUIRE_MESSAGE(f.exit_code == 0, f.err);
  const dlc::Tensor predicted = dlc::read_file("npy", place, {});
  for (int axis = 0; axis < 2; ++axis) {
    CHECK(predicted.at(axis) == end.at("average.x").at(axis));
    CHECK(predicted.at(axis) != end.at("x").at(axis));
  }
}

TEST_CASE("each parameter moves by the first optimizer whose name fits") {
  TempDir dir;
  const std::string model = dir.write("bowls.dl", R"(
model bowls {
  param a: f32[] = 1.0
  param b: f32[] = 1.0
  param c: f32[] = 1.0
  loss = (a ^ 2 + b ^ 2 + c ^ 2) / 2
}
train bowls {
  optimizer  = sgd(lr: 100)
  optimizers = [["b", sgd(lr: 0.5)], ["c", momentum(lr: 0.1)], ["*", sgd(lr: 0.1)]]
  steps      = 2
}
)");
  const TensorMap end = trained(dir, model, {});
  CHECK(end.at("a").at(0) == doctest::Approx(0.81));
  CHECK(end.at("b").at(0) == doctest::Approx(0.25));
  CHECK(end.at("c").at(0) == doctest::Approx(0.9 - 0.1 * (0.9 * 1 + 0.9)));  // v = 1, then 1.8
  CHECK(end.contains("momentum.c.v"));
  CHECK(!end.contains("momentum.a.v"));
}
