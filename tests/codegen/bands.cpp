// Products under a triangular mask: tiles leave out what is zero or needed by nobody, and the
// values are the interpreter's. Whichever two of the rows, columns and products the band is of,
// from above and from below, whatever tiles and blocks it crosses.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "ir/graph/text.h"
#include "tests/support/compiled.h"
#include "tests/support/samples.h"
#include "tests/support/text.h"

using namespace dlc;

namespace {

/// Which weights are left: those of column j in row i, in terms of j and i.
struct Mask {
  const char *op, *first, *second;
  int offset;  // added to `second`
};
constexpr Mask kMasks[] = {
    {"le", "j", "i", 0}, {"lt", "j", "i", 2}, {"le", "j", "i", -3},
    {"le", "i", "j", 0}, {"lt", "i", "j", 5},
};

/// Weights p of [2, rows, columns] under a mask, stored, as an operand of products in both roles,
/// along rows and along columns; and scores of the same shape of which the mask leaves as much.
Graph masked(const char* element, const std::string& rows, const std::string& columns,
             const Mask& mask) {
  std::string text = R"(graph g {
  %q: ELEMENT[2, ROWS, 24] = input input
  %k: ELEMENT[2, COLUMNS, 24] = input input
  %w: ELEMENT[2, ROWS, COLUMNS] = input input
  %rows: i32[ROWS] = iota {axis = 0, element = "i32", shape = (ROWS)}
  %columns: i32[COLUMNS] = iota {axis = 0, element = "i32", shape = (COLUMNS)}
  %i: i32[2, ROWS, COLUMNS] = broadcast %rows {dims = [1], shape = (2, ROWS, COLUMNS)}
  %j: i32[2, ROWS, COLUMNS] = broadcast %columns {dims = [2], shape = (2, ROWS, COLUMNS)}
  %o: i32[] = constant OFFSET
  %os: i32[2, ROWS, COLUMNS] = broadcast %o {dims = [], shape = (2, ROWS, COLUMNS)}
  %bound: i32[2, ROWS, COLUMNS] = add %SECOND, %os
  %seen: bool[2, ROWS, COLUMNS] = OP %FIRST, %bound
  %zero: ELEMENT[] = constant 0.0
  %zeros: ELEMENT[2, ROWS, COLUMNS] = broadcast %zero {dims = [], shape = (2, ROWS, COLUMNS)}
  %p: ELEMENT[2, ROWS, COLUMNS] = select %seen, %w, %zeros
  %s: ELEMENT[2, ROWS, COLUMNS] = contract %q, %k {lhs = "bid", rhs = "bjd", out = "bij"}
  %scores: ELEMENT[2, ROWS, COLUMNS] = select %seen, %s, %zeros
  %a: ELEMENT[2, ROWS, 24] = contract %p, %k {lhs = "bij", rhs = "bjd", out = "bid"}
  %b: ELEMENT[2, COLUMNS, 24] = contract %p, %q {lhs = "bij", rhs = "bid", out = "bjd"}
  %c: ELEMENT[2, 24, ROWS] = contract %k, %p {lhs = "bjd", rhs = "bij", out = "bdi"}
  %d: ELEMENT[2, 24, COLUMNS] = contract %q, %p {lhs = "bid", rhs = "bij", out = "bdj"}
  output output "scores" = %scores
  output output "a" = %a
  output output "b" = %b
  output output "c" = %c
  output output "d" = %d
})";
  for (const auto& [word, by] :
       std::map<std::string, std::string>{{"ELEMENT", element},
                                          {"ROWS", rows},
                                          {"COLUMNS", columns},
                                          {"OFFSET", std::to_string(mask.offset)},
                                          {"SECOND", mask.second},
                                          {"FIRST", mask.first},
                                          {"OP", mask.op}})
    for (std::size_t at = 0; (at = text.find(word, at)) != std::string::npos; at += by.size())
      text.replace(at, word.size(), by);
  return graph_of(text);
}

void check(const Graph& g, const std::vector<int>& lengths, int bits, double most) {
  const std::string text = print(g);
  CAPTURE(text);
  CAPTURE(bits);
  std::size_t bands = 0;
  const Compiled code(g, bits, [&](loop::Program& p) {
    for (const loop::Kernel& k : p.kernels)
      for (const loop::Contraction& c : k.contraction) bands += c.bands.size();
  });
  CHECK(bands == 5);
  for (const int length : lengths) {
    CAPTURE(length);
    const auto inputs = sample_values(g, -1, 1, length, 5);
    CHECK(compiled_distance(code, inputs) <= most);
    CHECK(same_on_threads(code, inputs));
  }
}

}  // namespace

TEST_CASE("masks of every direction, lengths that are not known") {
  for (const Mask& mask : kMasks)
    for (const int bits : {0, 256, 128})
      check(masked("f32", "T", "T", mask), {1, 2, 7, 33, 64, 70}, bits, 3e-6);
}

TEST_CASE("masks over several blocks of products") {
  for (const Mask& mask : kMasks) {
    check(masked("f32", "T", "T", mask), {600}, 256, 1e-5);
    check(masked("f32", "60", "700", mask), {1}, 256, 1e-5);
    check(masked("f32", "700", "60", mask), {1}, 0, 1e-5);
  }
}

TEST_CASE("masks of numbers of twice the width") {
  for (const Mask& mask : kMasks) check(masked("f64", "T", "50", mask), {1, 45, 90}, 0, 1e-14);
}

TEST_CASE("what is left out is not looked at") {
  // Of a band of an eighth of the products, tiles leave out most of the rest: what is infinite
  // there makes no NaN.
  const Graph g = masked("f32", "512", "512", {"lt", "j", "i", -448});
  auto inputs = sample_values(g, -1, 1, 1, 5);
  Literal& k = inputs.at("k");
  for (std::size_t b = 0; b < 2; ++b)
    for (std::size_t j = 128; j < 512; ++j)
      k.f[(b * 512 + j) * 24] = std::numeric_limits<double>::infinity();
  const std::vector<Tensor> y = Compiled(g).run(inputs);
  std::size_t finite = 0;
  for (std::size_t at = 0; at < std::size_t{2} * 512 * 24; ++at)
    finite += std::isfinite(y[1].as<float>()[at]);
  CHECK(finite == std::size_t{2} * 512 * 24);
}
