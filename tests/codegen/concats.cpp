// Parts of a concat that are written into it by the kernels that compute them.
#include <doctest/doctest.h>

#include "ir/graph/text.h"
#include "passes/lower/lower.h"
#include "tests/support/compiled.h"
#include "tests/support/samples.h"
#include "tests/support/text.h"

using namespace dlc;

namespace {

void check_values(const Graph& g, std::size_t kernels) {
  CHECK(lower(run_passes(g, {"fuse"}, {})).kernels.size() == kernels);
  for (const int n : {1, 3, 8}) CHECK(compiled_distance(g, sample_values(g, -1, 1, n, 5)) <= 1e-13);
}

}  // namespace

TEST_CASE("a concat of products, one of which reads another's columns, takes no kernel") {
  check_values(graph_of(R"(
    graph g {
      %x: f64[N, 16] = input input
      %u: f64[16, 8] = input param
      %v: f64[8, 4] = input param
      %w: f64[12, 2] = input param
      %a: f64[N, 8] = contract %x, %u {lhs = "nk", out = "nm", rhs = "km"}
      %b: f64[N, 4] = contract %a, %v {lhs = "nk", out = "nm", rhs = "km"}
      %ab: f64[N, 12] = concat %a, %b {axis = 1}
      %c: f64[N, 2] = contract %ab, %w {lhs = "nk", out = "nm", rhs = "km"}
      %abc: f64[N, 14] = concat %ab, %c {axis = 1}
      %e: f64[N, 14] = exp %abc
      output output "abc" = %abc
      output output "e" = %e
    })"),
               4);
}

TEST_CASE("a part that a product reads as one long row is copied") {
  check_values(graph_of(R"(
    graph g {
      %x: f64[N, 3, 16] = input input
      %u: f64[16, 8] = input param
      %v: f64[16, 4] = input param
      %w: f64[24, 5] = input param
      %a: f64[N, 3, 8] = contract %x, %u {lhs = "nrk", out = "nrm", rhs = "km"}
      %b: f64[N, 3, 4] = contract %x, %v {lhs = "nrk", out = "nrm", rhs = "km"}
      %ab: f64[N, 3, 12] = concat %a, %b {axis = 2}
      %flat: f64[N, 24] = reshape %a {shape = (N, 24)}
      %f: f64[N, 5] = contract %flat, %w {lhs = "nk", out = "nm", rhs = "km"}
      output output "ab" = %ab
      output output "f" = %f
    })"),
               4);
}

TEST_CASE("rows are interleaved by those who compute them, and read as one axis") {
  check_values(graph_of(R"(
    graph g {
      %x: f64[N, 3, 16] = input input
      %u: f64[16, 8] = input param
      %v: f64[16, 8] = input param
      %w: f64[8, 5] = input param
      %a: f64[N, 3, 8] = contract %x, %u {lhs = "nrk", out = "nrm", rhs = "km"}
      %b: f64[N, 3, 8] = contract %x, %v {lhs = "nrk", out = "nrm", rhs = "km"}
      %a1: f64[N, 3, 1, 8] = reshape %a {shape = (N, 3, 1, 8)}
      %b1: f64[N, 3, 1, 8] = reshape %b {shape = (N, 3, 1, 8)}
      %pairs: f64[N, 3, 2, 8] = concat %a1, %b1 {axis = 2}
      %rows: f64[N, 6, 8] = reshape %pairs {shape = (N, 6, 8)}
      %y: f64[N, 6, 5] = contract %rows, %w {lhs = "nrk", out = "nrm", rhs = "km"}
      output output "y" = %y
    })"),
               3);
}

TEST_CASE("one value may be several parts, of several concats") {
  check_values(graph_of(R"(
    graph g {
      %x: f64[N, 16] = input input
      %u: f64[16, 8] = input param
      %a: f64[N, 8] = contract %x, %u {lhs = "nk", out = "nm", rhs = "km"}
      %e: f64[N, 8] = exp %a
      %twice: f64[N, 16] = concat %a, %a {axis = 1}
      %other: f64[N, 16] = concat %a, %e {axis = 1}
      output output "twice" = %twice
      output output "other" = %other
    })"),
               2);
}
