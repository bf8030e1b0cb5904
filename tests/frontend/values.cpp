// What expressions of the language mean: each is compiled as the output of a model and evaluated by
// the reference interpreter; the expected values are worked out by hand (or by NumPy's rules).
#include <doctest/doctest.h>

#include <cmath>

#include "codegen/reference/interpreter.h"
#include "frontend/frontend.h"
#include "passes/pass_manager.h"

using namespace dlc;

namespace {

Module compiled(const std::string& text, const FrontendOptions& options = {}) {
  Sources sources;
  Diagnostics diagnostics;
  const int source = sources.add("test.dl", text);
  Module m = compile_source(sources, source, options, diagnostics);
  REQUIRE_MESSAGE(diagnostics.empty(), diagnostics.render(sources, false));
  return m;
}

Literal output_of(const Graph& g, const std::map<std::string, Literal>& inputs = {}) {
  const Graph expanded = run_passes(g, {"differentiate", "dce"}, {});
  return interpret(expanded, inputs, Precision::Declared)
      .values.at(expanded.outputs.at(0).value.id);
}

/// The definitions that the expressions below use.
const char* kPrelude = R"(
  const n = 3
  const words = ["a", "bc"]
  fn fact(k) = if k <= 1 { 1 } else { k * fact(k - 1) }
  fn affine(x, a = 2, b = 1) = a * x + b
)";

struct Case {
  const char* expression;
  const char* type;
  std::vector<double> values;
};

const Case kCases[] = {
    // Means of windows: what counts is the padding's affair, and beyond it nothing does.
    {"avg_pool(reshape(f32(iota(4)), [1, 1, 2, 2]), 3, stride: 1, pad: 1, count_pad: false)",
     "f32[1, 1, 2, 2]",
     {1.5, 1.5, 1.5, 1.5}},
    {"avg_pool(reshape(f32(iota(10)) + 1, [1, 1, 10]), 2, stride: 4, pad: 1, count_pad: false)",
     "f32[1, 1, 3]",
     {1, 4.5, 8.5}},
    {"avg_pool(reshape(f32(iota(10)) + 1, [1, 1, 10]), 2, stride: 4, pad: 1)",
     "f32[1, 1, 3]",
     {0.5, 4.5, 8.5}},
    {"avg_pool(reshape(f32(iota(5)) + 1, [1, 1, 5]), 3, stride: 3, pad: 1, ceil: true)",
     "f32[1, 1, 2]",
     {1, 4}},
    {"avg_pool(reshape(f32(iota(4)) + 1, [1, 1, 4]), 3, stride: 2, pad: 1, ceil: true)",
     "f32[1, 1, 3]",
     {1, 3, 2}},
    // Static arithmetic; a number becomes a tensor at the end.
    {"7 // 2 + 7 % 4", "i32[]", {6}},
    {"-7 // 2", "i32[]", {-4}},
    {"-7 % 3", "i32[]", {2}},
    {"7 / 2", "f32[]", {3.5}},
    {"2 ^ 3 ^ 2", "i32[]", {512}},
    {"-2 ^ 2", "i32[]", {-4}},
    {"2 ^ -1", "f32[]", {0.5}},
    {"1 + 2 * 3 - 4", "i32[]", {3}},
    {"fact(5)", "i32[]", {120}},
    {"len(words) + len([1, 2, 3][1:])", "i32[]", {4}},
    {"if words[1] == \"b\" + \"c\" and not (n > 3) { 1 } else { 0 }", "i32[]", {1}},
    {"sum([1, 2, 3]) + prod([2, 5]) + max(3, 4) + min([5, 4])", "i32[]", {24}},
    {"sqrt(16) + abs(-2.5) + floor(1.5)", "f32[]", {7.5}},
    {"5000000000 + 1", "i64[]", {5000000001}},
    // Element types and promotion.
    {"bf16(0.1)", "bf16[]", {0.10009765625}},
    {"f16([0.1, 65519.0])", "f16[2]", {0.0999755859375, 65504}},
    {"bf16([1, 2]) + 0.25", "bf16[2]", {1.25, 2.25}},
    {"bf16([256.0]) + 1", "bf16[1]", {256}},
    {"bf16([256.0]) + f32([1])", "f32[1]", {257}},
    {"bf16([256.0]) + f16([1.0])", "f32[1]", {257}},
    {"f16([2048.0]) * i32([3])", "f16[1]", {6144}},
    {"bf16([256.0, 1]) @ bf16([1.0, 1])", "f32[]", {257}},
    {"exp(bf16([1.0]))", "bf16[1]", {2.71875}},
    {"f32(bf16([1.0, 2.0])) == f64(f16([1.0, 3.0]))", "bool[2]", {1, 0}},
    {"f32([1, 2]) + 1", "f32[2]", {2, 3}},
    {"u8([250, 5]) + 10", "u8[2]", {4, 15}},
    {"u8([250, 5]) + 0.5", "f32[2]", {250.5, 5.5}},
    {"u8([200]) + 300", "i32[1]", {500}},
    {"i32([7, -7]) / 2", "f32[2]", {3.5, -3.5}},
    {"i32([7, -7]) // 2", "i32[2]", {3, -4}},
    {"i32([7, -7]) % 4", "i32[2]", {3, 1}},
    {"f64([0.1]) + f32([1])", "f64[1]", {1.1}},
    {"i64([3]) * i32([4])", "i64[1]", {12}},
    {"f32([1, 0] == [1, 1])", "f32[]", {0}},
    {"f32(f32([1, 0]) == [1, 1])", "f32[2]", {1, 0}},
    {"i32([1.9, -1.9])", "i32[2]", {1, -1}},
    {"u8([-3.0, 300.0])", "u8[2]", {0, 255}},
    {"bool([0.0, 2.0])", "bool[2]", {0, 1}},
    {"f32([1, 2]) > 1 or f32([1, 2]) == 1", "bool[2]", {1, 1}},
    // Shapes.
    {"f32([[1, 2], [3, 4]]) + [10, 20]", "f32[2, 2]", {11, 22, 13, 24}},
    {"f32([[1], [2]]) * f32([[1, 2, 3]])", "f32[2, 3]", {1, 2, 3, 2, 4, 6}},
    {"f32([[1, 2], [3, 4]]) @ [[1], [10]]", "f32[2, 1]", {21, 43}},
    {"f32([1, 2]) @ [3, 4]", "f32[]", {11}},
    {"f32([[1, 2], [3, 4]]) @ f32([1, 1])", "f32[2]", {3, 7}},
    {"f32([1, 1]) @ [[1, 2], [3, 4]]", "f32[2]", {4, 6}},
    {"[[[1.0, 2.0]], [[3.0, 4.0]]] @ [[[1.0], [1.0]], [[1.0], [2.0]]]", "f32[2, 1, 1]", {3, 11}},
    {"transpose(f32([[1, 2, 3], [4, 5, 6]]))", "f32[3, 2]", {1, 4, 2, 5, 3, 6}},
    {"reshape(iota(6), [2, -1])", "i32[2, 3]", {0, 1, 2, 3, 4, 5}},
    {"concat([iota(2), iota(3)], axis: 0)", "i32[5]", {0, 1, 0, 1, 2}},
    {"pad(f32([1, 2]), low: [1], high: [2], value: 9)", "f32[5]", {9, 1, 2, 9, 9}},
    {"reverse(iota(3), axis: 0)", "i32[3]", {2, 1, 0}},
    {"broadcast_to(f32([1, 2]), [2, 2])", "f32[2, 2]", {1, 2, 1, 2}},
    {"f32(shape(f32([[1, 2, 3]])))", "f32[2]", {1, 3}},
    {"where(iota(3) > 0, 1, 2.5)", "f32[3]", {2.5, 1, 1}},
    {"gather(f32([10, 20, 30]), [2, 0, 2], axis: 0)", "f32[3]", {30, 10, 30}},
    {"scatter_add([2, 0, 2], f32([1, 2, 3]), size: 4)", "f32[4]", {2, 0, 4, 0}},
    {"scatter_add([1, 1], f32([[1, 2], [3, 4]]), size: 2, axis: 1)", "f32[2, 2]", {0, 3, 0, 7}},
    {"scatter(f32([10, 20, 30]), [2, 0, 2], f32([1, 2, 3]))", "f32[3]", {2, 20, 3}},
    {"scatter(f32([[1, 2], [3, 4]]), [1], f32([[8], [9]]), axis: 1)", "f32[2, 2]", {1, 8, 3, 9}},
    // Indices.
    {"iota(5)[-1]", "i32[]", {4}},
    {"iota(6)[1:-1:2]", "i32[2]", {1, 3}},
    {"reshape(iota(6), [2, 3])[1]", "i32[3]", {3, 4, 5}},
    {"reshape(iota(6), [2, 3])[..., 0]", "i32[2]", {0, 3}},
    {"reshape(iota(6), [2, 3])[:, 1:]", "i32[2, 2]", {1, 2, 4, 5}},
    {"reshape(iota(6), [2, 3])[[1, 0, 1], 2]", "i32[3]", {5, 2, 5}},
    {"reshape(iota(6), [2, 3])[0, [2, 1]]", "i32[2]", {2, 1}},
    // Reductions.
    {"sum(f32([[1, 2], [3, 4]]))", "f32[]", {10}},
    {"sum(f32([[1, 2], [3, 4]]), axis: 0)", "f32[2]", {4, 6}},
    {"sum(f32([[1, 2], [3, 4]]), axis: -1, keepdims: true)", "f32[2, 1]", {3, 7}},
    {"sum(iota(4) > 1)", "i32[]", {2}},
    {"sum(u8([200, 100]))", "i32[]", {300}},
    {"mean(iota(4) > 0)", "f32[]", {0.75}},
    {"mean(f32([[1, 2], [3, 5]]), axis: [0, 1])", "f32[]", {2.75}},
    {"max(f32([[1, 9], [3, 4]]), axis: 1)", "f32[2]", {9, 4}},
    {"max(f32([-1, 2]), 0)", "f32[2]", {0, 2}},
    {"argmax(f32([[1, 9, 9], [7, 4, 0]]), axis: 1)", "i32[2]", {1, 0}},
    {"prod(f32([2, 3, 4]))", "f32[]", {24}},
    // Calls and pipes.
    {"f32([1]) |> affine", "f32[1]", {3}},
    {"f32([1]) |> affine(3, b: 4)", "f32[1]", {7}},
    {"affine(b: 0, x: f32([4]))", "f32[1]", {8}},
    {"2 * 3 |> affine |> affine", "i32[]", {27}},
    {"zeros([2, 2]) + ones([2, 2])", "f32[2, 2]", {1, 1, 1, 1}},
    {"linspace([5], low: -1, high: 1)", "f32[5]", {-1, -0.5, 0, 0.5, 1}},
    {"one_hot(i32([2, 0]), 3)", "f32[2, 3]", {0, 0, 1, 1, 0, 0}},
    // The library.
    // Of nothing, 1 of 3 and 2 of 3: what a mask hides weighs nothing, and nor does what it is all
    // of.
    {"masked_softmax(zeros([3, 3]), reshape(iota(3), [1, 3]) < reshape(iota(3), [3, 1]))",
     "f32[3, 3]",
     {0, 0, 0, 1, 0, 0, 0.5, 0.5, 0}},
    {"softmax(f32([0, 0]))", "f32[2]", {0.5, 0.5}},
    {"relu(f32([-1, 2])) + leaky_relu(f32([-1, 2]), slope: 0.5)", "f32[2]", {-0.5, 4}},
    {"cross_entropy(f32([[0, 0]]), i32([1]))", "f32[]", {0.693147}},
    {"binary_cross_entropy(f32([0, 100]), f32([1, 1]))", "f32[]", {0.346574}},
    {"accuracy(f32([[1, 2], [3, 0]]), u8([1, 1]))", "f32[]", {0.5}},
    {"mse(f32([1, 2]), f32([1, 4]))", "f32[]", {2}},
    // Gradients of any order.
    {"grad(f32([2, 3]) ^ 3, f32([2, 3]))", "f32[2]", {0, 0}},  // another tensor of equal values
};

}  // namespace

TEST_CASE("expressions have the values and types of the language page") {
  for (const Case& c : kCases) {
    CAPTURE(c.expression);
    const Module m =
        compiled(std::string(kPrelude) + "model m { output y = " + c.expression + " }");
    const Literal v = output_of(m.predict);
    CHECK(v.type().str() == c.type);
    REQUIRE(v.size() == static_cast<std::int64_t>(c.values.size()));
    for (std::int64_t k = 0; k < v.size(); ++k)
      CHECK(v.at(k) == doctest::Approx(c.values[static_cast<std::size_t>(k)]).epsilon(1e-6));
  }
}

TEST_CASE("gradients of first, second and third order") {
  const Module m = compiled(R"(model m {
    input x: f32[N]
    y = x ^ 4
    output all = concat([grad(y, x), grad(grad(y, x), x), grad(grad(grad(y, x), x), x)], axis: 0)
  })");
  const Literal x{ElementType::F32, {2}, {1, 2}, {}};
  const Literal v = output_of(m.predict, {{"x", x}});
  const double expected[] = {4, 32, 12, 48, 24, 48};
  for (int k = 0; k < 6; ++k) CHECK(v.at(k) == doctest::Approx(expected[k]));
}

TEST_CASE("gradients under a mask: a row's of its own, and zeros where it hides all") {
  const Module m = compiled(R"(model m {
    input x: f32[3, 3]
    y = masked_softmax(x, reshape(iota(3), [1, 3]) < reshape(iota(3), [3, 1])) * reshape(f32(iota(3)), [1, 3])
    output all = grad(sum(y), x)
  })");
  // d/dx of 0 * p + 1 * (1 - p), where p is the first of two weights: -p (1 - p) and p (1 - p).
  const Literal x{ElementType::F32, {3, 3}, {1, 2, 3, 4, 5, 6, 0, 0, 0}, {}};
  const Literal v = output_of(m.predict, {{"x", x}});
  const double expected[] = {0, 0, 0, 0, 0, 0, -0.25, 0.25, 0};
  for (int k = 0; k < 9; ++k) CHECK(v.at(k) == doctest::Approx(expected[k]));
}

TEST_CASE("a shared layer has one set of parameters, anonymous ones their own") {
  const Module m = compiled(R"(model m {
    input x: f32[N, 4]
    tied = dense(4)
    blocks = [dense(4), dense(4)]
    h = x |> tied |> tied
    for b in blocks { h = h |> b |> b }
    for i in 0..2 { inner = dense(4); h = inner(h) }
    output y = h |> dense(2)
  })");
  std::vector<std::string> paths;
  for (const ParamInfo& p : m.params) paths.push_back(p.path);
  CHECK(fmt::format("{}", fmt::join(paths, " ")) ==
        "tied.w tied.b dense_1.w dense_1.b dense_2.w dense_2.b inner.w inner.b inner_2.w inner_2.b "
        "dense_3.w dense_3.b");
}

TEST_CASE("consts and settings change from outside") {
  const char* text = R"(
    const width = 8
    const name = "tanh"
    model m(depth = 1) {
      input x: f32[N, 4]
      for i in 0..depth { x = if name == "tanh" { x |> dense(width) |> tanh } else { x |> dense(width) } }
      loss = mean(x)
    }
    train m { optimizer = sgd(lr: 0.1); batch = 10 }
  )";
  FrontendOptions options;
  options.sets = {
      {"width", "3 * 4"}, {"depth", "2"}, {"batch", "64"}, {"name", "\"none\""}, {"seed", "7"}};
  const Module m = compiled(text, options);
  CHECK(m.params.size() == 4);
  CHECK(m.params[2].type.str() == "f32[12, 12]");
  CHECK(m.train.batch == 64);
  CHECK(m.train.seed == 7);
  for (const Node& n : m.evaluate.nodes) CHECK(n.op != Op::tanh);
}

TEST_CASE("consts made of replaced ones see the new values, in any order of definition") {
  FrontendOptions options;
  options.sets = {{"a", "30"}, {"b", "5"}};
  const Module m = compiled(
      "const b = c * 2\nconst c = a + 1\nconst a = 1\nmodel m { output y = f32([b, c]) }", options);
  const Literal v = output_of(m.predict);
  CHECK(v.at(0) == 5);
  CHECK(v.at(1) == 31);
}

TEST_CASE("states, training and optimizers reach the step and nothing else") {
  const Module m = compiled(R"(
    layer counter()(x) {
      state calls: i32[] = zeros()
      if training { calls <- calls + 1 }
      x
    }
    model m {
      input x: f32[N, 2]
      loss = mean(x |> counter |> dense(1))
    }
    train m { optimizer = momentum(lr: 0.1 * 0.5 ^ epoch) }
  )");
  std::vector<std::string> updates;
  for (const GraphOutput& o : m.train_step.outputs)
    if (o.kind == OutputKind::Update) updates.push_back(o.name);
  CHECK(updates == std::vector<std::string>{"counter_1.calls", "dense_1.b", "dense_1.w",
                                            "momentum.dense_1.b.v", "momentum.dense_1.w.v"});
  for (const GraphOutput& o : m.evaluate.outputs) CHECK(o.kind != OutputKind::Update);
  CHECK(m.train_step.find_input("epoch") != nullptr);
  CHECK(m.predict.inputs.empty());
}

TEST_CASE("parameters of 16 bits: drawn and updated in f32, then rounded") {
  const Module m = compiled(R"(
    model m {
      input x: bf16[N, 4]
      param w: bf16[4, 3] = normal(std: 0.3)
      param b: f16[3] = [0.1, 0.2, 0.3]
      loss = mean(x @ w + b)
    }
    train m { optimizer = adam() }
  )");
  CHECK(m.train_step.type(m.train_step.find_output("w")->value).str() == "bf16[4, 3]");
  CHECK(m.train_step.type(m.train_step.find_output("adam.w.m")->value).str() == "f32[4, 3]");
  CHECK(m.train_step.type(m.train_step.find_output("adam.b.v")->value).str() == "f32[3]");
  CHECK(m.train_step.type(m.train_step.find_output("loss")->value).str() == "f32[]");
  Literal seed = Literal::scalar(ElementType::I64, 1);
  const Evaluation init = interpret(m.init, {{"seed", seed}}, Precision::Declared);
  const Literal& b = init.values[m.init.find_output("b")->value.id];
  CHECK(b.type().str() == "f16[3]");
  CHECK(b.f[0] == 0.0999755859375);
  const Literal& w = init.values[m.init.find_output("w")->value.id];
  CHECK(w.type().str() == "bf16[4, 3]");
  for (const double v : w.f) CHECK((v != 0 && std::abs(v) < 1.5));
}

TEST_CASE("a 16-bit precision leaves the types as they are; f16 scales the loss") {
  const std::string text = R"(
    model m { param x: f32[3] = ones(); loss = sum(x ^ 2) }
    train m { optimizer = sgd(lr: 0.5); SETTINGS })";
  const auto step = [&](const std::string& settings, double& loss_scale) {
    std::string t = text;
    const Module m = compiled(t.replace(t.find("SETTINGS"), 8, settings));
    loss_scale = m.train.loss_scale;
    const Graph g = run_passes(m.train_step, {"differentiate"}, {});
    for (const Node& n : g.nodes) CHECK(!is_16_bit_float(n.type.element));
    bool scales = false;
    for (const Node& n : g.nodes) scales = scales || n.name == "scaled_loss";
    CHECK(scales == (loss_scale != 1));
    Literal x = Literal::zeros(ElementType::F32, {3});
    x.f = {1, -2, 1e-3};
    const Evaluation e = interpret(g, {{"x", x}}, Precision::Declared);
    CHECK(e.values[g.find_output("loss")->value.id].f[0] == doctest::Approx(5.000001));
    for (const double v : e.values[g.outputs.back().value.id].f)
      CHECK(std::abs(v) <= 1e-10);  // x - 0.5 * 2 x
  };
  double scale = 0;
  step("precision = f32", scale);
  CHECK(scale == 1);
  step("precision = bf16", scale);
  CHECK(scale == 1);
  step("precision = f16", scale);
  CHECK(scale == 1024);
  step("precision = f16; loss_scale = 100.0", scale);
  CHECK(scale == 100);
  step("precision = bf16; loss_scale = 2", scale);
  CHECK(scale == 2);
}

TEST_CASE("precision says what f32 means") {
  FrontendOptions options;
  options.precision = "f64";
  const Module m =
      compiled("model m { input x: f32[N, 2]; output y = x |> dense(3) |> softmax }", options);
  for (const Node& n : m.predict.nodes) CHECK(n.type.element != ElementType::F32);
  CHECK(m.params[0].type.element == ElementType::F64);
  const Module narrow = compiled(
      "model m { input x: bf16[N, 4]; param w: bf16[4, 4] = ones(); output y = x @ w |> dense(3) }",
      options);
  for (const Node& n : narrow.predict.nodes) CHECK(n.type.element != ElementType::F32);
  CHECK(narrow.params[0].type.element == ElementType::BF16);
}
