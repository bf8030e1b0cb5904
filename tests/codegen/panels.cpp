// Matrices in panels: a recurrence and its gradients at sizes around the panels', whatever their
// width.
#include "codegen/native/panels.h"

#include <doctest/doctest.h>

#include "ir/graph/text.h"
#include "passes/lower/lower.h"
#include "tests/support/compiled.h"
#include "tests/support/samples.h"
#include "tests/support/text.h"

using namespace dlc;

namespace {

/// h = tanh(h * w + x * v), of `inside` carried values; the update reads w's gradient, which the
/// transposed w leads to.
Graph recurrence(const char* element, int inside) {
  return graph_of(fmt::format(
      R"(graph train_step {{
    %h0: {0}[N, {1}] = input input  %x: {0}[T, N, {1}] = input input
    %w: {0}[{1}, {1}] = input param
    %s: ({0}[N, {1}]) = scan %h0, %x, %w {{body = graph body {{
      %h: {0}[N, {1}] = input carried  %x: {0}[N, {1}] = input scanned
      %w: {0}[{1}, {1}] = input captured
      %y: {0}[N, {1}] = contract %h, %w {{lhs = "nk", rhs = "km", out = "nm"}}
      %z: {0}[N, {1}] = add %y, %x  %t: {0}[N, {1}] = tanh %z  output carry "h" = %t
    }}, length = (T), reverse = 0}}
    %last: {0}[N, {1}] = part %s {{index = 0}}  %sum: {0}[] = reduce_sum %last {{axes = [0, 1]}}
    %d: {0}[{1}, {1}] = grad %sum, %w  %new: {0}[{1}, {1}] = sub %w, %d
    output output "y" = %last output loss "loss" = %sum output update "w" = %new }})",
      element, inside));
}

loop::Program kernels(const Graph& g) {
  loop::Program p = lower(run_passes(g, default_pipeline(PipelineEnd::Fused, false), {}));
  run_loop_passes(p, true);
  return p;
}

}  // namespace

TEST_CASE("a recurrence through panels, forward and backward") {
  for (const char* element : {"f32", "f64"})
    for (const int inside : {64, 72, 100, 129}) {
      const Graph g = recurrence(element, inside);
      CAPTURE(element);
      CAPTURE(inside);
      for (const int bits : {0, 512, 256, 128}) {
        CAPTURE(bits);
        const Compiled code(g, bits);
        for (const int n : {1, 5, 33}) {
          CAPTURE(n);
          const auto inputs = sample_values(g, -0.2, 0.2, n, 7);
          CHECK(compiled_distance(code, inputs) <= (element == std::string("f64") ? 1e-13 : 2e-5));
          CHECK(same_bits(code.run(inputs)[2], code.run(inputs, 3)[2]));
        }
      }
    }
}

TEST_CASE("where rows have two axes the original is read, forward; the gradient's is turned over") {
  const Graph g = graph_of(R"(graph train_step {
    %h0: f32[N, 3, 64] = input input  %x: f32[T, N, 3, 64] = input input
    %w: f32[64, 64] = input param
    %s: (f32[N, 3, 64]) = scan %h0, %x, %w {body = graph body {
      %h: f32[N, 3, 64] = input carried  %x: f32[N, 3, 64] = input scanned
      %w: f32[64, 64] = input captured
      %y: f32[N, 3, 64] = contract %h, %w {lhs = "nbk", rhs = "km", out = "nbm"}
      %z: f32[N, 3, 64] = add %y, %x  output carry "h" = %z
    }, length = (T), reverse = 0}
    %last: f32[N, 3, 64] = part %s {index = 0}
    %sum: f32[] = reduce_sum %last {axes = [0, 1, 2]}
    %d: f32[64, 64] = grad %sum, %w  %new: f32[64, 64] = sub %w, %d
    output output "y" = %last output loss "loss" = %sum output update "w" = %new })");
  for (const int bits : {0, 512, 256, 128})
    for (const int n : {1, 9})
      CHECK(compiled_distance(g, sample_values(g, -0.1, 0.1, n, 7), 2, bits) <= 2e-5);
}

TEST_CASE("panels are as wide as tiles, whole vectors, and the copy has room for them") {
  for (const int inside : {64, 100, 256}) {
    const loop::Program plain = kernels(recurrence("f32", inside));
    for (const int bits : {512, 256, 128}) {
      const loop::Program p = with_panels(plain, {.bits = bits});
      int panels = 0;
      for (const loop::Kernel& k : p.kernels)
        for (const loop::Contraction& c : k.contraction) {
          CHECK(c.copied.empty());
          if (c.panel == 0) continue;
          ++panels;
          CHECK(c.panel == c.schedule.vectors * bits / 32);
          const std::int64_t columns = (inside + c.panel - 1) / c.panel * c.panel;
          const Type& room = p.buffers[static_cast<std::size_t>(c.b)].type;
          CHECK(element_count(room.shape).value() >= columns * inside);
        }
      CHECK(panels == 2);
    }
  }
}

TEST_CASE("a unit for matrices has an arrangement of its own") {
  const loop::Program plain = kernels(recurrence("f32", 512));
  const loop::Program p = with_panels(plain, {.bits = 512, .bf16_matrices = true});
  int idle = 0;
  for (const loop::Kernel& k : p.kernels) {
    idle += k.stages.empty();
    for (const loop::Contraction& c : k.contraction) CHECK(c.panel == 0);
  }
  CHECK(idle == 1);  // what is turned over is copied nevertheless
}
