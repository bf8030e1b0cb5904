#include "bench/harness.h"

#include <fmt/format.h>
#include <sched.h>

#include <cstdlib>
#include <cstring>
#include <fstream>

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
    const bool is_float = buffer.dtype == DLC_F32 || buffer.dtype == DLC_F64 ||
                          buffer.dtype == DLC_BF16 || buffer.dtype == DLC_F16;
    for (std::int64_t k = 0; k < t.size(); ++k)
      t.set(k, is_float ? static_cast<double>(k * 7 % 13) / 13 - 0.4
               : rows   ? static_cast<double>(k * 7919 % 60000)
                        : static_cast<double>(k * 31 % 10));
    p->executable->bind(b, t.data());
    p->tensors[buffer.name] = std::move(t);
  }
  p->executable->prepare();
  return p;
}

std::string contraction(const std::string& a, const std::string& b, const std::string& out,
                        const char* lhs, const char* rhs, const char* letters,
                        const char* element) {
  // Products of 16-bit floats are f32.
  const bool is_wide = element[0] == 'f' && element[1] != '1';
  return fmt::format(
      "graph g {{ %a: {6}[{0}] = input input %b: {6}[{1}] = input param %c: {7}[{2}] = contract "
      "%a, %b {{lhs = \"{3}\", rhs = \"{4}\", out = \"{5}\"}} output output \"c\" = %c }}",
      a, b, out, lhs, rhs, letters, element, is_wide ? element : "f32");
}

std::vector<double>& CaseReport::values(Values& all, const std::string& name) {
  for (auto& [known, list] : all)
    if (known == name) return list;
  return all.emplace_back(name, std::vector<double>{}).second;
}

void CaseReport::print() const {
  const auto object = [](const Values& all) {
    std::string text;
    for (const auto& [name, list] : all)
      text +=
          fmt::format("{}\"{}\": [{:.6g}]", text.empty() ? "" : ", ", name, fmt::join(list, ", "));
    return text;
  };
  fmt::print(
      R"({{"case": "{}", "unit": "{}", "better": "{}", "rounds": {{{}}}, "variants": {{{}}}, )"
      R"("limits": {{{}}}}})"
      "\n",
      name_, unit_, higher_ ? "higher" : "lower", object(systems_), object(variants_),
      object(limits_));
  std::fflush(stdout);
}

void print_skipped(const std::string& name, const std::string& why) {
  std::string one_line = why.substr(0, why.find('\n'));
  for (char& c : one_line)
    if (c == '"' || c == '\\') c = '\'';
  fmt::print(R"({{"case": "{}", "skipped": "{}"}})"
             "\n",
             name, one_line);
}

BenchmarkOptions read_options(int argc, char** argv) {
  BenchmarkOptions o;
  for (int k = 1; k < argc; ++k) {
    const std::string_view option = argv[k];
    if (option == "--quick") {
      o.quick = true;
    } else if (k + 1 < argc && option == "--rounds") {
      o.rounds = std::max(1, std::atoi(argv[++k]));
    } else if (k + 1 < argc && option == "--seconds") {
      o.seconds = std::atof(argv[++k]);
    } else if (!option.starts_with("-")) {
      o.names.emplace_back(option);
    } else {
      fmt::print(stderr, "usage: {} [--rounds N] [--seconds S] [--quick] [NAME...]\n", argv[0]);
      std::exit(2);
    }
  }
  return o;
}

int threads_now() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (word == "Threads:") {
      int n = 0;
      status >> n;
      return n;
    }
  return 1;
}

std::vector<int> allowed_cpus() {
  std::vector<int> cpus;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    for (int c = 0; c < CPU_SETSIZE; ++c)
      if (CPU_ISSET(c, &set)) cpus.push_back(c);
  return cpus;
}

void pin_to(const std::vector<int>& cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int c : cpus) CPU_SET(c, &set);
  sched_setaffinity(0, sizeof set, &set);
}

}  // namespace dlc::bench
