// Reductions of whole data sets to numbers, in parts: near the interpreter's values, with the same
// bits on any number of threads.
#include <doctest/doctest.h>

#include "ir/graph/text.h"
#include "tests/support/compiled.h"
#include "tests/support/samples.h"
#include "tests/support/text.h"

using namespace dlc;

TEST_CASE("sums in parts") {
  const struct {
    const char *shape, *axes, *element;
  } cases[] = {{"N", "0", "f32"},           {"N, 3", "0, 1", "f32"}, {"70001", "0", "f32"},
               {"300, 401", "0, 1", "f64"}, {"N", "0", "i32"},       {"2, 40000", "0, 1", "f32"}};
  for (const auto& c : cases) {
    const Graph g = graph_of(fmt::format(
        "graph g {{ %size: u8[N] = input input %x: {0}[{1}] = input input "
        "%sum: {0}[] = reduce_sum %x {{axes = [{2}]}} %most: {0}[] = reduce_max %x {{axes = "
        "[{2}]}} "
        "%least: {0}[] = reduce_min %x {{axes = [{2}]}} %both: {0}[] = sub %most, %least "
        "output output \"sum\" = %sum output output \"both\" = %both }}",
        c.element, c.shape, c.axes));
    const std::string text = print(g);
    CAPTURE(text);
    const Compiled code(g);
    for (const int n : {1, 2, 15, 16, 17, 1000, 65537}) {
      CAPTURE(n);
      const auto inputs = sample_values(g, -1, 2, n, 3);
      CHECK(compiled_distance(code, inputs) <= (c.element == std::string("f64") ? 1e-13 : 1e-5));
      CHECK(same_on_threads(code, inputs));
      if (std::string(c.shape).find('N') == std::string::npos) break;
    }
  }
}
