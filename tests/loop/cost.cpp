// Operations and bytes of kernels, as polynomials.
#include "ir/loop/cost.h"

#include <doctest/doctest.h>

#include "passes/lower/lower.h"
#include "tests/support/text.h"

using namespace dlc;

namespace {

std::vector<std::string> costs(const char* text) {
  const loop::Program p =
      lower(run_passes(graph_of(text), default_pipeline(PipelineEnd::Fused, false), {}));
  std::vector<std::string> result;
  for (const loop::Kernel& k : p.kernels) {
    const loop::KernelCost c = loop::cost(k, p);
    result.push_back(c.flops.str() + " | " + c.read.str() + " | " + c.written.str());
  }
  return result;
}

}  // namespace

TEST_CASE("a contraction and its epilogue") {
  CHECK(costs(R"(graph g {
    %x: f32[N, 8] = input input  %w: f32[8, 4] = input param  %b: f32[4] = input param
    %y: f32[N, 4] = contract %x, %w {lhs = "ab", rhs = "bc", out = "ac"}
    %bb: f32[N, 4] = broadcast %b {dims = [1], shape = (N, 4)}
    %z: f32[N, 4] = add %y, %bb
    output output "z" = %z })") == std::vector<std::string>{"68*N | 32*N+144 | 16*N"});
}

TEST_CASE("half of the products under a triangular mask") {
  loop::Program p = lower(run_passes(graph_of(R"(graph g {
    %q: f32[T, 8] = input input  %k: f32[T, 8] = input input
    %s: f32[T, T] = contract %q, %k {lhs = "id", rhs = "jd", out = "ij"}
    %at: i32[T] = iota {axis = 0, element = "i32", shape = (T)}
    %j: i32[T, T] = broadcast %at {dims = [1], shape = (T, T)}
    %i: i32[T, T] = broadcast %at {dims = [0], shape = (T, T)}
    %seen: bool[T, T] = le %j, %i
    %zero: f32[] = constant 0.0
    %zeros: f32[T, T] = broadcast %zero {dims = [], shape = (T, T)}
    %y: f32[T, T] = select %seen, %s, %zeros
    output output "y" = %y })"),
                                     default_pipeline(PipelineEnd::Fused, false), {}));
  const auto flops = [&] { return loop::cost(p.kernels[0], p).flops.str(); };
  CHECK(flops() == "16*T*T");
  find_loop_pass("bands")->run(p);
  CHECK(flops() == "8*T+8*T*T");
  loop::Contraction& c = p.kernels[0].contraction[0];
  c.bands[0].offset = 3;  // may reach beyond the last column
  CHECK(flops() == "16*T*T");
  c.bands[0].offset = -3;  // the first rows have none
  CHECK(flops() == "16*T*T");
}

TEST_CASE("a value that an axis does not change is counted once for it") {
  CHECK(costs(R"(graph g {
    %x: f32[N, 8] = input input  %s: f32[N] = input input
    %e: f32[N] = exp %s
    %eb: f32[N, 8] = broadcast %e {dims = [0], shape = (N, 8)}
    %y: f32[N, 8] = mul %x, %eb
    output output "y" = %y })") == std::vector<std::string>{"N | 4*N | 4*N", "8*N | 36*N | 32*N"});
}

TEST_CASE("sums, bytes, and rows by their numbers") {
  CHECK(costs(R"(graph g {
    %x: u8[N, 8] = input input  %i: i32[M] = input input
    %r: u8[M, 8] = gather %x, %i {axis = 0}
    %f: f32[M, 8] = convert %r {element = "f32"}
    %y: f32[M] = reduce_sum %f {axes = [1]}
    output output "y" = %y })") == std::vector<std::string>{"8*M | 12*M | 4*M"});
}

TEST_CASE("what is repeated is read and computed once") {
  CHECK(costs(R"(graph g {
    %x: f32[4, 4] = input input
    %y: f32[9, 4, 4] = broadcast %x {dims = [1, 2], shape = (9, 4, 4)}
    %z: f32[9, 4, 4] = neg %y
    output output "z" = %z })") == std::vector<std::string>{"16 | 64 | 576"});
}
