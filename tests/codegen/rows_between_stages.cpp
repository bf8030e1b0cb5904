// What a stage of a kernel hands on to the next, row by row: each thread has the memory of one row.
#include <doctest/doctest.h>

#include "ir/graph/text.h"
#include "tests/support/compiled.h"
#include "tests/support/samples.h"
#include "tests/support/text.h"

using namespace dlc;

namespace {

/// softmax, and as an output of its own the square of it, over the last axes.
Graph softmax(const char* element, const std::string& shape, const std::string& dims,
              const char* rows, const char* axes) {
  return graph_of(fmt::format(
      "graph g {{ %x: {0}[{1}] = input input %m: {0}[{3}] = reduce_max %x {{axes = {4}}} "
      "%mb: {0}[{1}] = broadcast %m {{dims = {2}, shape = ({1})}} %d: {0}[{1}] = sub %x, %mb "
      "%e: {0}[{1}] = exp %d %s: {0}[{3}] = reduce_sum %e {{axes = {4}}} "
      "%sb: {0}[{1}] = broadcast %s {{dims = {2}, shape = ({1})}} %y: {0}[{1}] = div %e, %sb "
      "%q: {0}[{1}] = mul %y, %y output output \"y\" = %y output output \"q\" = %q }}",
      element, shape, dims, rows, axes));
}

void check(const Graph& g, const std::string& element) {
  const std::string text = print(g);
  CAPTURE(text);
  const double most = element == "f64" ? 1e-14 : element == "f32" ? 2e-6 : 1e-2;
  for (const int bits : {0, 256, 128}) {
    CAPTURE(bits);
    const Compiled code(g, bits);
    for (const int n : {1, 2, 7, 33}) {
      const auto inputs = sample_values(g, -3, 3, n, 5);
      CHECK(compiled_distance(code, inputs) <= most);
      CHECK(same_on_threads(code, inputs));
    }
  }
}

}  // namespace

TEST_CASE("rows that fill vectors and such that do not, short ones and very long ones") {
  for (const char* element : {"f32", "f64", "bf16"})
    for (const int row : {3, 15, 16, 17, 64, 1027, 20000})
      check(softmax(element, fmt::format("N, {}", row), "[0]", "N", "[1]"), element);
}

TEST_CASE("rows of two axes, and rows of which the outer axes are two") {
  check(softmax("f32", "N, 5, 7", "[0]", "N", "[1, 2]"), "f32");
  check(softmax("f32", "N, 3, 40", "[0, 1]", "N, 3", "[2]"), "f32");
  check(softmax("f32", "N, 40, 2", "[0, 2]", "N, 2", "[1]"), "f32");
}
