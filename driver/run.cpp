// dlc run: runs a dumped graph on .npy inputs.
#include <fmt/format.h>

#include "codegen/reference/interpreter.h"
#include "driver/api/files.h"
#include "driver/options.h"
#include "driver/show.h"
#include "driver/tensor_literal.h"
#include "driver/verbs.h"
#include "ir/graph/text.h"
#include "runtime/data/readers.h"

namespace dlc {

namespace {

struct RunGraphOptions {
  std::string file;
  std::vector<std::string> inputs, outputs;
  RunOptions run;
  bool interpret = false;
};

Graph read_graph(const std::string& path) {
  std::vector<Graph> graphs = parse_graphs(read_text(path), path);
  if (graphs.size() != 1)
    throw UserError(fmt::format("{}: one graph is expected, the file has {}", path, graphs.size()));
  verify(graphs[0]);
  return std::move(graphs[0]);
}

/// The inputs as declared; one that no --input names and that has no default is an error.
TensorMap read_inputs(const Graph& g, const std::map<std::string, std::string>& files,
                      std::int64_t seed) {
  TensorMap tensors;
  for (const GraphInput& in : g.inputs) {
    const auto file = files.find(in.name);
    if (file != files.end()) {
      tensors[in.name] = as_declared(read_file("npy", file->second, {}), g.type(in.value), in.name);
    } else if (in.kind == InputKind::Scalar) {
      Tensor t(DLC_I64, {});
      t.set(0, in.name == "seed" ? static_cast<double>(seed) : 0.0);
      tensors[in.name] = std::move(t);
    } else {
      throw UserError(fmt::format("input `{}`: {} has no value; give --input {}=FILE.npy", in.name,
                                  g.type(in.value).str(), in.name));
    }
  }
  for (const auto& [name, file] : files)
    if (!g.find_input(name))
      throw UserError(fmt::format("--input {}: the graph has no such input", name));
  return tensors;
}

TensorMap interpret_outputs(const Graph& g, const TensorMap& inputs) {
  std::map<std::string, Literal> literals;
  for (const auto& [name, t] : inputs) literals[name] = to_literal(t);
  const Evaluation e = interpret(g, literals, Precision::Declared);
  TensorMap result;
  for (const GraphOutput& out : g.outputs) result[out.name] = to_tensor(e.values.at(out.value.id));
  return result;
}

void run_file(const RunGraphOptions& o) {
  const Graph g = run_passes(read_graph(o.file), {"differentiate"}, {});
  TensorMap inputs = read_inputs(g, split_assignments(o.inputs, "--input"), o.run.seed.value_or(0));
  TensorMap outputs;
  if (o.interpret) {
    outputs = interpret_outputs(g, inputs);
  } else {
    ThreadPool pool(o.run.thread_count());
    CompileOptions options;
    options.gather_rows = false;
    const auto code = compile_graph(g, options);
    std::map<std::string, Tensor*, std::less<>> bound;
    for (auto& [name, t] : inputs) bound[name] = &t;
    outputs = run_once(code->program(), pool, bound);
    for (const GraphOutput& out : g.outputs)  // updates were written in place
      if (out.kind == OutputKind::Update) outputs[out.name] = std::move(inputs.at(out.name));
  }
  const auto files = split_assignments(o.outputs, "--output");
  for (const auto& [name, path] : files) {
    if (!outputs.contains(name))
      throw UserError(fmt::format("--output {}: the graph has no such output", name));
    write_npy(path, outputs.at(name));
  }
  if (!files.empty()) return;
  for (const auto& [name, t] : outputs) fmt::print("{}: {} = {}\n", name, t.type_str(), show(t));
}

}  // namespace

void add_run(CLI::App& app) {
  auto* verb = app.add_subcommand("run", "run a dumped graph on .npy inputs");
  auto o = std::make_shared<RunGraphOptions>();
  verb->add_option("file", o->file, "a graph as `dlc dump` prints it; - is standard input")
      ->required();
  verb->add_option("--input", o->inputs, "NAME=FILE.npy")->expected(1)->take_all();
  verb->add_option("--output", o->outputs, "NAME=FILE.npy; without any, values are printed")
      ->expected(1)
      ->take_all();
  verb->add_option("--threads", o->run.threads, "worker threads")->check(CLI::Range(1, 1024));
  verb->add_option("--seed", o->run.seed, "the value of the input `seed`");
  verb->add_flag("--interpret", o->interpret,
                 "with the reference interpreter instead of machine code");
  verb->callback([o] { run_file(*o); });
}

}  // namespace dlc
