// Programs that look as if they could break the evaluator: those that must work, and those whose
// mistakes need options, files or sizes that tests/errors cannot hold.
#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "frontend/frontend.h"
#include "ir/graph/text.h"

using namespace dlc;
namespace fs = std::filesystem;

namespace {

struct Compiled {
  Module module;
  std::string errors;
  std::vector<Diag> kinds;
  double seconds = 0;
};

Compiled compiled(const std::string& text, std::map<std::string, std::string> sets = {},
                  const std::string& name = "test.dl") {
  Sources sources;
  Diagnostics diagnostics;
  FrontendOptions options;
  options.sets = std::move(sets);
  options.probe = [](const FileSource&) { return Type{ElementType::F32, {Dim(100), Dim(4)}}; };
  const auto start = std::chrono::steady_clock::now();
  Compiled c;
  c.module = compile_source(sources, sources.add(name, text), options, diagnostics);
  c.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!diagnostics.empty()) c.errors = diagnostics.render(sources, false);
  for (const Diagnostic& d : diagnostics.all()) c.kinds.push_back(d.kind);
  return c;
}

std::vector<std::string> paths(const Module& m) {
  std::vector<std::string> out;
  for (const ParamInfo& p : m.params) out.push_back(p.path);
  return out;
}

using Paths = std::vector<std::string>;

}  // namespace

TEST_CASE("programs without end are stopped soon, with one message") {
  using enum Diag;
  const std::pair<const char*, Diag> cases[] = {
      // Loops, with and without expressions in them.
      {"const l = 0..1000000\nfn f(x) { for i in l { for j in l { } }\n x }\nconst z = f(3)",
       too_much_work},
      {"fn f(x) { for i in 0..1000000 { for j in 0..1000000 { } }\n x }\nconst z = f(3)",
       too_much_work},
      // Lists and strings that grow, alone and by sharing.
      {"fn f(x) { for i in 0..1000000 { x = x + [i] }\n x }\nconst z = f([1])", too_much_work},
      {"fn f(x) { for i in 0..1000000 { x = x + \"a\" }\n x }\nconst z = f(\"b\")", too_much_work},
      {"fn f(x) { for i in 0..60 { x = [x, x] }\n x }\nconst z = f([1]) == f([1])", too_much_work},
      {"fn f(b) { l = []\n for i in 0..1000 { l = l + [b + [i]] }\n l }\nconst z = f(0..500000)",
       too_much_work},
      {"const l = 0..1000000\nmodel m { for i in 0..1000 { w = l + zeros([1]) }\n output w }",
       too_much_work},
      {"fn f(x) { for i in 0..100000 { x = [x] }\n x }\nconst z = f(3)", too_deep},
      {"fn f(x) { for i in 0..100000 { x = dense(x) }\n x }\nconst z = f(3)", too_deep},
      {"fn mk(shape, a) = a\nfn f(x) { for i in 0..100000 { x = mk(a: x) }\n x }\nconst z = f(3)",
       too_deep},
      // Polynomials.
      {"model m { input x: f32[N]\n p = N\n for i in 0..1000000 { p = p * N }\n output y = x * p }",
       too_large},
      {"model m { input x: f32[N]\n p = N\n for i in 0..50 { p = p * (N + 1) }\n output y = x * p "
       "}",
       too_large},
      // Nodes and gradients.
      {"model m { param w: f32[] = 1.0\n y = w\n for i in 0..100000 { y = y + grad(y, w) }\n"
       " output y }",
       too_much_work},
      {"model m { input x: f32[N, 1]\n for i in 0..90000 { x = x |> relu }\n output x }",
       too_much_work},
      // Recursions.
      {"fn f(x) = g(x)\nfn g(x) = f(x)\nconst a = f(1)", endless_recursion},
      {"fn f(x = g()) = x\nfn g(x = f()) = x\nconst a = f()", endless_recursion},
      {"fn f(shape) = zeros(shape) + f(shape)\nmodel m { param w: f32[3] = f()\n output w }",
       endless_recursion},
      {"layer r()(x) { r()(x) }\nmodel m { input x: f32[N]\n output z = r()(x) }",
       endless_recursion},
      {"optimizer o(lr)(w, g) { w <- w - h(w) }\nfn h(w) = h(w)\n"
       "model m { param w: f32[3] = ones()\n loss = sum(w) }\ntrain m { optimizer = o(lr: 1) }",
       endless_recursion},
      {"layer a(k = a().k)(x) { x }\nmodel m { input x: f32[N]\n output z = x * a().k }", too_deep},
      {"const k = f(3)\nfn f(x) = k + x", cyclic_const},
  };
  for (const auto& [text, kind] : cases) {
    const Compiled c = compiled(text);
    CHECK_MESSAGE(c.kinds == std::vector<Diag>{kind}, std::string(text), "\n", c.errors);
    CHECK_MESSAGE(c.seconds < 10, std::string(text));
  }
}

TEST_CASE("integers at the edge of 64 bits") {
  const Compiled c = compiled(R"(
    const a = -9223372036854775807 % 4611686018427387904
    const b = -9223372036854775807 // -1
    const c = [1, 2, 3][-9223372036854775807:9223372036854775807:9223372036854775807]
    const d = 2 ^ 62
    model m {
      input x: f32[5]
      output one = x[::1000000000000]
      output lists = [9223372036854775807, 1]
      output large = 9223372036854775807
    })");
  CHECK(c.errors == "");
  CHECK(compiled("const a = -9223372036854775807 % 9223372036854775806").errors == "");
  CHECK(compiled("const a = 2 ^ 63").kinds == std::vector<Diag>{Diag::too_large});
}

TEST_CASE("one instance of a layer has one set of parameters, in every program") {
  // A const outlives the programs: what it is called in one must not count in the next.
  const Compiled c = compiled(R"(
    const a = dense(3)
    model m {
      input x: f32[N, 3]
      y = x |> a |> dense(3) |> a
      loss = mean(y)
      output y
    }
    train m { optimizer = sgd(lr: 1) })");
  CHECK(c.errors == "");
  CHECK(paths(c.module) == Paths{"dense_1.w", "dense_1.b", "dense_2.w", "dense_2.b"});
  CHECK(paths(compiled(R"(
    layer twice(inner)(x) { inner(inner(x)) }
    fn apply(f, x) = f(x)
    model m {
      input x: f32[N, 3]
      l = [dense(3), dense(3)]
      for d in l { x = d(x) }
      for d in l { x = d(x) }
      output y = x |> twice(dense(3)) |> twice(twice(relu)) |> l[0]
      output z = apply(relu, x) + apply(f: exp, x: x) + apply(dense(3), x)
    })")
                  .module) == Paths{"dense_1.w", "dense_1.b", "dense_2.w", "dense_2.b",
                                    "twice_1.dense_1.w", "twice_1.dense_1.b", "dense_3.w",
                                    "dense_3.b"});
}

TEST_CASE("names of the library and words of the grammar are free for use") {
  const Compiled c = compiled(R"(
    fn mean(x) = x
    const relu = 3
    layer m(n)(x: f32[..., k]) -> f32[..., n] {
      param w: f32[k, n] = zeros()
      x @ w
    }
    model m {
      input loss: f32[N, 3]
      param grad: f32[3] = zeros()
      input mean: f32[N, 3]
      input N: f32[N]
      layer = loss + grad |> m(2)
      output model = sum(layer) + sum(mean) + relu
      output train = softmax(loss) + N[0]
    })");
  CHECK(c.errors == "");
}

TEST_CASE("gradients of odd things are values like others") {
  const Compiled c = compiled(R"(
    optimizer o(lr)(w, g) { w <- w - lr * grad(sum(g * w), w) }
    data d {
      x: f32[10, 2] = normal()
      y = grad(sum(x ^ 2), x)
    }
    model m {
      input x: f32[N, 2]
      target y: f32[N, 2]
      param w: f32[2] = grad(sum(ones([2]) ^ 2), ones([2]))
      output itself = grad(w, w)
      output unrelated = grad(sum(w), zeros([3])) + grad(3.0, w)[0]
      loss = mse(x * w, y)
    }
    train m on d { optimizer = o(lr: 1) })");
  CHECK(c.errors == "");
  for (const Graph* g : {&c.module.init, &c.module.train_step, &c.module.evaluate,
                         &c.module.predict, &c.module.data.splits.at(0).graph})
    verify(*g);
}

TEST_CASE("empty things") {
  for (const char* text : {"", "model m { }", "data d { }", "# only this", ";;", "fn f() = 1",
                           "layer l()() { 1 }", "data d { train { }; test { } }"})
    CHECK_MESSAGE(compiled(text).errors == "", std::string(text));
  const Compiled c = compiled(R"(
    model m {
      input x: f32[0, 3]
      param w: f32[0] = zeros()
      output y = x |> flatten |> dense(0) |> dense(1)
      output z = sum(w) + prod(zeros([0])) + prod([])
    })");
  CHECK(c.errors == "");
}

TEST_CASE("a table of a file may be a column as it is") {
  const Compiled c = compiled(R"(
    data d { table = csv("a.csv") }
    model m {
      input table: f32[N, 4]
      loss = mean(dense(1)(table))
    }
    train m on d { optimizer = sgd(lr: 1) })");
  CHECK(c.errors == "");
  CHECK(c.module.data.splits.at(0).columns.at(0).file == 0);
}

TEST_CASE("malformed values from outside") {
  using enum Diag;
  const std::string text = R"(
    const hidden = 3
    model m(h = 2) {
      param w: f32[h] = ones()
      loss = sum(w) + hidden
    }
    train m { optimizer = sgd(lr: 1) })";
  const auto kinds = [&](const std::string& name, const std::string& value) {
    return compiled(text, {{name, value}}).kinds;
  };
  using Kinds = std::vector<Diag>;
  CHECK(kinds("hidden", "4") == Kinds{});
  CHECK(kinds("hidden", "hidden * 2 + len([1])") == Kinds{});
  CHECK(kinds("h", "(\n3\n)") == Kinds{});
  CHECK(kinds("optimizer", "adam()") == Kinds{});
  CHECK(kinds("hidden", "") == Kinds{expected_expression});
  CHECK(kinds("hidden", "3 4") == Kinds{syntax});
  CHECK(kinds("hidden", "3; 4") == Kinds{syntax});
  CHECK(kinds("hidden", "(((") == Kinds{unclosed_bracket});
  CHECK(kinds("hidden", "\"a\"") == Kinds{bad_setting});
  CHECK(kinds("hidden", "dense(3)") == Kinds{bad_setting});
  CHECK(kinds("hidden", "nothing") == Kinds{unknown_name});
  CHECK(kinds("hidden", std::string("\0", 1)).front() == bad_character);
  CHECK(kinds("h", "x") == Kinds{unknown_name});
  CHECK(kinds("h", "-1") == Kinds{bad_dimension});
  CHECK(kinds("batch", "0") == Kinds{bad_setting});
  CHECK(kinds("batch", "\"x\"") == Kinds{not_static});
  CHECK(kinds("optimizer", "relu") == Kinds{bad_optimizer});
  CHECK(kinds("optimizer", "sgd") == Kinds{missing_argument});
  CHECK(kinds("precision", "f16") == Kinds{});
  CHECK(kinds("precision", "f8") == Kinds{bad_setting});
  CHECK(kinds("precision", "i32") == Kinds{bad_setting});
  CHECK(kinds("loss_scale", "2.0 ^ 10") == Kinds{});
  CHECK(kinds("loss_scale", "0") == Kinds{bad_setting});
  CHECK(kinds("loss_scale", "1e30") == Kinds{bad_setting});
  CHECK(kinds("loss_scale", "\"x\"") == Kinds{bad_setting});
  CHECK(kinds("w", "3") == Kinds{unknown_setting});
  CHECK(kinds("", "3") == Kinds{unknown_setting});
}

TEST_CASE("imports: once each, circles too; nothing but files") {
  using enum Diag;
  const fs::path folder = fs::temp_directory_path() / "dlc_test_imports";
  fs::create_directories(folder);
  const auto write = [&](const char* name, const std::string& text) {
    std::ofstream(folder / name, std::ios::binary) << text;
  };
  write("a.dl",
        "import \"b.dl\"\nimport \"a.dl\"\nimport \"../dlc_test_imports/b.dl\"\n"
        "import \"empty.dl\"\nconst a = b");
  write("b.dl", "import \"a.dl\"\nconst b = 2\nconst c = a");
  write("empty.dl", "");
  write("wrong.dl", "const d = b +\nconst e = nothing");
  const auto kinds = [&](const std::string& text) {
    return compiled(text, {}, (folder / "main.dl").string()).kinds;
  };
  using Kinds = std::vector<Diag>;
  CHECK(kinds("import \"a.dl\"\nconst n = c") == Kinds{});
  CHECK(kinds("import \"a.dl\"\nconst a = 1") == Kinds{duplicate_definition});
  CHECK(kinds("import \"wrong.dl\"\nconst n = d") == Kinds{expected_expression, unknown_name});
  CHECK(kinds("import \".\"") == Kinds{import_not_found});
  CHECK(kinds("import \"\"") == Kinds{import_not_found});
  CHECK(kinds("import \"/dev/zero\"") == Kinds{import_not_found});
  CHECK(kinds("import \"missing.dl\"") == Kinds{import_not_found});
  fs::remove_all(folder);
}
