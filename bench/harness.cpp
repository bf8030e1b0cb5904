#include "bench/harness.h"

#include <fmt/format.h>

#include "ir/graph/text.h"
#include "passes/lower/lower.h"
#include "passes/pass_manager.h"

namespace dlc::bench {

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::unique_ptr<Program> prepare(const std::string& text, std::int64_t n, bool gather,
                                 int threads) {
  auto p = std::make_unique<Program>(threads);
  const Graph g = parse_graphs(text, "bench.ir").at(0);
  const auto start = Clock::now();
  loop::Program program = lower(run_passes(g, default_pipeline(PipelineEnd::Fused, gather), {}));
  run_loop_passes(program, false);
  p->code = jit_compile(program);
  p->compile_seconds = seconds_since(start);
  p->executable = std::make_unique<Executable>(p->code->program(), &p->pool);
  for (const std::string& s : program.symbols)
    p->executable->set_symbol(s, s == "rows.count" ? 60000 : n);
  for (int b = 0; b < p->code->program()->num_buffers; ++b) {
    const dlc_buffer& buffer = p->code->program()->buffers[b];
    if (buffer.kind == DLC_CONSTANT || buffer.kind == DLC_TEMP || buffer.alias >= 0) continue;
    Tensor t(static_cast<dlc_dtype>(buffer.dtype), p->executable->shape(b));
    const bool rows = std::string_view(buffer.name) == "rows";
    for (std::int64_t k = 0; k < t.size(); ++k)
      t.set(k, buffer.dtype == DLC_F32 ? static_cast<double>(k * 7 % 13) / 13 - 0.4
               : rows                  ? static_cast<double>(k * 7919 % 60000)
                                       : static_cast<double>(k * 31 % 10));
    p->executable->bind(b, t.data());
    p->tensors[buffer.name] = std::move(t);
  }
  p->executable->prepare();
  return p;
}

std::string contraction(const std::string& a, const std::string& b, const std::string& out,
                        const char* lhs, const char* rhs, const char* letters) {
  return fmt::format(
      "graph g {{ %a: f32[{}] = input input %b: f32[{}] = input param %c: f32[{}] = contract %a, "
      "%b {{lhs = \"{}\", rhs = \"{}\", out = \"{}\"}} output output \"c\" = %c }}",
      a, b, out, lhs, rhs, letters);
}

double peak_gflops() {
  // A 48 x 64 x 64 product stays in the L1 cache and is all inner loop.
  const auto p = prepare(
      "graph g { %a: f32[48, 64] = input input %b: f32[64, 64] = input input "
      "%c: f32[48, 64] = contract %a, %b {lhs = \"mk\", rhs = \"kn\", out = \"mn\"} "
      "output output \"c\" = %c }",
      1);
  return 2.0 * 48 * 64 * 64 / seconds_per_call([&] { p->executable->run(); }) / 1e9;
}

}  // namespace dlc::bench
