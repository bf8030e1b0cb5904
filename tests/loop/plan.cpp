// The memory plan: what lives at the same time never shares a byte, and what does not does.
#include <doctest/doctest.h>

#include "ir/graph/builder.h"
#include "ir/graph/text.h"
#include "passes/lower/lower.h"
#include "passes/pass_manager.h"
#include "tests/loop/simulator.h"
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

std::map<std::string, std::int64_t> symbols_as(const loop::Program& p, std::int64_t n) {
  std::map<std::string, std::int64_t> symbols;
  for (const std::string& s : p.symbols) symbols[s] = n;
  return symbols;
}

struct Sizes {
  std::int64_t arena = 0, sum = 0;
};

/// Temporaries lie within the arena.
Sizes check_places(const loop::Program& p, std::int64_t n) {
  const auto symbols = symbols_as(p, n);
  Sizes sizes{whole_lines(p.arena_bytes.evaluate(symbols)), 0};
  for (const loop::Buffer& buffer : p.buffers) {
    if (buffer.kind != loop::BufferKind::Temp) continue;
    const std::int64_t begin = whole_lines(buffer.arena_offset.evaluate(symbols));
    const std::int64_t bytes =
        element_count(buffer.type.shape).evaluate(symbols) * size_in_bytes(buffer.type.element);
    CHECK(begin >= 0);
    CHECK(begin + bytes <= sizes.arena);
    sizes.sum += bytes;
  }
  return sizes;
}

Sizes check_plan(const loop::Program& p, std::int64_t n) {
  CHECK(memory_error(p, n) == "");
  return check_places(p, n);
}

loop::BufferId find(const loop::Program& p, std::string_view name) {
  for (std::size_t b = 0; b < p.buffers.size(); ++b)
    if (p.buffers[b].name.starts_with(std::string(name) + ".")) return static_cast<int>(b);
  FAIL("no buffer ", std::string(name));
  return -1;
}

/// "" or the temporary that `name` takes over.
std::string in_place_of(const loop::Program& p, std::string_view name) {
  const loop::BufferId of = p.buffers[static_cast<std::size_t>(find(p, name))].in_place_of;
  return of < 0 ? "" : p.buffers[static_cast<std::size_t>(of)].name;
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

TEST_CASE("whatever is read is what was stored there") {
  int temporaries = 0, in_place = 0;
  for (unsigned seed = 0; seed < 300; ++seed) {
    const Graph plain = random_graph(seed, seed % 2 ? ElementType::F32 : ElementType::F64);
    const loop::Program p = planned(seed % 3 ? with_gradients(plain) : plain);
    CAPTURE(seed);
    for (const std::int64_t n : {1, 2, 5}) check_plan(p, n);
    for (const std::int64_t n : {17, 1000}) check_places(p, n);
    for (const loop::Buffer& b : p.buffers) {
      temporaries += b.kind == loop::BufferKind::Temp;
      in_place += b.in_place_of >= 0;
    }
  }
  CHECK(temporaries > 1000);
  CHECK(in_place > 100);
}

TEST_CASE("the simulator finds what is wrong with a plan") {
  int found = 0, tried = 0;
  for (unsigned seed = 0; seed < 40; ++seed) {
    loop::Program p = planned(with_gradients(random_graph(seed, ElementType::F32)));
    for (loop::Buffer& b : p.buffers)
      if (b.kind == loop::BufferKind::Temp) b.arena_offset = Dim(0);  // all in one place
    ++tried;
    found += memory_error(p, 3) != "";
  }
  CHECK(found > tried * 3 / 4);
}

TEST_CASE("row kernels work in place: softmax between two layers") {
  const auto between_layers = [](int width) {
    return planned(graph_of(fmt::format(R"(
    graph g {{
      %x: f32[N, {0}] = input input
      %w: f32[{0}, {0}] = input param
      %xw: f32[N, {0}] = contract %x, %w {{lhs = "nk", rhs = "km", out = "nm"}}
      %top: f32[N] = reduce_max %xw {{axes = [1]}}
      %tops: f32[N, {0}] = broadcast %top {{dims = [0], shape = (N, {0})}}
      %shifted: f32[N, {0}] = sub %xw, %tops
      %e: f32[N, {0}] = exp %shifted
      %sum: f32[N] = reduce_sum %e {{axes = [1]}}
      %sums: f32[N, {0}] = broadcast %sum {{dims = [0], shape = (N, {0})}}
      %p: f32[N, {0}] = div %e, %sums
      %z: f32[N, {0}] = contract %p, %w {{lhs = "nk", rhs = "km", out = "nm"}}
      output output "z" = %z
    }})",
                                        width)));
  };
  const loop::Program p = between_layers(8);
  CHECK(in_place_of(p, "e").starts_with("xw."));
  CHECK(in_place_of(p, "p").starts_with("e."));
  CHECK(p.arena_bytes.str() == "32*N+64");
  check_plan(p, 3);
  // Of a longer row the exponentials are no temporary.
  const loop::Program longer = between_layers(64);
  CHECK(in_place_of(longer, "p").starts_with("xw."));
  CHECK(longer.arena_bytes.str() == "256*N");
  check_plan(longer, 3);
}

TEST_CASE("an epilogue works in place, but never on an operand") {
  const std::string text = R"(
    graph g {
      %x: f32[N, 16] = input input
      %w: f32[16, 16] = input param
      %xw: f32[N, 16] = contract %x, %w {lhs = "nk", rhs = "km", out = "nm"}
      %h: f32[N, 16] = exp %xw
      %hw: f32[N, 16] = contract %h, %w {lhs = "nk", rhs = "km", out = "nm"}
      %q: f32[N, 16] = tanh %hw
      %qw: f32[N, 16] = contract OPERAND, %w {lhs = "nk", rhs = "km", out = "nm"}
      %d: f32[N, 16] = mul %qw, %h
      %z: f32[N, 16] = contract %d, %w {lhs = "nk", rhs = "km", out = "nm"}
      %s: f32[N, 16] = add %z, %q
      output output "s" = %s
    })";
  const auto with = [&](const std::string& operand) {
    std::string t = text;
    return planned(graph_of(t.replace(t.find("OPERAND"), 7, operand)));
  };
  const loop::Program other = with("%q");
  CHECK(in_place_of(other, "d").starts_with("h."));
  check_plan(other, 5);
  const loop::Program same = with("%h");
  CHECK(in_place_of(same, "d") == "");
  check_plan(same, 5);
}

TEST_CASE("not in place: other elements, other sizes of elements, a later stage that reads again") {
  const auto graph =
      [](const std::string& type, const std::string& middle) {
        return graph_of(R"(
    graph g {
      %x: f32[8, 8] = input input
      %w: f32[8, 8] = input param
      %v: )" + type + R"([8, 8] = input param
      %t: f32[8, 8] = contract %x, %w {lhs = "nk", rhs = "km", out = "nm"}
      )" + middle + R"(
      %z: )" + type + R"([8, 8] = contract %u, %v {lhs = "nk", rhs = "km", out = "nm"}
      output output "z" = %z
    })");
      };
  // The sum reads all of row n, and u[n, m] is stored for each m of it.
  const loop::Program rows = planned(graph("f32", R"(
      %all: f32[8] = reduce_sum %t {axes = [1]}
      %alls: f32[8, 8] = broadcast %all {dims = [0], shape = (8, 8)}
      %u: f32[8, 8] = sub %t, %alls)"));
  CHECK(in_place_of(rows, "u").starts_with("t."));
  check_plan(rows, 1);
  const loop::Program symmetric = planned(graph("f32", R"(
      %turned: f32[8, 8] = transpose %t {perm = [1, 0]}
      %u: f32[8, 8] = sub %t, %turned)"));
  CHECK(in_place_of(symmetric, "u") == "");
  check_plan(symmetric, 1);
  const loop::Program backwards = planned(graph("f32", R"(
      %back: f32[8, 8] = reverse %t {axes = [0]}
      %e: f32[8, 8] = exp %back
      %u: f32[8, 8] = mul %e, %t)"));
  CHECK(in_place_of(backwards, "u") == "");
  check_plan(backwards, 1);
  const loop::Program wider = planned(graph("f64", R"(
      %f: f32[8, 8] = exp %t
      %u: f64[8, 8] = convert %t {element = "f64"})"));
  CHECK(in_place_of(wider, "u") == "");
  check_plan(wider, 1);
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
