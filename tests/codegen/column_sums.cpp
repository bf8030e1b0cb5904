// Reductions down the columns of long rows, which are read to the end, some at a time: columns that
// do not fill vectors, rows that are left over, several reductions of one kernel, and what follows.
#include <doctest/doctest.h>

#include "ir/graph/text.h"
#include "tests/support/compiled.h"
#include "tests/support/samples.h"
#include "tests/support/text.h"

using namespace dlc;

namespace {

/// Each column's sum, greatest and least value, and what is computed of two of them.
Graph columns(const char* element, const std::string& shape, const char* axes, int across) {
  return graph_of(
      fmt::format("graph g {{ %x: {0}[{1}] = input input  %y: {0}[{1}] = mul %x, %x "
                  "%sum: {0}[{3}] = reduce_sum %y {{axes = {2}}} "
                  "%most: {0}[{3}] = reduce_max %x {{axes = {2}}} "
                  "%least: {0}[{3}] = reduce_min %x {{axes = {2}}} "
                  "%both: {0}[{3}] = sub %most, %least "
                  "output output \"sum\" = %sum output output \"both\" = %both }}",
                  element, shape, axes, across));
}

}  // namespace

TEST_CASE("sums down the columns of long rows") {
  for (const char* element : {"f32", "f64", "i32", "bf16"})
    for (const int across : {127, 128, 131, 256, 1027}) {
      const Graph g = columns(element, fmt::format("N, {}", across), "[0]", across);
      const std::string text = print(g);
      CAPTURE(text);
      for (const int bits : {0, 256}) {
        const Compiled code(g, bits);
        for (const int n : {1, 2, 3, 4, 5, 7, 8, 66}) {
          CAPTURE(n);
          const auto inputs = sample_values(g, -1, 2, n, 3);
          const bool is_short = element == std::string("bf16");
          CHECK(compiled_distance(code, inputs) <= (element == std::string("f64") ? 1e-14
                                                    : is_short                    ? 1e-2
                                                                                  : 1e-6));
          CHECK(same_on_threads(code, inputs));
        }
      }
    }
}

TEST_CASE("sums over two axes, one of them outside of the rows") {
  const Graph g = columns("f32", "N, 9, 200", "[0, 1]", 200);
  const Compiled code(g);
  for (const int n : {1, 3, 20}) {
    const auto inputs = sample_values(g, -1, 2, n, 3);
    CHECK(compiled_distance(code, inputs) <= 1e-6);
    CHECK(same_bits(code.run(inputs)[0], code.run(inputs, 2)[0]));
  }
}

TEST_CASE("a column's sum is added row by row, from the first to the last") {
  // In another order 1 would be lost beside 2^24, or kept.
  for (const int across : {200, 1100}) {
    const Graph g = graph_of(
        fmt::format("graph g {{ %x: f32[N, {0}] = input input "
                    "%s: f32[{0}] = reduce_sum %x {{axes = [0]}} output output \"s\" = %s }}",
                    across));
    Literal x = Literal::zeros(ElementType::F32, {6, across});
    for (int c = 0; c < across; ++c) {
      x.set(c, 0x1p24);
      for (int r = 1; r < 5; ++r) x.set(r * across + c, 1);
      x.set(5 * across + c, -0x1p24);
    }
    const std::vector<Tensor> got = Compiled(g).run({{"x", x}});
    for (int c = 0; c < across; ++c) CHECK(got[0].at(c) == 0);
  }
}
