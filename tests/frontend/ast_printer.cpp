// The printed tree shows each construct, and is a program with the same tree.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <random>

#include "tests/support/files.h"
#include "tests/support/parse.h"

using namespace dlc;

namespace {

std::string tree(const std::string& text) {
  const Parse p = parse_text(text);
  CHECK_MESSAGE(p.kinds.empty(), text, "\n", p.errors);
  return p.tree;
}

/// The tree of one expression.
std::string expr(const std::string& text) {
  const std::string t = tree("const x = " + text);
  return t.substr(10, t.size() - 11);
}

/// The statements of one block, each on a line.
std::string body(const std::string& text) {
  std::istringstream lines(tree("model m {\n" + text + "\n}"));
  std::string out, line;
  std::getline(lines, line);
  while (std::getline(lines, line))
    if (line != "}") out += line.substr(2) + "\n";
  return out;
}

/// The examples and the standard library.
std::vector<std::string> real_files() {
  namespace fs = std::filesystem;
  std::vector<fs::path> paths;
  for (const char* folder : {"examples", "frontend/std"})
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(DLC_SOURCE_DIR) / folder))
      if (entry.path().extension() == ".dl") paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> texts;
  for (const fs::path& path : paths) texts.push_back(read_all(path));
  return texts;
}

}  // namespace

TEST_CASE("operators bind by their levels") {
  CHECK(expr("a + b * c") == "(a + (b * c))");
  CHECK(expr("a - b - c") == "((a - b) - c)");
  CHECK(expr("a * b / c // d % e @ f") == "(((((a * b) / c) // d) % e) @ f)");
  CHECK(expr("-x ^ 2") == "(-(x ^ 2))");
  CHECK(expr("2 ^ -1") == "(2 ^ (-1))");
  CHECK(expr("a ^ b ^ c") == "(a ^ (b ^ c))");
  CHECK(expr("-a * b") == "((-a) * b)");
  CHECK(expr("- -a") == "(-(-a))");
  CHECK(expr("a < b and c == d or not e != f") == "(((a < b) and (c == d)) or (not (e != f)))");
  CHECK(expr("not a and b") == "((not a) and b)");
  CHECK(expr("not not a") == "(not (not a))");
  CHECK(expr("a == (not b)") == "(a == (not b))");
  CHECK(expr("0..n - 1") == "(0 .. (n - 1))");
  CHECK(expr("image / 255 |> flatten |> dense(256)") ==
        "(((image / 255) |> flatten) |> dense(256))");
  CHECK(expr("a or b |> f") == "((a or b) |> f)");
  CHECK(expr("x |> f(1) + y * 2") == "((x |> f(1)) + (y * 2))");
  CHECK(expr("f(a)(b)[0].c ^ 2") == "(f(a)(b)[0].c ^ 2)");
}

TEST_CASE("values") {
  CHECK(expr("60_000") == "60000");
  CHECK(expr("9223372036854775807") == "9223372036854775807");
  CHECK(expr("1.5 + 1e-5 + 2E3 + 1_0.0_1") == "(((1.5 + 1e-05) + 2000.0) + 10.01)");
  CHECK(expr(R"("a\n\t\"\\b")") == R"("a\n\t\"\\b")");
  CHECK(expr("\"ü # no comment\"") == "\"ü # no comment\"");
  CHECK(expr("[1, [2, 3], [],]") == "[1, [2, 3], []]");
  CHECK(expr("true and false") == "(true and false)");
  CHECK(expr("f()") == "f()");
  CHECK(expr("f(a, axis: 1, init: normal(std: 0.1),)") == "f(a, axis: 1, init: normal(std: 0.1))");
  CHECK(expr("x[0, 1:3, :, ..., ::2, a:, :b, a:b:c]") == "x[0, 1:3, :, ..., ::2, a:, :b, a:b:c]");
  CHECK(expr(R"(table[["A", "B"]])") == R"(table[["A", "B"]])");
  CHECK(expr("if a { b } else if c { d } else { e }") ==
        "if a {\n  b\n} else {\n  if c {\n    d\n  } else {\n    e\n  }\n}");
}

TEST_CASE("statements") {
  CHECK(body("input x: f32[N, 2]\ntarget y: i32[N]\nparam w: f32[2, 1] = normal(std: 0.01)\n"
             "state s = zeros()\ncarry h: f32[N, 2*k+1, ...] = zeros()") ==
        "input x: f32[N, 2]\ntarget y: i32[N]\nparam w: f32[2, 1] = normal(std: 0.01)\n"
        "state s = zeros()\ncarry h: f32[N, ((2 * k) + 1), ...] = zeros()\n");
  CHECK(body("x: f32[] = 1; y: f32 = 2; z = 3; z <- 4") ==
        "x: f32[] = 1\ny: f32[] = 2\nz = 3\nz <- 4\n");
  CHECK(body("loss = e\nmetric m = loss\noutput y = m\noutput y\nwatch dense_1.w, x") ==
        "loss = e\nmetric m = loss\noutput y = m\noutput y\nwatch dense_1.w, x\n");
  CHECK(body("for i in 0..4 { x = x + i; f(x) }") ==
        "for i in (0 .. 4) {\n  x = (x + i)\n  f(x)\n}\n");
  CHECK(tree("data d { x: f32[3] = normal()\n train { y = 1 }\n test { y = 2 }\n split(test: 0.2) "
             "}") ==
        "data d {\n  x: f32[3] = normal()\n  train {\n    y = 1\n  }\n  test {\n    y = 2\n  }\n"
        "  split(test: 0.2)\n}\n");
}

TEST_CASE("definitions") {
  CHECK(tree("import \"a.dl\"; const a = 1") == "import \"a.dl\"\nconst a = 1\n");
  CHECK(tree("fn relu(x) = max(x, 0)") == "fn relu(x) {\n  max(x, 0)\n}\n");
  CHECK(tree("layer dense(units, b = true)(x: f32[..., n]) -> f32[..., units] { x }") ==
        "layer dense(units, b = true)(x: f32[..., n]) -> f32[..., units] {\n  x\n}\n");
  CHECK(tree("optimizer sgd(lr)(w, g) { w <- w - lr * g }") ==
        "optimizer sgd(lr)(w, g) {\n  w <- (w - (lr * g))\n}\n");
  CHECK(tree("model m(hidden = 256) { }\ntrain m on d { batch = 10 }\ntrain m { }") ==
        "model m(hidden = 256) {\n}\ntrain m on d {\n  batch = 10\n}\ntrain m {\n}\n");
  const auto braces_below = tree("fn f(\n  x,\n  y\n)\n{\n  x\n}\nmodel m\n{\n}");
  CHECK(braces_below == "fn f(x, y) {\n  x\n}\nmodel m {\n}\n");
}

TEST_CASE("words of statements are ordinary names elsewhere") {
  CHECK(body("data = input + state(target, init: output)\nstate = 1; metric = 2\nx = loss * train\n"
             "optimizer = sgd(lr: 0.1); input(x); model = test; on = epoch") ==
        "data = (input + state(target, init: output))\nstate = 1\nmetric = 2\nx = (loss * train)\n"
        "optimizer = sgd(lr: 0.1)\ninput(x)\nmodel = test\non = epoch\n");
  CHECK(body("output class = class == label\nwatch = 1\nvar = var(x)") ==
        "output class = (class == label)\nwatch = 1\nvar = var(x)\n");
}

TEST_CASE("the printed tree is a program with the same tree") {
  for (const std::string& text : real_files()) {
    const std::string once = tree(text);
    CHECK(tree(once) == once);
  }
}

TEST_CASE("mutated programs neither crash nor hang, and what is accepted prints to the same tree") {
  const std::vector<std::string> files = real_files();
  std::mt19937 random(7);
  const auto below = [&](std::size_t n) { return n == 0 ? 0 : random() % n; };
  static const std::vector<std::string> kPieces = {"(",
                                                   ")",
                                                   "[",
                                                   "]",
                                                   "{",
                                                   "}",
                                                   "|>",
                                                   "=",
                                                   "<-",
                                                   "\n",
                                                   ";",
                                                   ",",
                                                   ":",
                                                   "..",
                                                   "...",
                                                   "\"",
                                                   "'",
                                                   "#",
                                                   "##",
                                                   "//",
                                                   "/*",
                                                   "-",
                                                   "not ",
                                                   "if ",
                                                   "else",
                                                   "for i",
                                                   " in ",
                                                   "fn ",
                                                   "model ",
                                                   "data d {",
                                                   "train m on d {",
                                                   "\xFF",
                                                   "\r",
                                                   "\t",
                                                   "0",
                                                   "1.5e",
                                                   "\\",
                                                   "if a { b } else { c }",
                                                   "\xE2\x89\xA4"};
  std::size_t accepted = 0;
  for (int round = 0; round < 6000; ++round) {
    std::string text = files[below(files.size())];
    for (std::size_t edits = 1 + below(4); edits-- > 0;) {
      const std::size_t at = below(text.size() + 1);
      const std::size_t length = std::min(below(30), text.size() - at);
      switch (below(6)) {
        case 0:
          if (at < text.size()) text[at] = static_cast<char>(random());
          break;
        case 1:
          text.erase(at, length);
          break;
        case 2:
          text.insert(at, kPieces[below(kPieces.size())]);
          break;
        case 3:
          text.insert(at, text.substr(below(text.size() + 1), length));
          break;
        case 4: {
          const std::string& other = files[below(files.size())];
          text.insert(at, other.substr(below(other.size()), length));
          break;
        }
        default:
          if (below(4) == 0) text.resize(at);
      }
    }
    const Parse p = parse_text(text);
    if (!p.kinds.empty()) continue;
    ++accepted;
    CAPTURE(text);
    const Parse again = parse_text(p.tree);
    CHECK_MESSAGE(again.kinds.empty(), again.errors);
    CHECK(again.tree == p.tree);
  }
  CHECK(accepted > 500);
}
