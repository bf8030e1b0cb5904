// The memory plan: what lives at the same time never shares a byte, and what does not does.
#include <doctest/doctest.h>

#include "ir/graph/builder.h"
#include "ir/graph/text.h"
#include "passes/lower/lower.h"
#include "passes/pass_manager.h"
#include "tests/support/finite_difference.h"
#include "tests/support/random_graph.h"
#include "tests/support/text.h"

using namespace dlc;

namespace {

loop::Program planned(const Graph& g) {
  loop::Program p =
      lower(run_passes(g, default_pipeline(PipelineEnd::Fused, false), {.verify = true}));
  run_loop_passes(p, true);
  return p;
}

struct Life {
  int first = -1, last = -1;
};

/// The kernels that touch a buffer, found anew.
Life life(const loop::Program& p, int buffer) {
  Life l;
  for (int k = 0; k < static_cast<int>(p.kernels.size()); ++k) {
    const loop::Kernel& kernel = p.kernels[static_cast<std::size_t>(k)];
    bool used = false;
    for (const loop::Expr& e : kernel.exprs)
      used = used || (e.kind == loop::ExprKind::Load && e.buffer == buffer);
    for (const loop::Contraction& c : kernel.contraction)
      used = used || c.a == buffer || c.b == buffer;
    for (const loop::Stage& s : kernel.stages)
      for (const loop::Store& store : s.stores) used = used || store.buffer == buffer;
    if (!used) continue;
    if (l.first < 0) l.first = k;
    l.last = k;
  }
  return l;
}

struct Sizes {
  std::int64_t arena = 0, sum = 0;
};

Sizes check_plan(const loop::Program& p, std::int64_t n) {
  std::map<std::string, std::int64_t> symbols;
  for (const std::string& s : p.symbols) symbols[s] = n;
  struct Place {
    Life life;
    std::int64_t begin, end;
  };
  Sizes sizes{p.arena_bytes.evaluate(symbols), 0};
  std::vector<Place> places;
  for (std::size_t b = 0; b < p.buffers.size(); ++b) {
    const loop::Buffer& buffer = p.buffers[b];
    if (buffer.kind != loop::BufferKind::Temp) continue;
    const std::int64_t begin = buffer.arena_offset.evaluate(symbols);
    const std::int64_t bytes =
        element_count(buffer.type.shape).evaluate(symbols) * size_in_bytes(buffer.type.element);
    CHECK(begin % 64 == 0);
    CHECK(begin >= 0);
    CHECK(begin + bytes <= sizes.arena);
    sizes.sum += bytes;
    places.push_back({life(p, static_cast<int>(b)), begin, begin + bytes});
  }
  for (std::size_t a = 0; a < places.size(); ++a)
    for (std::size_t b = a + 1; b < places.size(); ++b) {
      const Place &x = places[a], &y = places[b];
      const bool together = x.life.first <= y.life.last && y.life.first <= x.life.last;
      const bool overlap = x.begin < y.end && y.begin < x.end;
      CHECK(!(together && overlap));
    }
  return sizes;
}

/// A chain of dense layers, each a stored contraction.
std::string chain(int layers, const std::string& width) {
  std::string text = "graph chain {\n  %x: f32[N, " + width + "] = input input\n  %w: f32[" +
                     width + ", " + width + "] = input param\n";
  std::string last = "%x";
  for (int k = 0; k < layers; ++k) {
    const std::string next = "%y" + std::to_string(k);
    text += "  " + next + ": f32[N, " + width + "] = contract " + last +
            ", %w {lhs = \"nk\", rhs = \"km\", out = \"nm\"}\n";
    last = next;
  }
  return text + "  output output \"y\" = " + last + "\n}\n";
}

}  // namespace

TEST_CASE("no two temporaries that live at the same time share bytes") {
  int temporaries = 0;
  for (unsigned seed = 0; seed < 200; ++seed) {
    const loop::Program p = planned(with_gradients(random_graph(seed, ElementType::F32)));
    for (const std::int64_t n : {1, 2, 17, 1000}) check_plan(p, n);
    for (const loop::Buffer& b : p.buffers) temporaries += b.kind == loop::BufferKind::Temp;
  }
  CHECK(temporaries > 1000);
}

TEST_CASE("a chain of layers runs in two places") {
  const loop::Program p = planned(graph_of(chain(8, "64")));
  for (const std::int64_t n : {1, 100}) {
    const Sizes sizes = check_plan(p, n);
    CHECK(sizes.sum == 7 * n * 64 * 4);
    CHECK(sizes.arena == 2 * n * 64 * 4);
  }
}

TEST_CASE("symbolic sizes: a place is taken over only by what fits for every value") {
  const loop::Program p = planned(graph_of(R"(
    graph g {
      %x: f32[N, 8] = input input
      %t: f32[T, 8] = input input
      %w: f32[8, 8] = input param
      %a: f32[N, 8] = contract %x, %w {lhs = "nk", rhs = "km", out = "nm"}
      %b: f32[N, 8] = contract %a, %w {lhs = "nk", rhs = "km", out = "nm"}
      %c: f32[T, 8] = contract %t, %w {lhs = "nk", rhs = "km", out = "nm"}
      %d: f32[T, 8] = contract %c, %w {lhs = "nk", rhs = "km", out = "nm"}
      output output "b" = %b
      output output "d" = %d
    })"));
  CHECK(p.arena_bytes.symbols() == std::vector<std::string>{"N", "T"});
  check_plan(p, 5);
}

TEST_CASE("a temporary that nothing reads after its kernel frees its place") {
  // Without reuse the gradient step of a deep chain would keep every intermediate twice.
  const Graph g = graph_of(chain(6, "32"));
  Graph loss = g;
  GraphBuilder b(loss);
  const Value y = loss.outputs[0].value;
  loss.outputs.clear();
  b.output("loss", OutputKind::Loss, b.reduce(Op::reduce_sum, b.mul(y, y), {0, 1}));
  const loop::Program p = planned(with_gradients(loss));
  const Sizes sizes = check_plan(p, 64);
  CHECK(sizes.arena < sizes.sum);
}
