// Training in 16 bits beside training in f32.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <regex>

#include "runtime/checkpoint.h"
#include "tests/e2e/process.h"
#include "tests/e2e/train_log.h"

using json = nlohmann::json;

namespace {}  // namespace

TEST_CASE("in bf16 and f16 the classifiers learn as well as in f32") {
  // With a rate at which an epoch's accuracy does not depend on the last steps' luck.
  const std::vector<std::pair<std::string, std::string>> models{{"softmax_regression.dl", "0.1"},
                                                                {"mlp.dl", "0.1"}};
  for (const auto& [model, rate] : models) {
    CAPTURE(model);
    const auto result = [&](const char* precision) {
      return train({example(model), "--epochs", "2", "--precision", precision, "--set",
                    "optimizer=sgd(lr: " + rate + ")"});
    };
    const json f32 = result("f32");
    for (const char* precision : {"bf16", "f16"}) {
      CAPTURE(precision);
      const json got = result(precision);
      CHECK(got["train"]["loss"] != f32["train"]["loss"]);  // it was computed otherwise
      for (const char* rows : {"train", "test"})
        CHECK(std::abs(got[rows]["accuracy"].get<double>() - f32[rows]["accuracy"].get<double>()) <=
              0.005);
    }
  }
}

TEST_CASE("the compiled step in 16 bits is the interpreter's") {
  for (const char* model : {"softmax_regression.dl", "mlp.dl", "linear_regression.dl"})
    for (const char* precision : {"bf16", "f16"}) {
      const Finished f = dlc_command(
          {"check", example(model), "--against", "interpreter", "--precision", precision});
      CHECK_MESSAGE(f.exit_code == 0, model, " ", precision, "\n", f.out, f.err);
    }
}

TEST_CASE("which products are in 16 bits is seen in the dump, and only of the training step") {
  const auto dump = [](const char* of, const char* precision) {
    const Finished f = dlc_command({"dump", example("mlp.dl"), "--stage", "optimized", "--of", of,
                                    "--set", std::string("precision=") + precision});
    REQUIRE_MESSAGE(f.exit_code == 0, f.err);
    return f.out;
  };
  const std::string step = dump("train_step", "bf16");
  CHECK(contains(step, "%dense_1.w.bf16: bf16[784, 256] = convert %dense_1.w"));
  CHECK(contains(step, "output update \"dense_1.w\""));
  CHECK(contains(dump("train_step", "f16"), "%dense_1.w.f16: f16[784, 256]"));
  CHECK(!contains(dump("train_step", "f32"), "f16"));
  for (const char* of : {"evaluate", "predict", "init"}) CHECK(!contains(dump(of, "bf16"), "f16"));
}

TEST_CASE("a loss scale keeps small f16 gradients, whatever its size") {
  // The gradients are of the order of 1e-8: below the least f16.
  const char* text = R"(
    data points { x: f32[64, 32] = normal(); y: f32[64, 16] = normal() }
    model tiny {
      input x: f32[N, 32]
      target y: f32[N, 16]
      param w: f32[32, 16] = zeros()
      loss = 1e-7 * mean((x @ w - y) ^ 2)
    }
    train tiny on points { optimizer = sgd(lr: 1e7); batch = 64; steps = 5; shuffle = false })";
  TempDir dir;
  const std::string model = dir.write("tiny.dl", text);
  const auto learned = [&](const std::vector<std::string>& more) {
    std::vector<std::string> args{model, "--save", dir.path("w.safetensors")};
    args.insert(args.end(), more.begin(), more.end());
    train(args);
    return std::move(dlc::load_safetensors(dir.path("w.safetensors")).at("w"));
  };
  const auto distance = [](const dlc::Tensor& a, const dlc::Tensor& b) {
    double difference = 0, norm = 0;
    for (std::int64_t k = 0; k < a.size(); ++k) {
      difference += (a.at(k) - b.at(k)) * (a.at(k) - b.at(k));
      norm += b.at(k) * b.at(k);
    }
    return std::sqrt(difference / norm);
  };
  const dlc::Tensor exact = learned({});
  CHECK(distance(learned({"--precision", "f16", "--set", "loss_scale=1"}), exact) > 0.2);
  CHECK(distance(learned({"--precision", "f16", "--set", "loss_scale=1048576"}), exact) < 0.005);
  CHECK(distance(learned({"--precision", "bf16"}), exact) < 0.01);
  CHECK(distance(learned({"--set", "loss_scale=1048576"}), exact) < 1e-6);
}

TEST_CASE("16-bit parameters: trained, saved as such, loaded again") {
  const char* text = R"(
    data points {
      x: f32[400, 2] = normal()
      y = x @ [2.0, -3.0] + 4.0
    }
    model line {
      input  x: bf16[N, 2]
      target y: f32[N]
      param  w: bf16[2] = zeros()
      param  b: f16[]   = zeros()
      output price = x @ w + b
      output rounded = bf16(price)
      loss = mean((price - y) ^ 2) / 2
    }
    train line on points { optimizer = adam(lr: 0.1); batch = 10; epochs = 5 })";
  TempDir dir;
  const std::string model = dir.write("line.dl", text), file = dir.path("p.safetensors");
  train({model, "--save", file});
  const std::string bytes = read_all(file);
  CHECK(contains(bytes, R"("w":{"dtype":"BF16","shape":[2])"));
  CHECK(contains(bytes, R"("b":{"dtype":"F16","shape":[])"));
  const dlc::TensorMap p = dlc::load_safetensors(file);
  CHECK(p.at("w").at(0) == doctest::Approx(2).epsilon(0.02));
  CHECK(p.at("w").at(1) == doctest::Approx(-3).epsilon(0.02));
  CHECK(p.at("b").at(0) == doctest::Approx(4).epsilon(0.02));
  const Finished eval = dlc_command({"eval", model, "--load", file, "--json"});
  REQUIRE_MESSAGE(eval.exit_code == 0, eval.err);
  CHECK(json::parse(eval.out)["loss"] <= 1e-2);
  const Finished predict =
      dlc_command({"predict", model, "--load", file, "--output", "price=" + dir.path("p.npy")});
  CHECK_MESSAGE(predict.exit_code == 0, predict.err);
  const Finished shown = dlc_command({"predict", model, "--load", file, "--rows", "2"});
  const std::string number = "-?[0-9]+\\.[0-9]+";
  CHECK_MESSAGE(std::regex_search(shown.out, std::regex("rounded: bf16\\[2\\] = \\[" + number +
                                                        ", " + number + "\\]")),
                shown.out);
  const Finished check = dlc_command({"check", model, "--against", "interpreter"});
  CHECK_MESSAGE(check.exit_code == 0, check.out, check.err);
}

TEST_CASE("the same bits for any number of threads") {
  TempDir dir;
  std::vector<std::string> files;
  for (const char* threads : {"1", "3"}) {
    const std::string file = dir.path(std::string("p") + threads + ".safetensors");
    train({example("mlp.dl"), "--steps", "40", "--precision", "bf16", "--threads", threads,
           "--save", file});
    files.push_back(read_all(file));
  }
  CHECK(files[0].size() > 100);
  CHECK(files[0] == files[1]);
}

TEST_CASE("one setting, given twice with two values") {
  const Finished f =
      dlc_command({"check", example("mlp.dl"), "--precision", "f64", "--set", "precision=bf16"});
  CHECK(f.exit_code == 1);
  CHECK(contains(f.err, "--precision f64 and --set precision=bf16 are the same setting"));
  const Finished same =
      dlc_command({"check", example("mlp.dl"), "--precision", "bf16", "--set", "precision=bf16"});
  CHECK(same.exit_code == 0);
  const Finished unknown = dlc_command({"check", example("mlp.dl"), "--precision", "f8"});
  CHECK(unknown.exit_code != 0);
  CHECK(contains(unknown.err + unknown.out, "bf16"));
  const Finished gradients =
      dlc_command({"gradcheck", example("softmax_regression.dl"), "--set", "precision=bf16"});
  CHECK_MESSAGE(gradients.exit_code == 0, gradients.out, gradients.err);
}
