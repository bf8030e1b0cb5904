// The order pass: the same kernels, what depends on what in the given order, no larger an arena.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <set>

#include "passes/lower/lower.h"
#include "passes/pass_manager.h"
#include "tests/loop/simulator.h"
#include "tests/support/finite_difference.h"
#include "tests/support/random_graph.h"
#include "tests/support/text.h"

using namespace dlc;

namespace {

loop::Program lowered(const Graph& g) {
  return lower(run_passes(g, default_pipeline(PipelineEnd::Fused, false), {.verify = true}));
}

void run(const char* pass, loop::Program& p) {
  find_loop_pass(pass)->run(p);
  loop::verify(p);
}

struct Touched {
  std::set<int> reads, writes;
};

Touched touched(const loop::Program& p, const loop::Kernel& k) {
  const auto memory = [&](int b) {
    const int alias = p.buffers[static_cast<std::size_t>(b)].alias;
    return alias >= 0 ? alias : b;
  };
  Touched t;
  for (const loop::Expr& e : k.exprs)
    if (e.kind == loop::ExprKind::Load) t.reads.insert(memory(e.buffer));
  for (const loop::Contraction& c : k.contraction)
    t.reads.insert(memory(c.a)), t.reads.insert(memory(c.b));
  for (const loop::Stage& s : k.stages)
    for (const loop::Store& st : s.stores) t.writes.insert(memory(st.buffer));
  return t;
}

bool meet(const std::set<int>& a, const std::set<int>& b) {
  return std::any_of(a.begin(), a.end(), [&](int v) { return b.contains(v); });
}

/// How many pairs of kernels have changed places; a pair that depends on each other must not.
int check_order(const loop::Program& before, const loop::Program& after) {
  REQUIRE(before.kernels.size() == after.kernels.size());
  std::vector<std::string> names;
  for (const loop::Kernel& k : after.kernels) names.push_back(loop::print(k, after));
  std::vector<std::size_t> place;  // of the given program's kernels
  std::set<std::size_t> taken;
  for (const loop::Kernel& k : before.kernels)
    for (std::size_t at = 0; at < names.size(); ++at)
      if (names[at] == loop::print(k, before) && taken.insert(at).second) {
        place.push_back(at);
        break;
      }
  REQUIRE(place.size() == before.kernels.size());
  int swapped = 0;
  for (std::size_t a = 0; a < place.size(); ++a)
    for (std::size_t b = a + 1; b < place.size(); ++b) {
      if (place[a] < place[b]) continue;
      ++swapped;
      const Touched x = touched(before, before.kernels[a]), y = touched(before, before.kernels[b]);
      CHECK(!meet(x.writes, y.reads));
      CHECK(!meet(x.reads, y.writes));
      CHECK(!meet(x.writes, y.writes));
    }
  return swapped;
}

/// Checks the pass on `p`; returns whether it has changed something.
bool check(const loop::Program& p, const std::vector<std::int64_t>& extents) {
  loop::Program given = p, ordered = p;
  run("plan", given);
  run("order", ordered);
  const bool changed = check_order(p, ordered) > 0;
  run("plan", ordered);
  for (const std::int64_t n : extents) {
    std::map<std::string, std::int64_t> symbols;
    for (const std::string& s : p.symbols) symbols[s] = n;
    CHECK(ordered.arena_bytes.evaluate(symbols) <= given.arena_bytes.evaluate(symbols));
  }
  if (changed) CHECK(!(ordered.arena_bytes == given.arena_bytes));
  CHECK(memory_error(ordered, 3) == "");
  return changed;
}

}  // namespace

TEST_CASE("random programs: dependences hold, the arena is never larger") {
  int changed = 0, small = 0;
  for (unsigned seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    const Graph plain = random_graph(seed, ElementType::F32);
    const loop::Program p = lowered(seed % 2 ? with_gradients(plain) : plain);
    const bool now = check(p, {1, 2, 17, 256, 1000});
    changed += now;
    small += now && p.kernels.size() <= 12;
  }
  CHECK(changed > 20);
  CHECK(small > 0);  // both ways of searching have been at work
  CHECK(small < changed);
}

TEST_CASE("many branches, each reduced to a number: one place is enough") {
  std::string text = "graph g {\n  %x: f32[N, 64] = input input\n  %w: f32[64, 64] = input param\n";
  const int branches = 30;
  for (int k = 0; k < branches; ++k)
    text += fmt::format(
        "  %y{0}: f32[N, 64] = contract %x, %w {{lhs = \"nk\", rhs = \"km\", out = \"nm\"}}\n", k);
  for (int k = 0; k < branches; ++k)
    text += fmt::format(
        "  %s{0}: f32[] = contract %y{0}, %x {{lhs = \"nk\", rhs = \"nk\", out = \"\"}}\n", k);
  for (int k = 0; k < branches; ++k) text += fmt::format("  output output \"s{0}\" = %s{0}\n", k);
  loop::Program p = lower(run_passes(graph_of(text + "}\n"), {"fuse"}, {.verify = true}));
  // All matrices first, then all numbers.
  std::stable_partition(p.kernels.begin(), p.kernels.end(),
                        [](const loop::Kernel& k) { return k.outer.size() == 2; });
  loop::Program given = p;
  run("plan", given);
  CHECK(given.arena_bytes.str() == "7680*N");
  CHECK(check(p, {1, 100}));
  run("order", p), run("plan", p);
  CHECK(p.arena_bytes.str() == "256*N");
}
