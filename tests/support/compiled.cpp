#include "tests/support/compiled.h"

#include <cmath>

#include "codegen/reference/interpreter.h"
#include "passes/lower/lower.h"
#include "passes/pass_manager.h"
#include "runtime/executable.h"

using namespace dlc;

namespace {

Tensor to_tensor(const Literal& l) {
  Tensor t(static_cast<dlc_dtype>(l.element), l.shape);
  for (std::int64_t k = 0; k < l.size(); ++k) {
    if (l.element == ElementType::I64)
      t.as<std::int64_t>()[k] = l.i[static_cast<std::size_t>(k)];
    else
      t.set(k, l.at(k));
  }
  return t;
}

/// Element k as the literal holds it: i64 beyond 2^53 too.
bool same(const Tensor& got, const Literal& want, std::int64_t k) {
  if (want.element == ElementType::I64)
    return got.as<std::int64_t>()[k] == want.i[static_cast<std::size_t>(k)];
  return got.at(k) == want.at(k) || (std::isnan(got.at(k)) && std::isnan(want.at(k)));
}

}  // namespace

Compiled::Compiled(const Graph& g, int vector_bits)
    : graph_(run_passes(g, default_pipeline(PipelineEnd::Backward, false), {.verify = true})) {
  loop::Program program =
      lower(run_passes(g, default_pipeline(PipelineEnd::Fused, false), {.verify = true}));
  run_loop_passes(program, true);
  code_ = jit_compile(program, vector_bits);
}

std::vector<Tensor> Compiled::run(const std::map<std::string, Literal>& inputs, int threads) const {
  TensorMap tensors;
  std::map<std::string, Tensor*, std::less<>> bound;
  for (const auto& [name, l] : inputs) bound[name] = &(tensors[name] = to_tensor(l));
  ThreadPool pool(threads);
  TensorMap outputs = run_once(code_->program(), pool, bound);
  std::vector<Tensor> result;
  for (const GraphOutput& out : graph_.outputs) {
    Tensor& t = out.kind == OutputKind::Update  ? tensors.at(out.name)
                : out.kind == OutputKind::Watch ? outputs.at("watch." + out.name)
                                                : outputs.at(out.name);
    result.push_back(std::move(t));
  }
  return result;
}

double distance(const Tensor& got, const Literal& want) {
  if (got.shape() != want.shape) return HUGE_VAL;
  double scale = 1, worst = 0;
  for (std::int64_t k = 0; k < want.size(); ++k)
    if (std::isfinite(want.at(k))) scale = std::max(scale, std::abs(want.at(k)));
  for (std::int64_t k = 0; k < want.size(); ++k) {
    if (same(got, want, k)) continue;
    const double difference = std::abs(got.at(k) - want.at(k));
    worst = std::max(worst, std::isfinite(difference) ? difference / scale : HUGE_VAL);
    // Equal as doubles, but not the same i64.
    if (difference == 0) worst = HUGE_VAL;
  }
  return worst;
}

double compiled_distance(const Compiled& c, const std::map<std::string, Literal>& inputs,
                         int threads) {
  const Evaluation expected = interpret(c.graph(), inputs, Precision::Declared);
  const std::vector<Tensor> got = c.run(inputs, threads);
  double worst = 0;
  for (std::size_t k = 0; k < got.size(); ++k)
    worst = std::max(worst, distance(got[k], expected.values[c.graph().outputs[k].value.id]));
  return worst;
}

double compiled_distance(const Graph& g, const std::map<std::string, Literal>& inputs, int threads,
                         int vector_bits) {
  return compiled_distance(Compiled(g, vector_bits), inputs, threads);
}
