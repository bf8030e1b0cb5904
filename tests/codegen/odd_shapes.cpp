// Shapes that random graphs found wrong once: axes of one element, single numbers.
#include <doctest/doctest.h>

#include "ir/graph/text.h"
#include "tests/support/compiled.h"
#include "tests/support/samples.h"
#include "tests/support/text.h"

using namespace dlc;

TEST_CASE("a sum down a column of its own is stored once") {
  const Graph g = graph_of(R"(
    graph g {
      %ids: i32[N] = input input
      %x: f64[5, 1] = input input
      %rows: f64[N, 1] = gather %x, %ids {axis = 0}
      %sum: f64[1] = reduce_sum %rows {axes = [0]}
      output output "sum" = %sum
    })");
  for (const int n : {1, 3, 8}) CHECK(compiled_distance(g, sample_values(g, 0, 4, n, 5)) <= 1e-14);
}

TEST_CASE("a single number is added into rows") {
  const Graph g = graph_of(R"(
    graph g {
      %x: f32[N] = input input
      %least: f32[] = reduce_min %x {axes = [0]}
      %place: i32[] = dim {dim = (N), element = "i32"}
      %one: f32[] = constant 1.25
      %rows: f32[3] = scatter_add %place, %one {axis = 0, size = (3)}
      output output "least" = %least
      output output "rows" = %rows
    })");
  for (const int n : {1, 2, 7}) CHECK(compiled_distance(g, sample_values(g, -1, 1, n, 5)) == 0);
}
