// dlc predict: the outputs of a model on rows of its data or on .npy files.
#include <fmt/format.h>

#include "driver/options.h"
#include "driver/show.h"
#include "driver/verbs.h"
#include "runtime/data/readers.h"

namespace dlc {

namespace {

struct PredictOptions {
  ModelOptions model;
  RunOptions run;
  std::vector<std::string> inputs, outputs;
  std::int64_t rows = 10;
};

/// From --input files where given, else the first rows of the test (or only) split.
TensorMap input_rows(const Compilation& c, const PredictOptions& o, ThreadPool& pool) {
  const Graph& g = c.graph("predict");
  const auto files = split_assignments(o.inputs, "--input");
  for (const auto& [name, path] : files) {
    const GraphInput* in = g.find_input(name);
    if (!in || in->kind != InputKind::Input)
      throw UserError(
          fmt::format("--input {}: the model's outputs need no input of that name", name));
  }
  TensorMap tensors;
  Rows data;
  const Module& m = c.module();
  if (files.empty() && !m.data.splits.empty()) {
    const DataSplit* test = find_split(m, "test");
    data = load_rows(c, test ? *test : m.data.splits.front(), o.run.seed_of(m), pool);
  }
  std::int64_t rows = -1;
  for (const GraphInput& in : g.inputs) {
    if (in.kind != InputKind::Input) continue;
    if (const auto file = files.find(in.name); file != files.end()) {
      tensors[in.name] = as_declared(read_file("npy", file->second, {}), g.type(in.value), in.name);
    } else if (const auto column = data.columns.find(in.name); column != data.columns.end()) {
      tensors[in.name] = column->second.rows(0, std::min(o.rows, data.count));
    } else {
      throw UserError(fmt::format("input `{}`: {} has no value; give --input {}=FILE.npy", in.name,
                                  g.type(in.value).str(), in.name));
    }
    const Tensor& t = tensors.at(in.name);
    const std::int64_t own = t.shape().empty() ? 1 : t.shape()[0];
    if (rows >= 0 && own != rows && !g.type(in.value).shape.empty() &&
        !g.type(in.value).shape[0].is_constant())
      throw UserError(
          fmt::format("input `{}` has {} rows, another input has {}", in.name, own, rows));
    rows = own;
  }
  return tensors;
}

void predict(const PredictOptions& o) {
  const Compilation c = o.model.compile();
  if (c.graph("predict").outputs.empty())
    throw UserError(fmt::format("{}: the model declares no `output`", c.module().file));
  ThreadPool pool(o.run.thread_count());
  TensorMap tensors = o.run.parameters(c, pool);
  for (auto& [name, t] : input_rows(c, o, pool)) tensors[name] = std::move(t);
  const auto code = compile_graph(c.graph("predict"), c.options());
  const TensorMap outputs = run_graph(code->program(), tensors, o.run.seed_of(c.module()), pool);
  const auto files = split_assignments(o.outputs, "--output");
  for (const auto& [name, path] : files) {
    const auto at = outputs.find(name);
    if (at == outputs.end())
      throw UserError(fmt::format("--output {}: the model has no such output", name));
    write_npy(path, at->second);
  }
  if (!files.empty()) return;
  for (const auto& [name, t] : outputs)
    fmt::print("{}: {} = {}\n", name, t.type_str(), show(t, 20));
}

}  // namespace

void add_predict(CLI::App& app) {
  auto* verb =
      app.add_subcommand("predict", "the outputs of a model on rows of its data or on files");
  auto o = std::make_shared<PredictOptions>();
  o->model.add_to(*verb);
  o->run.add_to(*verb);
  verb->add_option("--input", o->inputs, "NAME=FILE.npy; without any, rows of the test data")
      ->expected(1)
      ->take_all();
  verb->add_option("--output", o->outputs, "NAME=FILE.npy; without any, values are printed")
      ->expected(1)
      ->take_all();
  verb->add_option("--rows", o->rows, "how many rows of the data")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  verb->callback([o] { predict(*o); });
}

}  // namespace dlc
