// dlc check: what a model is, as a table, before anything runs; and whether compiled code agrees
// with the reference interpreter.
#include "ir/support/check.h"

#include <fmt/format.h>

#include <cmath>

#include "codegen/reference/interpreter.h"
#include "driver/api/memory_limit.h"
#include "driver/cost.h"
#include "driver/data_report.h"
#include "driver/options.h"
#include "driver/show.h"
#include "driver/tensor_literal.h"
#include "driver/verbs.h"

namespace dlc {

namespace {

struct CheckOptions {
  ModelOptions model;
  RunOptions run;
  LimitOptions limit;
  std::string against;
  bool read_data = false;
};

/// A dimension where the data give their extents to the symbols, or else `value`.
std::int64_t evaluate_with(const Dim& d, const Extents& data, std::int64_t value) {
  Extents all = data;
  for (const std::string& s : d.symbols()) all.emplace(s, value);
  return d.evaluate(all);
}

Extents data_extents(const Module& m, const Graph& g) {
  const DataSplit* split = train_split(m);
  return split ? extents_in(g, *split) : Extents{};
}

std::string human_bytes(std::int64_t bytes) {
  if (bytes < 10 * 1024) return fmt::format("{} B", bytes);
  if (bytes < 10 * 1024 * 1024) return fmt::format("{:.1f} KiB", static_cast<double>(bytes) / 1024);
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1024 * 1024));
}

void print_table(const Module& m) {
  std::vector<std::vector<std::string>> rows{{"layer", "output", "parameters", "FLOPs/row"}};
  const Extents extents = data_extents(m, m.evaluate);
  const auto per_row = [&](std::uint32_t first, std::uint32_t last) {
    return with_commas(evaluate_with(count_flops(m.evaluate, first, last), extents, 1));
  };
  for (const LayerInfo& l : m.layers)
    rows.push_back({std::string(2 * static_cast<std::size_t>(l.depth), ' ') + l.path,
                    l.output.str(), with_commas(l.parameters.value()), per_row(l.first, l.last)});
  std::int64_t parameters = 0;
  for (const ParamInfo& p : m.params)
    if (p.kind == InputKind::Param) parameters += element_count(p.type.shape).value();
  rows.push_back({"whole model", "", with_commas(parameters),
                  per_row(0, static_cast<std::uint32_t>(m.evaluate.nodes.size()))});
  const std::vector<std::string> lines = aligned_lines(rows, "<<>>");
  std::size_t width = 0;
  for (const std::string& line : lines) width = std::max(width, line.size());
  for (std::size_t r = 0; r < lines.size(); ++r) {
    if (r == 1 || r + 1 == lines.size()) fmt::print("{}\n", std::string(width, '-'));
    fmt::print("{}\n", lines[r]);
  }
}

void print_memory(const Compilation& c, const LimitOptions& limit) {
  const Module& m = c.module();
  if (!m.has_train) return;
  loop::Program p = kernels_of(m.train_step, c.options());
  const std::optional<MemoryLimit> most =
      limit.apply_to({}, m.train_step, train_split(m), m.train.batch).memory_limit;
  const int again = most ? apply_memory_limit(p, *most) : 0;
  const Extents extents = data_extents(m, m.train_step);
  std::int64_t parameters = 0, states = 0;
  for (const GraphInput& in : m.train_step.inputs) {
    const Type& t = m.train_step.type(in.value);
    const std::int64_t bytes =
        evaluate_with(element_count(t.shape), extents, m.train.batch) * size_in_bytes(t.element);
    if (in.kind == InputKind::Param) parameters += bytes;
    if (in.kind == InputKind::State) states += bytes;
  }
  const std::int64_t arena = evaluate_with(p.arena_bytes, extents, m.train.batch);
  fmt::print(
      "a training step on {} rows: parameters {}, states {}, intermediates {}, in {} kernels{}\n",
      m.train.batch, human_bytes(parameters), human_bytes(states), human_bytes(arena),
      p.kernels.size(), again == 0 ? "" : fmt::format(", {} of them computed again", again));
}

// ---- --against=interpreter ----

/// A few rows of real data where the model has some, else every input from a fixed pattern.
TensorMap sample_inputs(const Compilation& c, const Graph& g, const RunOptions& run,
                        ThreadPool& pool) {
  constexpr std::int64_t kRows = 5;
  const Extents extents = data_extents(c.module(), g);
  TensorMap tensors = run.parameters(c, pool);
  if (const DataSplit* split = train_split(c.module())) {
    const Rows rows = load_rows(c, *split, run.seed_of(c.module()), pool);
    for (const auto& [name, t] : rows.columns)
      if (g.find_input(name)) tensors[name] = t.rows(0, std::min(kRows, rows.count));
  }
  for (const GraphInput& in : g.inputs) {
    const Type& type = g.type(in.value);
    if (tensors.contains(in.name) || in.kind == InputKind::Scalar) continue;
    std::vector<std::int64_t> shape;
    for (const Dim& d : type.shape) shape.push_back(evaluate_with(d, extents, kRows));
    Tensor t(to_dtype(type.element), shape);
    for (std::int64_t k = 0; k < t.size(); ++k)
      t.set(k, is_float(type.element) ? std::sin(0.7 * static_cast<double>(k))
                                      : static_cast<double>(k % 2));
    tensors[in.name] = std::move(t);
  }
  return tensors;
}

std::map<std::string, Literal> literals_for(const Graph& g, const TensorMap& tensors,
                                            std::int64_t seed) {
  std::map<std::string, Literal> result;
  for (const GraphInput& in : g.inputs) {
    if (in.kind == InputKind::Scalar) {
      result[in.name] = Literal::scalar(ElementType::I64, 0);
      if (in.name == "seed") result[in.name].i[0] = seed;
    } else {
      result[in.name] = to_literal(tensors.at(in.name));
    }
  }
  return result;
}

/// norm(a - b) / max(norm(b), 1); NaN or infinity in one place alone counts as infinite.
double distance(const Literal& a, const Literal& b) {
  double difference = 0, norm = 0;
  for (std::int64_t k = 0; k < b.size(); ++k) {
    const double x = a.at(k), y = b.at(k);
    if (x == y || (std::isnan(x) && std::isnan(y))) continue;
    difference += (x - y) * (x - y);
    norm += y * y;
  }
  if (!std::isfinite(difference)) return HUGE_VAL;
  return std::sqrt(difference) / std::max(1.0, std::sqrt(norm));
}

/// The largest distance over the outputs of `g`, and the first output that is further off than
/// allowed.
struct Comparison {
  double worst = 0;
  std::string first_bad;
};
Comparison compare_outputs(const Graph& g, const TensorMap& given, std::int64_t seed,
                           const CompileOptions& options, ThreadPool& pool) {
  const Evaluation expected = interpret(g, literals_for(g, given, seed), Precision::Declared);
  TensorMap tensors = copy_of(given);  // updates are written into it
  const auto code = compile_graph(g, options);
  const TensorMap outputs = run_graph(code->program(), tensors, seed, pool);
  Comparison result;
  for (const GraphOutput& out : g.outputs) {
    const Tensor& got =
        out.kind == OutputKind::Update
            ? tensors.at(out.name)
            : outputs.at(out.kind == OutputKind::Watch ? "watch." + out.name : out.name);
    const Literal& want = expected.values[out.value.id];
    const double d = distance(to_literal(got), want);
    const double allowed = want.element == ElementType::F64 ? 1e-11
                           : is_16_bit_float(want.element)  ? 0x1p-8  // the other side of a tie
                           : is_float(want.element)         ? 1e-4
                                                            : 0;
    result.worst = std::max(result.worst, d);
    if (d > allowed && result.first_bad.empty()) result.first_bad = out.name;
  }
  return result;
}

/// Makes every node an output, so that the first one to differ can be named.
std::string first_different_node(const Graph& g, const TensorMap& tensors, std::int64_t seed,
                                 const CompileOptions& options, ThreadPool& pool) {
  Graph all = g;
  all.outputs.clear();
  for (std::uint32_t id = 0; id < g.nodes.size(); ++id)
    if (g.nodes[id].op != Op::input)
      all.outputs.push_back({fmt::format("node{}", id), OutputKind::Output, Value{id}});
  const Comparison c = compare_outputs(all, tensors, seed, options, pool);
  if (c.first_bad.empty())
    return "every node agrees when all of them are stored: the fused kernels differ";
  const Node& n = g.nodes.at(std::stoul(c.first_bad.substr(4)));
  return fmt::format("first at {} {} ({}:{}:{})", op_name(n.op), n.name, n.loc.file(), n.loc.line,
                     n.loc.column);
}

bool check_program(const Compilation& c, const std::string& name, const RunOptions& run,
                   ThreadPool& pool) {
  CompileOptions options = c.options();
  options.gather_rows = false;
  Graph g = run_pipeline(c.graph(name), PipelineEnd::Backward, options);
  if (g.outputs.empty()) return true;
  // The interpreter rounds the same operands to 16 bits.
  if (name == "train_step" && options.mixed) g = run_passes(g, {mixed_pass(*options.mixed)}, {});
  options.mixed.reset();
  const std::int64_t seed = run.seed_of(c.module());
  const TensorMap tensors = sample_inputs(c, g, run, pool);
  const Comparison result = compare_outputs(g, tensors, seed, options, pool);
  if (result.first_bad.empty()) {
    fmt::print("{:<10}  agrees with the interpreter (largest relative distance {:.1e})\n", name,
               result.worst);
    return true;
  }
  fmt::print("{:<10}  differs from the interpreter in `{}` (relative distance {:.1e}); {}\n", name,
             result.first_bad, result.worst, first_different_node(g, tensors, seed, options, pool));
  return false;
}

void check_file(const CheckOptions& o) {
  const Compilation c = o.model.compile();
  const Module& m = c.module();
  if (m.has_model) {
    fmt::print("model {}\n", m.model_name);
    print_table(m);
    print_memory(c, o.limit);
  }
  ThreadPool pool(o.run.thread_count());
  if (o.read_data) {
    if (m.data.splits.empty()) throw UserError(fmt::format("{}: there is no data block", m.file));
    print_data(c, o.run.seed_of(m), pool);
  } else {
    for (const DataSplit& s : m.data.splits)
      fmt::print("data {}.{}: {} rows\n", m.data.name, s.name, with_commas(s.rows));
  }
  if (o.against.empty() || !m.has_model) return;
  bool good = true;
  for (const std::string name : {"init", "train_step", "evaluate", "predict"})
    if (name != "train_step" || m.has_train) good = check_program(c, name, o.run, pool) && good;
  if (!good) throw UserError("compiled code and the interpreter differ");
}

}  // namespace

void add_check(CLI::App& app) {
  auto* verb = app.add_subcommand("check", "check a model and print it as a table");
  auto o = std::make_shared<CheckOptions>();
  o->model.add_to(*verb);
  o->run.add_to(*verb);
  o->limit.add_to(*verb);
  verb->add_option("--against", o->against, "interpreter: compare compiled code with it")
      ->check(CLI::IsMember({"interpreter"}));
  verb->add_flag("--read-data", o->read_data,
                 "read all rows: ranges, classes, missing values, and mistakes by file and row");
  verb->callback([o] { check_file(*o); });
}

}  // namespace dlc
