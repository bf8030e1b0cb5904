// The verbs as a user types them.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "runtime/checkpoint.h"
#include "runtime/data/readers.h"
#include "tests/e2e/process.h"

using json = nlohmann::json;

namespace {

/// Comments are for the reader; what reads a graph drops them.
std::string without_comments(const std::string& graph) {
  std::istringstream lines(graph);
  std::string line, out;
  while (std::getline(lines, line))
    if (!line.starts_with("  # ")) out += line + "\n";
  return out;
}

const char* kModels[] = {"linear_regression.dl",
                         "linear_regression_scratch.dl",
                         "softmax_regression.dl",
                         "softmax_regression_scratch.dl",
                         "mlp.dl",
                         "mlp_scratch.dl",
                         "perceptron.dl",
                         "logistic_regression.dl"};

}  // namespace

TEST_CASE("check prints the model and compiled code agrees with the interpreter") {
  for (const char* model : kModels) {
    const Finished f = dlc_command({"check", example(model), "--against=interpreter"});
    CHECK_MESSAGE(f.exit_code == 0, model, "\n", f.out, f.err);
    CHECK(contains(f.out, "agrees with the interpreter"));
  }
  const Finished mlp = dlc_command({"check", example("mlp.dl")});
  CHECK(contains(mlp.out, "dense_1"));
  CHECK(contains(mlp.out, "203,530"));  // 784 * 256 + 256 + 256 * 10 + 10
}

TEST_CASE("gradcheck") {
  for (const char* model : kModels) {
    const Finished f = dlc_command({"gradcheck", example(model), "--samples", "6"});
    CHECK_MESSAGE(f.exit_code == 0, model, "\n", f.out, f.err);
  }
}

TEST_CASE("gradcheck of a loss that holds a gradient itself") {
  TempDir dir;
  const Finished f = dlc_command({"gradcheck", dir.write("m.dl",
                                                         "model m {\n"
                                                         "  param x: f32[3] = [0.5, -1.0, 2.0]\n"
                                                         "  loss = sum(grad(sum(x ^ 3), x) ^ 2)\n"
                                                         "}\n")});
  CHECK_MESSAGE(f.exit_code == 0, f.out, f.err);
}

TEST_CASE("every stage of a dump, and a dumped graph parses back") {
  TempDir dir;
  for (const char* stage : {"ast", "graph", "backward", "optimized", "kernels", "llvm", "asm"}) {
    const Finished f = dlc_command({"dump", example("mlp.dl"), "--stage", stage});
    CHECK_MESSAGE(f.exit_code == 0, stage, f.err);
    CHECK(f.out.size() > 200);
    if (std::string(stage) == "graph" || std::string(stage) == "backward" ||
        std::string(stage) == "optimized") {
      const Finished again = dlc_command({"opt", dir.write("g.ir", f.out)});
      CHECK_MESSAGE(again.exit_code == 0, again.err);
      CHECK(again.out == without_comments(f.out));
    }
  }
  const Finished opt = dlc_command({"dump", example("mlp.dl"), "--stage", "backward"});
  const Finished passes = dlc_command({"opt", dir.write("b.ir", opt.out), "--passes",
                                       "simplify,fold,cse,dce", "--after-each-pass"});
  CHECK(passes.exit_code == 0);
  CHECK(contains(passes.out, "# after cse"));
}

TEST_CASE("dump says why kernels stayed apart") {
  const Finished f = dlc_command({"dump", example("mlp.dl"), "--stage", "kernels", "--why"});
  CHECK(f.exit_code == 0);
  CHECK(contains(f.out, "why kernels stayed apart"));
  CHECK(contains(f.out, "k0_reshape -> k1_contract  @ std/layers.dl:7\n"));
  const Finished early = dlc_command({"dump", example("mlp.dl"), "--why"});
  CHECK(early.exit_code == 1);
  CHECK(early.err == "error: --why: stage graph has no kernels yet; use --stage kernels\n");
}

TEST_CASE("profile names kernels, their lines and what they do") {
  const Finished text = dlc_command({"profile", example("mlp.dl"), "--seconds", "0.05"});
  REQUIRE_MESSAGE(text.exit_code == 0, text.err);
  CHECK(contains(text.out, "kernel"));
  CHECK(contains(text.out, "std/layers.dl:7, std/activations.dl:4"));
  CHECK(contains(text.out, "of the peak of"));
  const Finished f =
      dlc_command({"profile", example("mlp.dl"), "--seconds", "0.05", "--json", "--threads", "2"});
  const json p = json::parse(f.out);
  CHECK(p["batch"] == 256);
  CHECK(p["threads"] == 2);
  double share = 0, most = 0;
  for (const json& k : p["kernels"]) {
    share += k["share"].get<double>();
    most = std::max(most, k["flops"].get<double>());
  }
  CHECK(share == doctest::Approx(1));
  CHECK(most == 784.0 * 256 * (2 * 256 + 2));  // a weight gradient and its update
  CHECK(p["share_at_peak"] <= 1.0);
  CHECK(dlc_command({"profile", example("mlp.dl"), "--of", "evaluate", "--seconds", "0.05"})
            .exit_code == 0);
  const Finished wrong = dlc_command({"profile", example("mlp.dl"), "--of", "data"});
  CHECK(wrong.exit_code != 0);
  CHECK(contains(wrong.err, "--of"));
}

TEST_CASE("autotune names each product, its candidates and the winner") {
  const Finished f = dlc_command({"train", example("linear_regression.dl"), "--autotune"});
  CHECK(f.exit_code == 0);
  setenv("DLC_MATRICES", "0", 1);  // their products have nothing to choose
  const Finished mlp = dlc_command(
      {"profile", example("mlp.dl"), "--autotune", "--seconds", "0.05", "--set", "hidden=32"});
  unsetenv("DLC_MATRICES");
  CHECK_MESSAGE(mlp.exit_code == 0, mlp.err);
  CHECK(contains(mlp.err,
                 "autotune: k1_contract Nx32x784 (std/layers.dl:7, std/activations.dl:4): "));
  const Finished both = dlc_command({"train", example("mlp.dl"), "--autotune", "--no-cache"});
  CHECK(both.exit_code == 1);
  CHECK(contains(both.err, "--autotune keeps what it finds in the cache"));
}

TEST_CASE("dump formats") {
  const Finished svg = dlc_command({"dump", example("mlp.dl"), "--format", "svg"});
  CHECK(contains(svg.out, "<svg"));
  const Finished dot = dlc_command({"dump", example("mlp.dl"), "--format", "dot"});
  CHECK(contains(dot.out, "digraph"));
  const Finished text =
      dlc_command({"dump", example("mlp.dl"), "--format", "json", "--of", "predict"});
  const json g = json::parse(text.out);
  CHECK(g["name"] == "predict");
  CHECK(g["nodes"].size() > 5);
  CHECK(dlc_command({"dump", example("mlp.dl"), "--stage", "asm", "--format", "svg"}).exit_code ==
        1);
}

TEST_CASE("run executes a dumped graph on npy inputs") {
  TempDir dir;
  const Finished dump = dlc_command({"dump", example("linear_regression.dl"), "--of", "predict"});
  const std::string graph = dir.write("g.ir", dump.out);
  const auto array = [&](const char* name, std::vector<std::int64_t> shape,
                         std::vector<float> values) {
    dlc::write_npy(dir.path(name), dlc::Tensor::copy_of(DLC_F32, shape, values.data()));
    return dir.path(name);
  };
  const std::vector<std::string> inputs{
      "--input", "x=" + array("x.npy", {3, 2}, {1, 2, 3, 4, 5, 6}),
      "--input", "w=" + array("w.npy", {2, 1}, {10, 1}),
      "--input", "b=" + array("b.npy", {1}, {0.5f})};
  for (const bool interpret : {false, true}) {
    std::vector<std::string> args{"run", graph, "--output", "price=" + dir.path("out.npy")};
    args.insert(args.end(), inputs.begin(), inputs.end());
    if (interpret) args.push_back("--interpret");
    const Finished f = dlc_command(args);
    REQUIRE_MESSAGE(f.exit_code == 0, f.err);
    const dlc::Tensor out = dlc::read_file("npy", dir.path("out.npy"), {});
    CHECK(out.shape() == std::vector<std::int64_t>{3, 1});
    CHECK(out.at(0) == 12.5);
    CHECK(out.at(2) == 56.5);
  }
  const Finished missing = dlc_command({"run", graph});
  CHECK(missing.exit_code == 1);
  CHECK(contains(missing.err, "input `"));
}

TEST_CASE("save, load, eval and predict") {
  TempDir dir;
  const std::string file = dir.path("p.safetensors");
  REQUIRE(dlc_command({"train", example("softmax_regression.dl"), "--epochs", "1", "--save", file})
              .exit_code == 0);
  const Finished eval =
      dlc_command({"eval", example("softmax_regression.dl"), "--load", file, "--json"});
  REQUIRE_MESSAGE(eval.exit_code == 0, eval.err);
  CHECK(json::parse(eval.out)["rows"] == 10000);
  CHECK(json::parse(eval.out)["accuracy"] > 0.7);
  const Finished predict =
      dlc_command({"predict", example("softmax_regression.dl"), "--load", file, "--rows", "7"});
  REQUIRE_MESSAGE(predict.exit_code == 0, predict.err);
  CHECK(contains(predict.out, "class: i32[7]"));
  const Finished wrong = dlc_command({"eval", example("mlp.dl"), "--load", file});
  CHECK(wrong.exit_code == 1);
  CHECK(contains(wrong.err, "dense_2.w"));
}

TEST_CASE("steps, settings and seeds") {
  TempDir dir;
  const auto parameters = [&](const std::vector<std::string>& more) {
    const std::string file = dir.path("q.safetensors");
    std::vector<std::string> args{"train", example("linear_regression.dl"), "--save", file};
    args.insert(args.end(), more.begin(), more.end());
    const Finished f = dlc_command(args);
    REQUIRE_MESSAGE(f.exit_code == 0, f.err);
    return read_all(file);
  };
  const std::string ten = parameters({"--steps", "10", "--no-shuffle"});
  CHECK(ten == parameters({"--steps", "10", "--no-shuffle"}));
  CHECK(ten != parameters({"--steps", "11", "--no-shuffle"}));
  CHECK(ten != parameters({"--steps", "10", "--no-shuffle", "--seed", "9"}));
  CHECK(ten != parameters({"--steps", "10", "--no-shuffle", "--set", "batch=20"}));
  CHECK(parameters({"--steps", "0"}) == parameters({"--steps", "0", "--no-shuffle"}));
}

TEST_CASE(
    "a file that is not there, a wrong option and a wrong model end with a message and a code") {
  const Finished missing = dlc_command({"train", "no_such_file.dl"});
  CHECK(missing.exit_code == 1);
  CHECK(contains(missing.err, "no_such_file.dl"));
  CHECK(dlc_command({"train"}).exit_code == 2);
  CHECK(dlc_command({"frobnicate"}).exit_code == 2);
  TempDir dir;
  const Finished bad =
      dlc_command({"check", dir.write("m.dl", "model m {\n  loss = reul(3)\n}\n")});
  CHECK(bad.exit_code == 1);
  CHECK(contains(bad.err, "m.dl:2:10"));
  CHECK(contains(bad.err, "relu"));
  const Finished data = dlc_command(
      {"train",
       dir.write("d.dl",
                 "data d { x = npy(\"nowhere.npy\") }\nmodel m { input x: f32[N, 2]\n param w: "
                 "f32[2] = zeros()\n"
                 " loss = mean(x @ w) }\ntrain m on d { optimizer = sgd(lr: 1); epochs = 1 }\n")});
  CHECK(data.exit_code == 1);
  CHECK(contains(data.err, "nowhere.npy"));
}

TEST_CASE("bench prints one object") {
  const Finished f = dlc_command(
      {"bench", example("linear_regression.dl"), "--seconds", "0.05", "--threads", "1", "--json"});
  REQUIRE_MESSAGE(f.exit_code == 0, f.err);
  const json b = json::parse(f.out);
  CHECK(b["model"] == "linear_regression");
  CHECK(b["batch"] == 10);
  CHECK(b["threads"] == 1);
  CHECK(b["step_ms"]["median"] >= b["step_ms"]["min"]);
  CHECK(b["compile_ms"] > 0);
  CHECK(b["peak_rss_mib"] > 1);
}

TEST_CASE("std lists the library and shows an entry") {
  const Finished list = dlc_command({"std"});
  CHECK(contains(list.out, "relu"));
  CHECK(contains(list.out, "adam"));
  const Finished one = dlc_command({"std", "dense"});
  CHECK(contains(one.out, "layer dense("));
  const Finished none = dlc_command({"std", "dence"});
  CHECK(none.exit_code == 1);
  CHECK(contains(none.err, "dense"));
}
