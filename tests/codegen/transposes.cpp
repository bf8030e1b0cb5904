// Transposes of every order of axes at sizes around the blocks that are turned over in registers,
// alone and inside elementwise expressions, for all element types and vector widths.
#include <doctest/doctest.h>

#include "tests/support/compiled.h"
#include "tests/support/samples.h"
#include "tests/support/text.h"

using namespace dlc;

namespace {

std::string dims(const std::vector<int>& extents) {
  return fmt::format("{}", fmt::join(extents, ", "));
}

/// y = transpose(x) and, for numbers, transpose(x) + z.
Graph transposed(const std::string& element, const std::vector<int>& from,
                 const std::vector<int>& perm) {
  std::vector<int> to;
  for (const int p : perm) to.push_back(from[static_cast<std::size_t>(p)]);
  const bool adds = element != "bool";
  return graph_of(fmt::format(
      "graph g {{ %x: {0}[{1}] = input input %z: {0}[{2}] = input input "
      "%y: {0}[{2}] = transpose %x {{perm = [{3}]}} {4} output output \"y\" = %y {5} }}",
      element, dims(from), dims(to), dims(perm),
      adds ? fmt::format("%s: {0}[{1}] = add %y, %z", element, dims(to)) : "",
      adds ? "output output \"s\" = %s" : ""));
}

}  // namespace

TEST_CASE("transposes agree with the interpreter") {
  const std::vector<std::vector<int>> sizes2 = {{1, 40}, {15, 17}, {16, 16}, {33, 50}, {64, 7}};
  for (const char* element : {"f32", "f64", "i32", "i64", "u8", "bool"})
    for (const auto& size : sizes2) {
      const Graph g = transposed(element, size, {1, 0});
      CAPTURE(element);
      CAPTURE(size[0]);
      for (const int threads : {1, 2})
        CHECK(compiled_distance(g, sample_values(g, 0, 100, 1, 5), threads) == 0);
    }
  for (const auto& perm :
       std::vector<std::vector<int>>{{0, 2, 1}, {2, 1, 0}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}}) {
    const Graph g = transposed("f32", {3, 18, 35}, perm);
    CHECK(compiled_distance(g, sample_values(g, 0, 100, 1, 5)) == 0);
    CHECK(compiled_distance(g, sample_values(g, 0, 100, 1, 5), 1, 256) == 0);
    CHECK(compiled_distance(g, sample_values(g, 0, 100, 1, 5), 2, 128) == 0);
  }
}
