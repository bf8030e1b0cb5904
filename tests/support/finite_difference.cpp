// D(h) = (f(x + h) - f(x - h)) / 2h has an error in h^2, h^4, ...; (4 D(h/2) - D(h)) / 3 removes
// the first term (Richardson). A kink or jump near x spoils that: a mismatch is tried again with
// smaller steps, and where the one-sided differences stay apart as h shrinks there is no
// derivative.
#include "tests/support/finite_difference.h"

#include <fmt/format.h>

#include <cmath>
#include <functional>

#include "codegen/reference/interpreter.h"
#include "ir/graph/builder.h"
#include "passes/pass_manager.h"

using namespace dlc;

namespace {

double relative(double a, double b) {
  return std::isfinite(a - b) ? std::abs(a - b) / std::max(1.0, std::abs(b)) : HUGE_VAL;
}

struct Difference {
  double derivative;
  bool kink;
};

/// Of f at 0.
Difference difference(const std::function<double(double)>& f, double h) {
  const double at = f(0), up = f(h), down = f(-h), up2 = f(h / 2), down2 = f(-h / 2);
  const double wide = (up - down) / (2 * h), narrow = (up2 - down2) / h;
  const double apart = std::abs(up - 2 * at + down) / h,
               apart2 = std::abs(up2 - 2 * at + down2) / (h / 2);
  return {(4 * narrow - wide) / 3, apart2 > 1e-7 && apart2 > 0.7 * apart};
}

}  // namespace

Graph with_gradients(const Graph& g, std::string_view loss) {
  Graph result = g;
  GraphBuilder b(result);
  const Value y = g.find_output(loss)->value;
  for (const GraphInput& in : g.inputs)
    if (is_float(g.type(in.value).element))
      b.output("d_" + in.name, OutputKind::Output, b.node(Op::grad, {y, in.value}));
  return result;
}

GradientReport check_gradients(const Graph& g, const std::map<std::string, Literal>& inputs,
                               int per_input) {
  const Graph forward = run_passes(g, {"differentiate", "dce"}, {});
  const Graph backward = run_passes(with_gradients(g), {"differentiate"}, {.verify = true});
  const Evaluation gradients = interpret(backward, inputs, Precision::F64);
  const Value loss = forward.find_output("loss")->value;
  GradientReport report;
  for (const GraphInput& in : g.inputs) {
    if (!is_float(g.type(in.value).element)) continue;
    const Literal& gradient = gradients.values[backward.find_output("d_" + in.name)->value.id];
    std::map<std::string, Literal> moved = inputs;
    Literal& x = moved.at(in.name);
    const std::int64_t stride = std::max<std::int64_t>(1, x.size() / per_input);
    for (std::int64_t k = 0; k < x.size(); k += stride) {
      double& element = x.f[static_cast<std::size_t>(k)];
      const double here = element;
      const auto f = [&](double by) {
        element = here + by;
        return interpret(forward, moved, Precision::F64).values[loss.id].at(0);
      };
      const double got = gradient.at(k);
      Difference d{};
      double error = HUGE_VAL;
      for (double h = 1e-3; h > 1e-6 && !(error <= 1e-7); h /= 8) {
        const Difference next = difference(f, h);
        d.kink = next.kink;
        if (const double e = relative(got, next.derivative); e < error || !(error < HUGE_VAL))
          error = e, d.derivative = next.derivative;
      }
      element = here;
      if (!(error <= 1e-6) && d.kink) {
        ++report.kinks;
        continue;
      }
      ++report.checked;
      if (!(error <= report.worst)) {
        report.worst = error;
        report.where = fmt::format("d_{}[{}]: gradient {}, finite difference {}", in.name, k, got,
                                   d.derivative);
      }
    }
  }
  return report;
}
