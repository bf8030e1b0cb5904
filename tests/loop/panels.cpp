// Copies of the matrices that all turns of a scan multiply by.
#include <doctest/doctest.h>

#include "passes/lower/lower.h"
#include "tests/loop/simulator.h"
#include "tests/support/text.h"

using namespace dlc;

namespace {

loop::Program planned(const std::string& text) {
  loop::Program p = lower(
      run_passes(graph_of(text), default_pipeline(PipelineEnd::Fused, false), {.verify = true}));
  run_loop_passes(p, true);
  CHECK(memory_error(p, 9) == "");
  return p;
}

int copies(const loop::Program& p) {
  int count = 0;
  for (const loop::Kernel& k : p.kernels)
    for (const loop::Contraction& c : k.contraction) count += !c.copied.empty();
  return count;
}

const char* const kTurn = R"(
      %h: f32[N, 64] = input carried  %x: f32[N, 64] = input scanned
      %w: f32[64, 64] = input captured
      %y: f32[N, 64] = contract %h, %w {lhs = "nk", rhs = "km", out = "nm"}
      %z: f32[N, 64] = add %y, %x  output carry "h" = %z
    )";

/// h = h * w + x in each turn, and an update of w, if any.
std::string recurrence(const std::string& length, const std::string& update) {
  return R"(graph train_step {
    %h0: f32[N, 64] = input input  %x: f32[)" +
         length + R"(, N, 64] = input input
    %w: f32[64, 64] = input param
    %s: (f32[N, 64]) = scan %h0, %x, %w {body = graph body {)" +
         kTurn + R"(}, length = ()" + length + R"(), reverse = 0}
    %last: f32[N, 64] = part %s {index = 0}
    output output "y" = %last
    )" + update +
         " }";
}
const char* const kUpdate = R"(%sum: f32[] = reduce_sum %last {axes = [0, 1]}
    %d: f32[64, 64] = grad %sum, %w  %new: f32[64, 64] = sub %w, %d
    output loss "loss" = %sum output update "w" = %new)";

}  // namespace

TEST_CASE("a recurrent weight is copied before the scan, for its gradient turned over") {
  const loop::Program p = planned(recurrence("T", kUpdate));
  CHECK(copies(p) == 2);
  REQUIRE(p.loops.size() == 2);
  for (std::size_t k = 0; k < p.kernels.size(); ++k)
    for (const loop::Contraction& c : p.kernels[k].contraction) {
      if (c.copied.empty()) continue;
      const bool backward = static_cast<int>(k) >= p.loops[1].first;
      CHECK(p.buffers[static_cast<std::size_t>(c.copied[0].buffer)].name == "w");
      CHECK(c.copied[0].n_stride == Dim(backward ? 64 : 1));
      const loop::Loop& l = p.loops[backward ? 1 : 0];
      const loop::Kernel& copy = p.kernels[static_cast<std::size_t>(l.first) - 1];
      CHECK(copy.stages[0].stores[0].buffer == c.b);
    }
}

TEST_CASE("what does not train, or runs a few turns, has no copies") {
  CHECK(copies(planned(recurrence("T", ""))) == 0);
  // A state that goes on to the next character.
  std::string says = recurrence("T", "output update \"h0\" = %last");
  const std::string input = "%h0: f32[N, 64] = input input";
  says.replace(says.find(input), input.size(), "%h0: f32[N, 64] = input state");
  CHECK(copies(planned(says)) == 0);
  CHECK(copies(planned(recurrence("7", kUpdate))) == 0);
  CHECK(copies(planned(recurrence("8", kUpdate))) == 2);
}

TEST_CASE("a matrix that turns change stays where it is") {
  CHECK(copies(planned(R"(graph train_step {
    %h0: f32[N, 64] = input input  %x: f32[T, N, 64] = input input
    %w0: f32[64, 64] = input param
    %s: (f32[N, 64], f32[64, 64]) = scan %h0, %w0, %x {body = graph body {
      %h: f32[N, 64] = input carried  %w: f32[64, 64] = input carried
      %x: f32[N, 64] = input scanned
      %y: f32[N, 64] = contract %h, %w {lhs = "nk", rhs = "km", out = "nm"}
      %v: f32[64, 64] = tanh %w  %z: f32[N, 64] = add %y, %x
      output carry "h" = %z  output carry "w" = %v
    }, length = (T), reverse = 0}
    %last: f32[N, 64] = part %s {index = 0}  %new: f32[64, 64] = part %s {index = 1}
    output output "y" = %last  output update "w0" = %new })")) == 0);
}

TEST_CASE("of a scan in a scan the copy is made before both") {
  const loop::Program p = planned(R"(graph train_step {
    %h0: f32[N, 64] = input input  %x: f32[S, T, N, 64] = input input
    %w: f32[64, 64] = input param
    %s: (f32[N, 64]) = scan %h0, %x, %w {body = graph outer {
      %h: f32[N, 64] = input carried  %xs: f32[T, N, 64] = input scanned
      %w: f32[64, 64] = input captured
      %t: (f32[N, 64]) = scan %h, %xs, %w {body = graph inner {)" +
                                  std::string(kTurn) + R"(}, length = (T), reverse = 0}
      %u: f32[N, 64] = part %t {index = 0}  output carry "h" = %u
    }, length = (S), reverse = 0}
    %last: f32[N, 64] = part %s {index = 0}
    %half: f32[] = constant 0.5  %halves: f32[64, 64] = broadcast %half {dims = [], shape = (64, 64)}
    %new: f32[64, 64] = mul %w, %halves
    output output "y" = %last  output update "w" = %new })");
  CHECK(copies(p) == 1);
  REQUIRE(p.loops.size() == 2);
  for (const loop::Kernel& k : p.kernels)
    for (const loop::Contraction& c : k.contraction) {
      const loop::Kernel& copy = p.kernels[static_cast<std::size_t>(p.loops[0].first) - 1];
      CHECK(copy.stages[0].stores[0].buffer == c.b);
    }
}
