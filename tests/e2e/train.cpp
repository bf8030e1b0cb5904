// What `dlc train` prints, logs and saves.
#include <doctest/doctest.h>
#include <sys/wait.h>

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>

#include "runtime/checkpoint.h"
#include "runtime/data/readers.h"
#include "tests/e2e/process.h"

using json = nlohmann::json;

namespace {

const char* kBowl = R"(
model bowl {
  param x: f32[2] = [-5.0, -2.0]
  loss = 0.1 * x[0] ^ 2 + 2 * x[1] ^ 2
}
train bowl { optimizer = sgd(lr: 0.1); steps = 20; watch x }
)";

const char* kLine = R"(
data points {
  w = [2.0, -3.4]
  b = 4.2
  x: f32[400, 2] = normal()
  y = x @ w + b
}
model line {
  input  x: f32[N, 2]
  target y: f32[N]
  param  w: f32[2] = zeros()
  param  b: f32[]  = zeros()
  loss = mean((x @ w + b - y) ^ 2) / 2
}
train line on points { optimizer = sgd(lr: 0.1); batch = 10; epochs = 5 }
)";

}  // namespace

TEST_CASE("the log holds one object an epoch") {
  TempDir dir;
  const std::string log = dir.write("run.jsonl", "something old\n");
  const Finished f = dlc_command(
      {"train", example("softmax_regression.dl"), "--epochs", "1", "--steps", "300", "--log", log});
  REQUIRE_MESSAGE(f.exit_code == 0, f.err);
  const std::string number = "-?[0-9.]+(e[-+]?[0-9]+)?";
  const std::string metrics = "\\{\"loss\": " + number + ", \"accuracy\": " + number + "\\}";
  CHECK(std::regex_match(
      read_all(log), std::regex("\\{\"epoch\": 1, \"step\": 235, \"train\": " + metrics +
                                ", \"test\": " + metrics + ", \"seconds\": " + number + "\\}\n")));
}

TEST_CASE("a model without data shows its steps and logs what it watches") {
  TempDir dir;
  const Finished f =
      dlc_command({"train", dir.write("bowl.dl", kBowl), "--log", dir.path("run.jsonl")});
  REQUIRE_MESSAGE(f.exit_code == 0, f.err);
  CHECK(contains(f.out, "training bowl: 2 parameters"));
  CHECK(contains(f.out, "step 1  loss 10.5  x ["));
  CHECK(contains(f.out, "step 20  loss "));
  std::istringstream log(read_all(dir.path("run.jsonl")));
  std::vector<json> lines;
  for (std::string line; std::getline(log, line);) lines.push_back(json::parse(line));
  REQUIRE(lines.size() == 21);
  // A line a step, then one for all of them.
  CHECK(lines[0]["watch"]["x"] == json::parse("[-5.0, -2.0]"));
  for (std::size_t k = 0; k < 20; ++k) CHECK(lines[k]["step"] == k + 1);
  CHECK(lines[20]["epoch"] == 1);
  CHECK(lines[20]["watch"]["x"].size() == 2);
  CHECK(!lines[20].contains("test"));
}

TEST_CASE("what a model watches goes into files, all its steps") {
  TempDir dir;
  const std::string model = dir.write("bowl.dl", kBowl);
  const std::string file = dir.path("x.npy");
  const Finished f = dlc_command({"train", model, "--watch", "x=" + file});
  REQUIRE_MESSAGE(f.exit_code == 0, f.err);
  CHECK(contains(f.out, "step 20  loss "));
  const dlc::Tensor x = dlc::read_file("npy", file, {});
  CHECK(x.type_str() == "f32[20, 2]");
  // From (-5, -2) by x <- x - 0.1 * (0.2 x1, 4 x2).
  for (int step = 0; step < 20; ++step) {
    CHECK(x.at(2 * step) == doctest::Approx(-5 * std::pow(0.98, step)));
    CHECK(x.at(2 * step + 1) == doctest::Approx(-2 * std::pow(0.6, step)));
  }
  const Finished unknown = dlc_command({"train", model, "--watch", "y=" + file});
  CHECK(unknown.exit_code != 0);
  CHECK(contains(unknown.err, "--watch y: the model does not watch it; it watches x"));
  const Finished nowhere = dlc_command({"train", model, "--watch", "x=" + dir.path("none/x.npy")});
  CHECK(nowhere.exit_code != 0);
  CHECK(contains(nowhere.err, "none"));
}

TEST_CASE(
    "a value that has the batch's rows is refused as a file where the last batch is smaller") {
  TempDir dir;
  const std::string model = dir.write("line.dl", R"(
data points { x: f32[25, 2] = normal(); y: f32[25, 1] = normal() }
model line {
  input x: f32[N, 2]
  target y: f32[N, 1]
  h = x |> dense(1)
  watch h
  loss = mse(h, y)
}
train line on points { optimizer = sgd(lr: 0.1); batch = 10 }
)");
  const std::string file = dir.path("h.npy");
  const Finished f = dlc_command({"train", model, "--watch", "h=" + file});
  CHECK(f.exit_code != 0);
  CHECK(contains(f.err, "in the last batch, of 5 rows; choose a batch that divides the 25 rows"));
  const Finished even = dlc_command({"train", model, "--watch", "h=" + file, "--batch", "5"});
  REQUIRE_MESSAGE(even.exit_code == 0, even.err);
  CHECK(dlc::read_file("npy", file, {}).type_str() == "f32[5, 5, 1]");
}

TEST_CASE("learned values are shown beside those the data were made with") {
  TempDir dir;
  const Finished f = dlc_command({"train", dir.write("line.dl", kLine)});
  REQUIRE_MESSAGE(f.exit_code == 0, f.err);
  CHECK(contains(f.out, "true"));
  CHECK(contains(f.out, "[2, -3.4]\n"));
  CHECK(contains(f.out, " 4.2\n"));
}

TEST_CASE("files that cannot be written are refused before training") {
  TempDir dir;
  const std::string model = dir.write("bowl.dl", kBowl);
  for (const char* option : {"--save", "--log"}) {
    const Finished f = dlc_command({"train", model, option, dir.path("no/such/file")});
    CHECK(f.exit_code == 1);
    CHECK(contains(f.err, "no/such/file: cannot be written"));
    CHECK(!contains(f.out, "step 1"));
  }
}

TEST_CASE("columns that are missing and losses that explode are named") {
  TempDir dir;
  std::string text = kLine;
  text.replace(text.find("  y = x"), 3, "  z");
  Finished f = dlc_command({"train", dir.write("line.dl", text)});
  CHECK(f.exit_code == 1);
  CHECK(contains(f.err, "`y`"));
  text = kBowl;
  text.replace(text.find("lr: 0.1"), 7, "lr: 1e9");
  f = dlc_command({"train", dir.write("bowl.dl", text)});
  CHECK(f.exit_code == 1);
  CHECK(contains(f.err, "epoch 1, step"));
}

TEST_CASE("fine-tuning: a part is loaded and frozen, a new head is trained") {
  TempDir dir;
  const auto model = [](const std::string& classes, const std::string& settings) {
    return R"(
data points { x: f32[64, 4] = normal(); label = u8(x[:, 0] > 0) }
model net {
  input  x: f32[N, 4]
  target label: u8[N]
  loss = cross_entropy(x |> dense(8) |> batch_norm |> relu |> dense()" +
           classes + R"(), label)
}
train net on points { optimizer = momentum(lr: 0.1); batch = 16; epochs = 2; )" +
           settings + " }";
  };
  const std::string body = dir.path("body.safetensors"), tuned = dir.path("tuned.safetensors");
  const std::string two = dir.write("two.dl", model("2", "")),
                    three = dir.write("three.dl",
                                      model("3", "frozen = [\"dense_1.*\", \"batch_norm_*\"]"));
  REQUIRE(dlc_command({"train", two, "--save", body}).exit_code == 0);
  // Another number of classes: the whole file does not fit.
  const Finished whole = dlc_command({"train", three, "--load", body});
  CHECK(whole.exit_code == 1);
  CHECK(contains(whole.err, "`dense_2.w` is f32[8, 3] in the model, f32[8, 2]"));
  const Finished part = dlc_command({"train", three, "--load", body, "--load-only", "dense_1.*",
                                     "--load-only", "batch_norm_*", "--save", tuned});
  REQUIRE_MESSAGE(part.exit_code == 0, part.err);
  const dlc::TensorMap before = dlc::load_safetensors(body), after = dlc::load_safetensors(tuned);
  const auto bytes = [](const dlc::Tensor& t) {
    return std::string(static_cast<const char*>(t.data()), t.bytes());
  };
  for (const char* name : {"dense_1.w", "dense_1.b", "batch_norm_1.gamma", "batch_norm_1.beta"})
    CHECK(bytes(before.at(name)) == bytes(after.at(name)));
  // Statistics are no parameters: they follow the data.
  CHECK(bytes(before.at("batch_norm_1.mean")) != bytes(after.at("batch_norm_1.mean")));
  CHECK(after.contains("momentum.dense_2.w.v"));
  CHECK(!after.contains("momentum.dense_1.w.v"));
}

TEST_CASE("Ctrl-C ends the training after a step and saves" * doctest::skip(kSignalsWait)) {
  TempDir dir;
  const std::string model = dir.write("bowl.dl", kBowl), out = dir.path("out");
  const std::string save = dir.path("p.safetensors");
  const int status = std::system(
      ("timeout --foreground --preserve-status -s INT 2 '" DLC_BINARY "' train '" + model +
       "' --steps 1000000000000 --save '" + save + "' >'" + out + "' 2>&1 </dev/null")
          .c_str());
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(contains(read_all(out), "stopped by Ctrl-C after step "));
  CHECK(dlc::load_safetensors(save).size() == 1);
}
