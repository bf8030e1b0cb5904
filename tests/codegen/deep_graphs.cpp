// Long chains and values that are used again and again: neither the compiler's time nor the code
// grows out of proportion, and the values are right.
#include <doctest/doctest.h>

#include <chrono>

#include "ir/graph/builder.h"
#include "ir/loop/loop.h"
#include "passes/lower/lower.h"
#include "passes/pass_manager.h"
#include "tests/support/compiled.h"
#include "tests/support/finite_difference.h"
#include "tests/support/samples.h"

using namespace dlc;

namespace {

const Type kType{ElementType::F64, {Dim::symbol("N"), 3}};

/// x, changed `count` times.
Graph chain(int count, const std::function<Value(GraphBuilder&, Value, int)>& next) {
  Graph g;
  GraphBuilder b(g);
  const Value x = b.input("x", InputKind::Input, kType);
  Value v = x;
  for (int k = 0; k < count; ++k) v = next(b, v, k);
  b.output("y", OutputKind::Output, v);
  b.output("loss", OutputKind::Loss, b.reduce(Op::reduce_sum, v, {0, 1}));
  return g;
}

void check(const Graph& g) {
  const auto start = std::chrono::steady_clock::now();
  const Compiled c(g);
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
  CHECK(spent.count() < 5);
  CHECK(compiled_distance(c, sample_values(g, 0.5, 1, 5, 1)) <= 1e-12);
}

}  // namespace

TEST_CASE("doubling: each value uses the last one twice") {
  const auto twice = [](GraphBuilder& b, Value v, int) {
    return b.sub(b.add(v, v), b.mul(v, b.splat(kType, 0.75)));
  };
  const Graph g = chain(60, twice);
  check(g);
  check(with_gradients(g));
  // And it can be printed.
  loop::Program p = lower(run_passes(g, default_pipeline(PipelineEnd::Fused, false), {}));
  run_loop_passes(p, true);
  CHECK(loop::print(p).size() < 100000);
}

TEST_CASE("a chain of a thousand operations") {
  check(chain(1000, [](GraphBuilder& b, Value v, int k) {
    return k % 2 ? b.mul(v, b.splat(kType, 0.999)) : b.add(v, b.splat(kType, 0.001));
  }));
}

TEST_CASE("a residual stream is stored once in a while, not summed anew by every reader") {
  const auto layer = [](GraphBuilder& b, Value v, int) {
    const Value w = b.input("w" + std::to_string(b.graph().inputs.size()), InputKind::Param,
                            {ElementType::F64, {3, 3}});
    return b.add(v, b.contract(v, w, "nk", "km", "nm"));
  };
  const Graph g = chain(12, layer);
  check(g);
  const loop::Program p = lower(run_passes(g, default_pipeline(PipelineEnd::Fused, false), {}));
  for (const loop::Kernel& k : p.kernels) {
    int loads = 0;
    for (const loop::Expr& e : k.exprs) loads += e.kind == loop::ExprKind::Load;
    CHECK(loads <= 6);
  }
}
