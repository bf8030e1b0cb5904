// Recomputation: what is read is still what was stored, in less memory.
#include "passes/loop/fit.h"

#include <doctest/doctest.h>

#include "passes/loop/slice.h"
#include "passes/lower/lower.h"
#include "passes/pass_manager.h"
#include "tests/loop/simulator.h"
#include "tests/support/finite_difference.h"
#include "tests/support/random_graph.h"
#include "tests/support/text.h"

using namespace dlc;

namespace {

loop::Program planned(const Graph& g, const std::vector<std::string>& passes) {
  loop::Program p = lower(run_passes(g, passes, {.verify = true}));
  run_loop_passes(p, true);
  return p;
}

Extents extents_of(const loop::Program& p, std::int64_t n) {
  Extents result;
  for (const std::string& s : p.symbols) result[s] = n;
  return result;
}

const loop::Kernel& kernel(const loop::Program& p, std::string_view part) {
  for (const loop::Kernel& k : p.kernels)
    if (k.name.find(part) != std::string::npos) return k;
  FAIL("no kernel ", std::string(part));
  return p.kernels[0];
}

bool has_kernel(const loop::Program& p, std::string_view part) {
  return std::any_of(p.kernels.begin(), p.kernels.end(),
                     [&](const loop::Kernel& k) { return k.name.find(part) != std::string::npos; });
}

/// `first` defines %e, which is read at once by a wide product and again at the end by `last`.
loop::Program early_and_late(const std::string& first, const std::string& last) {
  return planned(graph_of(R"(
    graph g {
      %x: f32[N, 64] = input input
      %w: f32[64, 64] = input param
      %p: f32[64] = input param
      %up: f32[64, 256] = input param
      %down: f32[256, 64] = input param
)" + first + R"(
      %a: f32[N, 256] = contract %e, %up {lhs = "nk", rhs = "km", out = "nm"}
      %b: f32[N, 64] = contract %a, %down {lhs = "nk", rhs = "km", out = "nm"}
)" + last + R"(
      output output "d" = %d
    })"),
                 {"fuse"});
}

const std::string kLast = R"(
      %c: f32[N, 64] = contract %b, %w {lhs = "nk", rhs = "km", out = "nm"}
      %d: f32[N, 64] = add %c, %e)";

}  // namespace

TEST_CASE("random programs in less memory") {
  int tried = 0, fitted = 0, recomputed = 0;
  for (unsigned seed = 0; seed < 250; ++seed) {
    CAPTURE(seed);
    const loop::Program p = planned(with_gradients(random_graph(seed, ElementType::F32)),
                                    default_pipeline(PipelineEnd::Fused, false));
    const Extents extents = extents_of(p, 200);
    const std::int64_t whole = p.arena_bytes.evaluate(extents);
    for (const int percent : {95, 80, 60, 30}) {
      CAPTURE(percent);
      const std::int64_t limit = whole * percent / 100;
      const Fitted f = fit_memory(p, extents, limit);
      loop::verify(f.program);
      CHECK(f.arena_bytes == f.program.arena_bytes.evaluate(extents));
      CHECK(f.arena_bytes <= whole);
      for (const std::int64_t n : {1, 3}) CHECK(memory_error(f.program, n) == "");
      ++tried;
      fitted += f.arena_bytes <= limit;
      recomputed += f.recomputed;
    }
  }
  CHECK(tried == 1000);
  CHECK(fitted > 40);
  CHECK(recomputed > 100);
}

TEST_CASE("a program that fits stays as it is") {
  const loop::Program p =
      planned(random_graph(3, ElementType::F32), default_pipeline(PipelineEnd::Fused, false));
  const Extents extents = extents_of(p, 64);
  const Fitted f = fit_memory(p, extents, p.arena_bytes.evaluate(extents));
  CHECK(loop::print(f.program) == loop::print(p));
  CHECK(f.recomputed == 0);
}

TEST_CASE("the peak names what is alive, the largest first") {
  const loop::Program p = planned(graph_of(R"(
    graph g {
      %x: f32[N, 64] = input input
      %w: f32[64, 64] = input param
      %wide: f32[64, 256] = input param
      %a: f32[N, 64] = contract %x, %w {lhs = "nk", rhs = "km", out = "nm"}
      %b: f32[N, 256] = contract %a, %wide {lhs = "nk", rhs = "km", out = "nm"}
      %c: f32[64, 256] = contract %a, %b {lhs = "nk", rhs = "nm", out = "km"}
      output output "c" = %c
    })"),
                                  {"fuse"});
  const MemoryPeak peak = memory_peak(p, {{"N", 100}});
  REQUIRE(peak.alive.size() == 2);
  CHECK(p.buffers[static_cast<std::size_t>(peak.alive[0].buffer)].name.starts_with("b."));
  CHECK(peak.alive[0].bytes == 100 * 256 * 4);
  CHECK(peak.bytes == 100 * 320 * 4);
  CHECK(p.kernels[static_cast<std::size_t>(peak.alive[1].made_by)].name.ends_with("_a"));
}

TEST_CASE("an elementwise value is computed again before its late reader") {
  const loop::Program p = early_and_late("%e: f32[N, 64] = exp %x", kLast);
  CHECK(p.arena_bytes.str() == "1536*N");  // e, a and b while b is computed
  const Fitted f = fit_memory(p, {{"N", 100}}, 1280 * 100);
  CHECK(f.recomputed == 1);
  CHECK(f.program.arena_bytes.str() == "1280*N");
  REQUIRE(f.program.kernels.size() == 5);
  CHECK(f.program.kernels[3].name == "k0_e_again");
  CHECK(memory_error(f.program, 4) == "");
}

TEST_CASE("before a parameter that it reads is updated") {
  const std::string first = R"(
      %ps: f32[N, 64] = broadcast %p {dims = [1], shape = (N, 64)}
      %e: f32[N, 64] = mul %x, %ps)";
  const std::string update = R"(
      %g: f32[64] = reduce_sum %b {axes = [0]}
      %next: f32[64] = sub %p, %g)";
  const loop::Program free =
      early_and_late(first, update + kLast + "\n output output \"o\" = %next");
  const Extents extents{{"N", 100}};
  CHECK(fit_memory(free, extents, 1290 * 100).recomputed == 1);
  const loop::Program updated =
      early_and_late(first, update + kLast + "\n output update \"p\" = %next");
  REQUIRE(has_kernel(updated, "next"));
  const Fitted f = fit_memory(updated, extents, 1290 * 100);
  CHECK(f.recomputed == 1);
  CHECK(f.arena_bytes <= 1290 * 100);
  const auto position = [&](std::string_view part) {
    const auto& kernels = f.program.kernels;
    return std::find_if(kernels.begin(), kernels.end(),
                        [&](const loop::Kernel& k) { return k.name.ends_with(part); }) -
           kernels.begin();
  };
  REQUIRE(has_kernel(f.program, "next"));
  CHECK(position("_e_again") < position("_next"));
}

TEST_CASE("of a contraction's epilogue only what follows the stored sum is computed again") {
  const loop::Program p = early_and_late(R"(
      %z: f32[N, 64] = contract %x, %w {lhs = "nk", rhs = "km", out = "nm"}
      %e: f32[N, 64] = exp %z)",
                                         R"(
      %c: f32[N, 64] = contract %b, %w {lhs = "nk", rhs = "km", out = "nm"}
      %s: f32[N, 64] = sub %c, %z
      %d: f32[N, 64] = add %s, %e)");
  CHECK(p.arena_bytes.str() == "1792*N");
  const Fitted f = fit_memory(p, {{"N", 100}}, 1536 * 100);
  CHECK(f.recomputed == 1);
  const loop::Kernel& again = kernel(f.program, "_again");
  CHECK(again.contraction.empty());
  CHECK(loop::print(again, f.program).find("exp(z.") != std::string::npos);
  CHECK(memory_error(f.program, 4) == "");
  // The sum itself is not: less than z, a and b it cannot be.
  CHECK(fit_memory(p, {{"N", 100}}, 1500 * 100).arena_bytes == 1536 * 100);
}

TEST_CASE("a row kernel is repeated as a whole, its sums in the same order") {
  const loop::Program p = early_and_late(R"(
      %top: f32[N] = reduce_max %x {axes = [1]}
      %tops: f32[N, 64] = broadcast %top {dims = [0], shape = (N, 64)}
      %shifted: f32[N, 64] = sub %x, %tops
      %exps: f32[N, 64] = exp %shifted
      %sum: f32[N] = reduce_sum %exps {axes = [1]}
      %sums: f32[N, 64] = broadcast %sum {dims = [0], shape = (N, 64)}
      %e: f32[N, 64] = div %exps, %sums)",
                                         kLast);
  const Fitted f = fit_memory(p, {{"N", 100}}, 1280 * 100);
  CHECK(f.recomputed == 1);
  CHECK(f.program.arena_bytes.str() == "1280*N");
  const loop::Kernel &first = f.program.kernels[0], &again = kernel(f.program, "_again");
  CHECK(again.stages.size() == first.stages.size());
  CHECK(again.exprs.size() == first.exprs.size());
  CHECK(memory_error(f.program, 4) == "");
}

TEST_CASE("what nobody reads in between is only made later") {
  // One kernel makes both; f is read at the end only.
  const loop::Program p = early_and_late(R"(
      %e: f32[N, 64] = exp %x
      %f: f32[N, 64] = tanh %x)",
                                         R"(
      %c: f32[N, 64] = contract %b, %w {lhs = "nk", rhs = "km", out = "nm"}
      %s: f32[N, 64] = contract %c, %w {lhs = "nk", rhs = "km", out = "nm"}
      %d: f32[N, 64] = contract %f, %w {lhs = "nk", rhs = "km", out = "nm"}
      output output "s" = %s)");
  const Fitted f = fit_memory(p, {{"N", 100}}, 1280 * 100);
  CHECK(f.arena_bytes <= 1280 * 100);
  CHECK(f.recomputed == 0);
  CHECK(memory_error(f.program, 4) == "");
}
