// Random graphs through the interpreter: gradients, the default pipeline, the text form.
#include <doctest/doctest.h>

#include "codegen/reference/interpreter.h"
#include "ir/graph/text.h"
#include "passes/pass_manager.h"
#include "tests/support/finite_difference.h"
#include "tests/support/random_graph.h"
#include "tests/support/samples.h"
#include "tests/support/text.h"

using namespace dlc;

namespace {

constexpr unsigned kGraphs = 200;

/// The largest difference of an output, relative to max(1, |value|).
double distance(const Graph& a, const Graph& b, const std::map<std::string, Literal>& inputs) {
  const Evaluation x = interpret(a, inputs, Precision::F64),
                   y = interpret(b, inputs, Precision::F64);
  double worst = 0;
  for (std::size_t k = 0; k < a.outputs.size(); ++k) {
    const Literal &want = x.values[a.outputs[k].value.id], &got = y.values[b.outputs[k].value.id];
    if (want.shape != got.shape || want.element != got.element) return HUGE_VAL;
    for (std::int64_t i = 0; i < want.size(); ++i) {
      const double p = want.at(i), q = got.at(i);
      if (p == q || (std::isnan(p) && std::isnan(q))) continue;
      const double d = std::abs(p - q) / std::max(1.0, std::abs(p));
      worst = std::max(worst, std::isnan(d) ? HUGE_VAL : d);
    }
  }
  return worst;
}

}  // namespace

TEST_CASE("the random graphs use every operation") {
  std::map<Op, int> uses;
  for (unsigned seed = 0; seed < kGraphs; ++seed)
    for (const Node& n : random_graph(seed, ElementType::F64).nodes) ++uses[n.op];
  for (const Op op : all_ops()) {
    CAPTURE(op_name(op));
    if (op != Op::grad) CHECK(uses[op] >= 10);
  }
}

TEST_CASE("gradients of random graphs are what finite differences say") {
  int checked = 0, kinks = 0;
  for (unsigned seed = 0; seed < kGraphs; ++seed) {
    const Graph g = random_graph(seed, ElementType::F64);
    const std::string text = print(g);
    CAPTURE(text);
    const GradientReport r = check_gradients(g, random_inputs(g, 3, seed), 8);
    CAPTURE(r.where);
    CHECK(r.worst <= 1e-6);
    checked += r.checked;
    kinks += r.kinks;
  }
  CHECK(checked > 4000);
  CHECK(kinks < checked / 50);
}

TEST_CASE("the default pipeline keeps the values of random graphs and of their gradients") {
  for (unsigned seed = 0; seed < kGraphs; ++seed) {
    const Graph g = with_gradients(random_graph(seed, ElementType::F64));
    const std::string text = print(g);
    CAPTURE(text);
    try {
      const Graph backward = run_passes(g, {"differentiate"}, {.verify = true});
      const Graph fused =
          run_passes(g, default_pipeline(PipelineEnd::Fused, false), {.verify = true});
      for (const int n : {1, 4})
        CHECK(distance(backward, fused, random_inputs(g, n, seed)) <= 1e-11);
    } catch (const std::exception& e) {
      FAIL_CHECK(std::string(e.what()));
    }
  }
}

TEST_CASE("the text of random graphs parses back, before and after each pass") {
  for (unsigned seed = 0; seed < kGraphs; ++seed) {
    const Graph g = with_gradients(random_graph(seed, ElementType::F32));
    CHECK(round_trip_error(g) == "");
    PassOptions options;
    options.after_each = [](std::string_view, const Graph& after) {
      CHECK(round_trip_error(after) == "");
    };
    run_passes(g, default_pipeline(PipelineEnd::Fused, true), options);
  }
}
