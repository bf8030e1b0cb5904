// Whole training runs of the examples, against the book's results.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "frontend/frontend.h"
#include "runtime/checkpoint.h"
#include "tests/e2e/process.h"
#include "tests/e2e/train_log.h"
#include "tests/support/png_file.h"

using json = nlohmann::json;

namespace {

/// Sorted, of so many seeds.
std::vector<double> accuracies(const std::string& model, const std::vector<std::string>& more,
                               int seeds = 5) {
  std::vector<double> result;
  for (int seed = 1; seed <= seeds; ++seed) {
    std::vector<std::string> args{example(model), "--seed", std::to_string(seed)};
    args.insert(args.end(), more.begin(), more.end());
    result.push_back(train(args)["test"]["accuracy"]);
  }
  std::sort(result.begin(), result.end());
  MESSAGE(model, ": test accuracy from ", result.front(), " to ", result.back(), ", median ",
          result[result.size() / 2]);
  return result;
}

}  // namespace

TEST_CASE("linear regression finds the weights of the simulated houses") {
  for (const char* model : {"linear_regression.dl", "linear_regression_scratch.dl"}) {
    CAPTURE(model);
    TempDir dir;
    const json last = train({example(model), "--save", dir.path("p.safetensors")});
    CHECK(last["epoch"] == 3);
    CHECK(last["step"] == 300);
    const dlc::TensorMap p = dlc::load_safetensors(dir.path("p.safetensors"));
    CHECK(std::abs(p.at("w").at(0) - 2.0) <= 0.005);
    CHECK(std::abs(p.at("w").at(1) + 3.4) <= 0.005);
    CHECK(std::abs(p.at("b").at(0) - 4.2) <= 0.005);
    const Finished eval =
        dlc_command({"eval", example(model), "--load", dir.path("p.safetensors"), "--json"});
    REQUIRE(eval.exit_code == 0);
    CHECK(json::parse(eval.out)["loss"] <= 6e-5);
  }
}

TEST_CASE("every optimizer of the book's chapter fits a table like the one it compares them on") {
  TempDir dir;
  std::mt19937 random(1);
  std::normal_distribution<double> normal;
  constexpr double kNoise = 0.5;
  constexpr double weights[] = {1, -2, 0.5, 0.25, -1};
  double signal = 0;
  for (const double w : weights) signal += w * w;
  std::string table;
  for (int row = 0; row < 1503; ++row) {
    double y = 100 + kNoise * std::sqrt(signal) * normal(random);
    for (int c = 0; c < 5; ++c) {
      const double x = normal(random);
      y += weights[c] * x;
      table += fmt::format("{:.6f}\t", 1000 * c + std::pow(10, c - 2) * x);
    }
    table += fmt::format("{:.6f}\n", y);
  }
  dir.write("airfoil_self_noise.dat", table);
  // Half of the target's variance that is noise, the target's whole variance being 1.
  const double floor = kNoise * kNoise / (1 + kNoise * kNoise) / 2;
  int seen = 0;
  for (const auto& entry : std::filesystem::directory_iterator(example("optimisers"))) {
    if (entry.path().filename() == "airfoil.dl") continue;
    CAPTURE(entry.path().filename().string());
    const double loss =
        train({entry.path().string(), "--data", dir.dir().string()})["train"]["loss"];
    CHECK(loss <= 1.1 * floor);
    CHECK(loss >= 0.9 * floor);
    ++seen;
  }
  CHECK(seen == 8);
}

TEST_CASE(
    "gradient descent on x^2 goes where the book's goes, at a good rate and at too large a one") {
  for (const auto& [rate, end] :
       {std::pair{"0.2", 0.06046618}, {"0.05", 3.4867844}, {"1.1", 61.917364}}) {
    CAPTURE(rate);
    TempDir dir;
    const std::string model = dir.write("bowl.dl", R"(
const lr = 0.2
model bowl {
  param x: f64[] = 10
  loss = x ^ 2
}
train bowl { optimizer = sgd(lr: lr); steps = 10; watch x }
)");
    train({model, "--set", std::string("lr=") + rate, "--save", dir.path("x.safetensors")});
    CHECK(dlc::load_safetensors(dir.path("x.safetensors")).at("x").at(0) ==
          doctest::Approx(end).epsilon(1e-7));
  }
}

TEST_CASE("gradient descent on 0.1 x1^2 + 2 x2^2 goes where the book's goes, with each optimizer") {
  struct Case {
    const char* optimizer;
    double x1, x2;
  };
  // The book's train_2d from (-5, -2), computed apart in Python; epsilon stands outside of the
  // root, as in PyTorch.
  for (const Case& c :
       std::vector<Case>{{"sgd(lr: 0.4)", -0.943466645814, -7.31231688013e-05},
                         {"momentum(lr: 0.6, beta: 0.5)", 0.00718786673729, 0.00255327475471},
                         {"momentum(lr: 0.6, beta: 0.25)", -0.126339630206, -0.186632230115},
                         {"adagrad(lr: 0.4)", -2.38256239446, -0.158590547735},
                         {"adagrad(lr: 2)", -0.00229532945598, -1.73473851506e-218},
                         {"rmsprop(lr: 0.4, gamma: 0.9)", -0.0105979777416, 1.03620887621e-14}}) {
    CAPTURE(c.optimizer);
    TempDir dir;
    const std::string model = dir.write("bowl.dl", fmt::format(R"(
model bowl {{
  param x: f64[2] = [-5, -2]
  loss = 0.1 * x[0] ^ 2 + 2 * x[1] ^ 2
}}
train bowl {{ optimizer = {}; steps = 20; watch x }}
)",
                                                               c.optimizer));
    train({model, "--save", dir.path("x.safetensors")});
    const dlc::TensorMap p = dlc::load_safetensors(dir.path("x.safetensors"));
    CHECK(p.at("x").at(0) == doctest::Approx(c.x1).epsilon(1e-9));
    CHECK(p.at("x").at(1) == doctest::Approx(c.x2).epsilon(1e-9));
  }
}

TEST_CASE("every optimizer of std goes down both bowls as its formula says") {
  struct Case {
    const char* optimizer;
    double x1, x2;  // on 0.1 x1^2 + 2 x2^2, 20 steps from (-5, -2)
    double x;       // on x^2, 10 steps from 10
  };
  // Computed apart in Python from the papers' formulas.
  const std::vector<Case> cases{
      {"sgd(lr: 0.4)", -0.943466645814, -7.31231688013e-05, 1.024e-06},
      {"momentum(lr: 0.3, beta: 0.5)", -0.289993427933, 0.00172326437721, -0.271771994},
      {"nesterov(lr: 0.3, beta: 0.5)", -0.341871619583, -2.72478375217e-06, -0.003229184},
      {"adagrad(lr: 2)", -0.00229532945598, -1.73473851506e-218, 2.4454902719},
      {"rmsprop(lr: 0.4, gamma: 0.9)", -0.0105979777416, 1.03620887621e-14, 4.08909622059},
      {"adadelta(rho: 0.9, eps: 0.01)", -1.02484618805, -0.00888273015194, 6.9738419176},
      {"adam(lr: 0.4)", 0.996032546924, -0.21275065227, 6.07212762583},
      {"adamw(lr: 0.4, weight_decay: 0.1)", 0.916751588308, -0.256355065925, 3.45560500397},
      {"sparse_adam(lr: 0.4)", 0.996032546924, -0.21275065227, 6.07212762583},
      {"lion(lr: 0.3)", 1, 0.4, 7},
      {"lamb(lr: 0.1, weight_decay: 0.01)", -0.732804298519, 0.392311562314, 3.486784401}};
  TempDir dir;
  const auto end_of = [&](const std::string& model, const char* optimizer, const char* steps) {
    train({dir.write("bowl.dl", model), "--set", std::string("optimizer=") + optimizer, "--steps",
           steps, "--save", dir.path("x.safetensors")});
    return std::move(dlc::load_safetensors(dir.path("x.safetensors")).at("x"));
  };
  for (const Case& c : cases) {
    CAPTURE(c.optimizer);
    const dlc::Tensor two = end_of(R"(
model bowl {
  param x: f32[2] = [-5, -2]
  loss = 0.1 * x[0] ^ 2 + 2 * x[1] ^ 2
}
train bowl { optimizer = sgd(lr: 0); precision = f64 }
)",
                                   c.optimizer, "20");
    const dlc::Tensor one = end_of(R"(
model bowl {
  param x: f32[] = 10
  loss = x ^ 2
}
train bowl { optimizer = sgd(lr: 0); precision = f64 }
)",
                                   c.optimizer, "10");
    CHECK(two.at(0) == doctest::Approx(c.x1).epsilon(1e-9));
    CHECK(two.at(1) == doctest::Approx(c.x2).epsilon(1e-9));
    CHECK(one.at(0) == doctest::Approx(c.x).epsilon(1e-9));
  }
  std::size_t optimizers = 0;
  for (const dlc::StdEntry& entry : dlc::standard_library())
    optimizers += entry.kind == "optimizer";
  CHECK(optimizers == cases.size());
}

TEST_CASE("the error of one hidden layer falls with its width") {
  double before = 1;
  for (const char* width : {"2", "16", "64", "256"}) {
    CAPTURE(width);
    const json last =
        train({example("universal_approximation.dl"), "--set", std::string("width=") + width});
    const double error = last["train"]["loss"];
    CHECK(error < before / 2);
    CHECK(last["train"]["worst"] >= std::sqrt(error));
    before = error;
  }
  CHECK(before < 1e-5);
}

TEST_CASE("polynomials of too few terms underfit, of too many overfit; weight decay is the cure") {
  const auto fit = [](const std::string& terms, const std::string& strength) {
    return train(
        {example("overfitting.dl"), "--set", "terms=" + terms, "--set", "strength=" + strength});
  };
  const auto cost = [](const json& line, const char* rows) -> double { return line[rows]["cost"]; };
  const json few = fit("2", "0"), right = fit("4", "0"), many = fit("20", "0"),
             cured = fit("20", "0.0001");
  CHECK(cost(few, "train") > 20 * cost(right, "train"));
  CHECK(cost(many, "train") < cost(right, "train") / 2);
  CHECK(cost(many, "test") > 5 * cost(right, "test"));
  CHECK(cost(cured, "test") < cost(many, "test") / 4);
  // The structural risk is what was made small; without a regulariser it is the cost.
  CHECK(many["train"]["risk"] == many["train"]["cost"]);
  CHECK(cured["train"]["risk"] > cured["train"]["cost"]);
  CHECK(cured["train"]["risk"] == cured["train"]["loss"]);
}

TEST_CASE("softmax regression reaches the book's accuracy") {
  const std::vector<double> a = accuracies("softmax_regression.dl", {});
  CHECK(a[2] >= 0.815);
  CHECK(a[0] >= 0.79);
}

TEST_CASE("LeNet reaches the book's accuracy") {
  const std::vector<double> a = accuracies("lenet.dl", {}, 3);
  CHECK(a[1] >= 0.75);
  CHECK(a[0] >= 0.73);
}

TEST_CASE("a folder of pictures for each class is learned") {
  TempDir dir;
  for (int k = 0; k < 24; ++k) {
    const bool bright = k % 2 == 0;
    const std::filesystem::path folder = dir.dir() / (bright ? "day" : "night");
    std::filesystem::create_directories(folder);
    std::vector<std::uint8_t> pixels(static_cast<std::size_t>((4 + k) * 6 * 3));
    for (std::size_t p = 0; p < pixels.size(); ++p)
      pixels[p] = static_cast<std::uint8_t>((bright ? 150 : 20) + (p * 37 + k * 11) % 80);
    std::ofstream(folder / (std::to_string(k) + ".png"), std::ios::binary)
        << png(4 + k, 6, 3, pixels);
  }
  const std::string model = dir.write("sky.dl", R"(
data sky {
  picture = pictures(".", size: 8)
  label = classes(".")
}
model day_or_night {
  input picture: u8[N, 3, 8, 8]
  target label: u8[N]
  logits = picture / 255 - 0.5 |> conv2d(4, kernel: 3) |> relu |> global_avg_pool |> dense(2)
  loss = cross_entropy(logits, label)
  metric accuracy = accuracy(logits, label)
}
train day_or_night on sky {
  optimizer = adam(lr: 0.05)
  batch = 8
  epochs = 20
}
)");
  CHECK(train({model})["train"]["accuracy"] == 1.0);
}

TEST_CASE("weight decay keeps few rows from being learned by heart") {
  const auto test_loss = [](const char* strength) {
    const json last =
        train({example("weight_decay.dl"), "--set", std::string("strength=") + strength});
    return double(last["test"]["loss"]);
  };
  CHECK(test_loss("3") <= 0.2);
  CHECK(test_loss("0") >= 10);
}

TEST_CASE("the multilayer perceptron reaches the book's accuracy") {
  const std::vector<double> a = accuracies("mlp.dl", {});
  CHECK(a[2] >= 0.835);
  CHECK(a[0] >= 0.81);
}

TEST_CASE("from scratch and concise agree") {
  const json scratch = train({example("softmax_regression_scratch.dl"), "--epochs", "2"});
  const json concise = train({example("softmax_regression.dl"), "--epochs", "2"});
  CHECK(std::abs(scratch["test"]["loss"].get<double>() - concise["test"]["loss"].get<double>()) <
        0.05);
  const json mlp = train({example("mlp_scratch.dl"), "--epochs", "2"});
  CHECK(mlp["test"]["accuracy"] > 0.7);
}

TEST_CASE("the perceptron separates separable points") {
  const json last = train({example("perceptron.dl")});
  CHECK(last["train"]["mistakes"] <= 0.01);
}

TEST_CASE("logistic regression beats guessing on noisy labels") {
  const json last = train({example("logistic_regression.dl")});
  CHECK(last["train"]["loss"] < 0.5);
  CHECK(last["train"]["accuracy"] > 0.8);
}

TEST_CASE("the same bits from run to run and for any number of threads") {
  for (const char* model : {"linear_regression.dl", "softmax_regression.dl", "mlp.dl"}) {
    CAPTURE(model);
    TempDir dir;
    std::vector<std::string> files;
    for (const char* threads : {"1", "1", "2", "3"}) {
      const std::string file = dir.path("p" + std::to_string(files.size()) + ".safetensors");
      const Finished f = dlc_command(
          {"train", example(model), "--steps", "60", "--threads", threads, "--save", file});
      REQUIRE_MESSAGE(f.exit_code == 0, f.err);
      files.push_back(read_all(file));
    }
    CHECK(files[0].size() > 100);
    CHECK(files[0] == files[1]);
    CHECK(files[0] == files[2]);
    CHECK(files[0] == files[3]);
  }
}
