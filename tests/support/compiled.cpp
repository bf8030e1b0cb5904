#include "tests/support/compiled.h"

#include <cmath>
#include <random>

#include "codegen/llvm/jit.h"
#include "codegen/reference/interpreter.h"
#include "ir/graph/builder.h"
#include "ir/graph/text.h"
#include "passes/lower/lower.h"
#include "passes/pass_manager.h"
#include "runtime/executable.h"

using namespace dlc;

namespace {

Tensor to_tensor(const Literal& l) {
  Tensor t(static_cast<dlc_dtype>(l.element), l.shape);
  for (std::int64_t k = 0; k < l.size(); ++k) t.set(k, l.at(k));
  return t;
}

}  // namespace

Graph sample_graph(Op op, const Sample& s) {
  Graph g;
  g.name = "sample";
  GraphBuilder b(g);
  std::vector<Value> operands;
  for (std::size_t k = 0; k < s.operands.size(); ++k)
    operands.push_back(b.input("x" + std::to_string(k), InputKind::Input, s.operands[k]));
  b.input("size", InputKind::Input,
          {ElementType::U8, {Dim::symbol("N")}});  // gives N a value in any case
  b.set_loc({"model.dl", 3, 5});
  b.output("y", OutputKind::Output, b.node(op, operands, s.attrs));
  return g;
}

std::map<std::string, Literal> sample_values(const Graph& g, double lo, double hi, int symbol,
                                             unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> uniform(lo, hi);
  std::map<std::string, Literal> values;
  for (const GraphInput& in : g.inputs) {
    const Type& type = g.type(in.value);
    std::vector<std::int64_t> shape;
    for (const Dim& d : type.shape) {
      std::map<std::string, std::int64_t> symbols;
      for (const std::string& s : d.symbols()) symbols[s] = symbol;
      shape.push_back(d.evaluate(symbols));
    }
    Literal l = Literal::zeros(type.element, shape);
    for (std::int64_t k = 0; k < l.size(); ++k) {
      const double v = uniform(random);
      l.set(k, is_float(type.element)              ? v
               : type.element == ElementType::Bool ? (v > (lo + hi) / 2)
                                                   : std::floor(v));
    }
    l.round();
    values[in.name] = std::move(l);
  }
  return values;
}

double compiled_distance(const Graph& g, const std::map<std::string, Literal>& inputs, int threads,
                         int vector_bits) {
  PassOptions passes;
  passes.verify = true;
  const Graph backward = run_passes(g, default_pipeline(PipelineEnd::Backward, false), passes);
  const Evaluation expected = interpret(backward, inputs, Precision::Declared);
  loop::Program program = lower(run_passes(g, default_pipeline(PipelineEnd::Fused, false), passes));
  run_loop_passes(program, true);
  const auto code = jit_compile(program, vector_bits);
  TensorMap tensors;
  std::map<std::string, Tensor*, std::less<>> bound;
  for (const auto& [name, l] : inputs) bound[name] = &(tensors[name] = to_tensor(l));
  ThreadPool pool(threads);
  TensorMap outputs = run_once(code->program(), pool, bound);
  double worst = 0;
  for (const GraphOutput& out : backward.outputs) {
    const Literal& want = expected.values[out.value.id];
    const Tensor& got =
        out.kind == OutputKind::Update ? tensors.at(out.name) : outputs.at(out.name);
    double scale = 1;
    for (std::int64_t k = 0; k < want.size(); ++k)
      if (std::isfinite(want.at(k))) scale = std::max(scale, std::abs(want.at(k)));
    if (got.size() != want.size()) return HUGE_VAL;
    for (std::int64_t k = 0; k < want.size(); ++k) {
      const double a = got.at(k), b = want.at(k);
      if (a == b || (std::isnan(a) && std::isnan(b))) continue;
      worst = std::max(worst, std::isfinite(a - b) ? std::abs(a - b) / scale : HUGE_VAL);
    }
  }
  return worst;
}
