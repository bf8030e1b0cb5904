// What `dlc dump --why` says of two kernels.
#include <doctest/doctest.h>

#include "passes/graph/fuse.h"
#include "tests/support/text.h"

using namespace dlc;

namespace {

/// The reason of the one barrier between kernels `from` and `to`.
std::string reason(const std::vector<FusionBarrier>& all, int from, int to) {
  std::string found;
  for (const FusionBarrier& b : all)
    if (b.from == from && b.to == to) found += b.reason;
  return found;
}

}  // namespace

TEST_CASE("a chain is one kernel, so nothing is between") {
  CHECK(fusion_barriers(graph_of(R"(graph g {
    %x: f32[N] = input input
    %a: f32[N] = exp %x
    %b: f32[N] = add %a, %x
    output output "a" = %a
    output output "b" = %b
  })"))
            .empty());
}

TEST_CASE("contractions, rows of them, other points and other places") {
  const auto all = fusion_barriers(graph_of(R"(graph g {
    %x: f32[N, 8] = input input
    %w: f32[8, 4] = input param
    %e: f32[N, 8] = exp %x
    %y: f32[N, 4] = contract %e, %w {lhs = "ab", out = "ac", rhs = "bc"}
    %m: f32[N] = reduce_max %y {axes = [1]}
    %s: f32[] = reduce_sum %m {axes = [0]}
    output output "e" = %e
    output loss "s" = %s
  })"));
  CHECK(all.size() == 3);
  CHECK(reason(all, 0, 1) ==
        "`y` uses each element of its operands many times, in tiles of its own: they are computed "
        "once, before it");
  CHECK(reason(all, 1, 2) ==
        "`m` needs whole rows, and a tile of the contraction holds parts of them");
  CHECK(reason(all, 2, 3) == "`s` has [] points, the first kernel [N]");
  CHECK(all[0].reads);
}

TEST_CASE("what is read at other points, and neighbours that have nothing in common") {
  const auto all = fusion_barriers(graph_of(R"(graph g {
    %x: f32[8, 8] = input input
    %z: f32[5] = input input
    %e: f32[8, 8] = exp %x
    %t: f32[8, 8] = transpose %e {perm = [1, 0]}
    %y: f32[8, 8] = mul %t, %t
    %q: f32[5] = exp %z
    output output "e" = %e
    output output "y" = %y
    output output "q" = %q
  })"));
  // q comes first: nobody reads it.
  CHECK(reason(all, 0, 1) == "`e` has [8, 8] points, the first kernel [5]");
  CHECK(reason(all, 1, 2) ==
        "`y` reads `e` at other points than its own, so all of it comes first");
  CHECK(all.size() == 2);
  CHECK(!all[0].reads);
  CHECK(all[1].reads);
}

TEST_CASE("nothing joins a scatter, and what needs a later kernel stays out") {
  const auto all = fusion_barriers(graph_of(R"(graph g {
    %i: i32[N] = input input
    %u: f32[N] = input input
    %x: f32[6] = input input
    %a: f32[6] = exp %x
    %s: f32[6] = scatter_add %i, %u {axis = 0, size = (6)}
    %b: f32[6] = mul %s, %a
    output output "a" = %a
    output output "b" = %b
  })"));
  CHECK(reason(all, 0, 1) ==
        "`s` adds to memory at places that data gives, which takes a kernel of its own");
  CHECK(reason(all, 1, 2) ==
        "the first one adds to memory at places that data gives; nothing else runs in it");
  CHECK(reason(all, 0, 2) == "`b` also needs `s`, which is computed after the first kernel");
}
