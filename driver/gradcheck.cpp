// dlc gradcheck: the derived gradient of every parameter against central finite differences of the
// loss, both in f64 by the reference interpreter. Large parameters are sampled.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "codegen/reference/interpreter.h"
#include "driver/options.h"
#include "driver/tensor_literal.h"
#include "driver/verbs.h"
#include "ir/graph/builder.h"

namespace dlc {

namespace {

struct GradcheckOptions {
  ModelOptions model;
  RunOptions run;
  int samples = 20;
  std::int64_t rows = 8;
  double tolerance = 1e-6;
};

using Inputs = std::map<std::string, Literal>;

/// The program whose loss is trained, reduced to the loss; random draws use step 0 in every
/// evaluation.
Graph loss_graph(const Compilation& c) {
  Graph g = c.module().has_train ? c.graph("train_step") : c.graph("evaluate");
  std::erase_if(g.outputs, [](const GraphOutput& out) { return out.kind != OutputKind::Loss; });
  if (g.outputs.empty()) throw UserError(fmt::format("{}: the model has no loss", c.module().file));
  return run_passes(g, {"dce"}, {});
}

/// The loss and its gradient for each parameter, expanded.
Graph gradient_graph(const Graph& loss) {
  Graph g = loss;
  GraphBuilder b(g);
  const Value y = loss.outputs[0].value;
  for (const GraphInput& in : loss.inputs)
    if (in.kind == InputKind::Param)
      b.output(in.name, OutputKind::Output, b.node(Op::grad, {y, in.value}));
  return run_passes(g, {"differentiate", "dce"}, {});
}

/// A carry with some values: zeros would hide a wrong gradient through what it is multiplied with.
Literal random_carry(const Compilation& c, const Type& type, std::int64_t rows) {
  const DataSplit* split = train_split(c.module());
  Extents extents;
  for (const Dim& d : type.shape)
    for (const std::string& s : d.symbols())
      extents[s] = split ? std::min(rows, split->rows) : rows;
  std::vector<std::int64_t> shape;
  for (const Dim& d : type.shape) shape.push_back(d.evaluate(extents));
  Literal l = Literal::zeros(type.element, shape);
  std::mt19937 random(1);
  for (std::int64_t k = 0; k < l.size(); ++k)
    l.set(k, std::uniform_real_distribution<double>(-0.5, 0.5)(random));
  l.round();
  return l;
}

Inputs sample_inputs(const Compilation& c, const Graph& g, const GradcheckOptions& o) {
  ThreadPool pool(1);
  const std::int64_t seed = o.run.seed_of(c.module());
  Inputs inputs;
  for (const auto& [name, t] : o.run.parameters(c, pool)) inputs[name] = to_literal(t);
  if (const DataSplit* split = train_split(c.module())) {
    const Rows rows = load_rows(c, *split, seed, pool);
    for (const auto& [name, t] : rows.columns)
      inputs[name] = to_literal(t.rows(0, std::min(o.rows, rows.count)));
  }
  for (const GraphInput& in : g.inputs) {
    if (in.kind == InputKind::Scalar) {
      inputs[in.name] = Literal::scalar(ElementType::I64, 0);
      if (in.name == "seed") inputs[in.name].i[0] = seed;
    } else if (in.kind == InputKind::State && !inputs.contains(in.name)) {
      inputs[in.name] = random_carry(c, g.type(in.value), o.rows);
    } else if (!inputs.contains(in.name)) {
      throw UserError(fmt::format("gradcheck needs data for input `{}`; add `train {} on DATA`",
                                  in.name, c.module().model_name));
    }
  }
  std::erase_if(inputs, [&](const auto& entry) { return !g.find_input(entry.first); });
  // Fresh parameters may sit exactly on a kink (zeros under a ReLU); a little beside it there is a
  // gradient.
  if (o.run.load.empty()) {
    std::mt19937_64 random(static_cast<std::uint64_t>(seed));
    std::uniform_real_distribution<double> shift(-0.05, 0.05);
    for (const GraphInput& in : g.inputs)
      if (in.kind == InputKind::Param)
        for (double& v : inputs.at(in.name).f) v += shift(random);
  }
  return inputs;
}

double loss_at(const Graph& g, const Inputs& inputs) {
  return interpret(g, inputs, Precision::F64).values[g.outputs[0].value.id].f[0];
}

/// The central difference with a second step size: where the two disagree the loss has a kink
/// nearby (ReLU at 0), and the entry says nothing about the gradient.
struct Difference {
  double value;
  bool smooth;
};
Difference central_difference(const Graph& g, Inputs& inputs, const std::string& name,
                              std::int64_t k) {
  double& entry = inputs[name].f[k];
  const double x = entry;
  const auto slope = [&](double h) {
    entry = x + h;
    const double up = loss_at(g, inputs);
    entry = x - h;
    const double down = loss_at(g, inputs);
    entry = x;
    return (up - down) / (2 * h);
  };
  const double h = 1e-4 * std::max(1.0, std::abs(x));
  const double coarse = slope(h), fine = slope(h / 2);
  // Richardson's extrapolation: the error of both is quadratic in h.
  const double value = (4 * fine - coarse) / 3;
  return {value, std::abs(coarse - fine) <= 1e-5 * std::max(1.0, std::abs(fine))};
}

bool check_parameter(const Graph& loss, Inputs& inputs, const std::string& name,
                     const Literal& gradient, const GradcheckOptions& o) {
  std::vector<std::int64_t> entries(static_cast<std::size_t>(gradient.size()));
  for (std::size_t k = 0; k < entries.size(); ++k) entries[k] = static_cast<std::int64_t>(k);
  std::mt19937_64 random(1);
  if (static_cast<int>(entries.size()) > o.samples) {
    std::shuffle(entries.begin(), entries.end(), random);
    entries.resize(static_cast<std::size_t>(o.samples));
  }
  double scale = 0, worst = 0;
  for (const double v : gradient.f) scale = std::max(scale, std::abs(v));
  int checked = 0;
  for (const std::int64_t k : entries) {
    const Difference d = central_difference(loss, inputs, name, k);
    if (!d.smooth) continue;
    ++checked;
    worst = std::max(worst, std::abs(d.value - gradient.f[k]) / std::max(scale, 1e-3));
  }
  const bool good = worst <= o.tolerance;
  fmt::print("{:<24} {:>8} of {:<8} largest relative error {:.1e}  {}\n", name, checked,
             gradient.size(), worst, good ? "ok" : "WRONG");
  return good;
}

void gradcheck(GradcheckOptions o) {
  // Differences of rounded losses say nothing: whatever the file is trained in.
  o.model.precision = "f64";
  std::erase_if(o.model.sets, [](const std::string& s) { return s.starts_with("precision="); });
  const Compilation c = o.model.compile();
  const Graph as_written = loss_graph(c);
  const Graph gradients = gradient_graph(as_written);
  // The loss itself may hold gradients (a penalty on a slope).
  const Graph loss = run_passes(as_written, {"differentiate", "dce"}, {});
  Inputs inputs = sample_inputs(c, gradients, o);
  const Evaluation e = interpret(gradients, inputs, Precision::F64);
  bool good = true;
  fmt::print("{:<24} {:>8}    {:<8}\n", "parameter", "checked", "entries");
  for (const GraphOutput& out : gradients.outputs)
    if (out.kind == OutputKind::Output)
      good = check_parameter(loss, inputs, out.name, e.values[out.value.id], o) && good;
  if (!good) throw UserError("a gradient differs from its finite difference");
}

}  // namespace

void add_gradcheck(CLI::App& app) {
  auto* verb = app.add_subcommand("gradcheck", "compare gradients with finite differences in f64");
  auto o = std::make_shared<GradcheckOptions>();
  o->model.add_to(*verb);
  o->run.add_to(*verb);
  verb->add_option("--samples", o->samples, "entries to check per parameter")
      ->check(CLI::PositiveNumber);
  verb->add_option("--rows", o->rows, "rows of data in the batch")->check(CLI::PositiveNumber);
  verb->add_option("--tolerance", o->tolerance,
                   "allowed error relative to the largest gradient entry");
  verb->callback([o] { gradcheck(*o); });
}

}  // namespace dlc
