// dlc predict: the outputs of a model on rows of its data or on .npy files.
#include <fmt/format.h>

#include "driver/options.h"
#include "driver/show.h"
#include "driver/verbs.h"
#include "runtime/atomic_file.h"
#include "runtime/data/readers.h"

namespace dlc {

namespace {

struct PredictOptions {
  ModelOptions model;
  RunOptions run;
  std::vector<std::string> inputs, outputs;
  std::optional<std::int64_t> rows;
  std::string csv;
};

/// Which rows of the data: those to predict, else to test, else the only ones.
const DataSplit& split_to_predict(const Module& m) {
  for (const char* name : {"predict", "test"})
    if (const DataSplit* split = find_split(m, name)) return *split;
  return m.data.splits.front();
}

/// From --input files where given, else the first rows of the data.
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
  if (files.empty() && !m.data.splits.empty())
    data = load_rows(c, split_to_predict(m), o.run.seed_of(m), pool);
  // Files hold all rows, a screen a few.
  constexpr std::int64_t kShown = 10;
  const std::int64_t most =
      o.rows.value_or(o.outputs.empty() && o.csv.empty() ? kShown : data.count);
  std::int64_t rows = -1;
  for (const GraphInput& in : g.inputs) {
    if (in.kind != InputKind::Input) continue;
    if (const auto file = files.find(in.name); file != files.end()) {
      tensors[in.name] = as_declared(read_file("npy", file->second, {}), g.type(in.value), in.name);
    } else if (const auto column = data.columns.find(in.name); column != data.columns.end()) {
      tensors[in.name] = column->second.rows(0, std::min(most, data.count));
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

/// So that it reads back as it was.
std::string exact_number(const Tensor& t, std::int64_t k) {
  if (t.dtype() == DLC_F64) return fmt::format("{}", t.at(k));
  if (t.dtype() <= DLC_F16) return fmt::format("{}", static_cast<float>(t.at(k)));
  return fmt::format("{:.0f}", t.at(k));
}

/// One column for each number that an output has in a row: "price", or "x_1", "x_2".
void write_csv(const std::string& path, const Graph& g, const TensorMap& outputs) {
  std::vector<std::pair<const Tensor*, std::int64_t>> columns;  // and the numbers in a row of it
  std::string text;
  std::int64_t rows = -1;
  for (const GraphOutput& out : g.outputs) {
    const Tensor& t = outputs.at(out.name);
    const std::int64_t own = t.shape().empty() ? 1 : t.shape()[0];
    if (rows >= 0 && own != rows)
      throw UserError(fmt::format("--csv {}: output `{}` has {} rows, another has {}", path,
                                  out.name, own, rows));
    rows = own;
    const std::int64_t width = own > 0 ? t.size() / own : 0;
    columns.emplace_back(&t, width);
    for (std::int64_t k = 0; k < width; ++k)
      text += fmt::format("{}{}{}", text.empty() ? "" : ",", out.name,
                          width == 1 ? "" : fmt::format("_{}", k + 1));
  }
  text += "\n";
  for (std::int64_t row = 0; row < rows; ++row) {
    bool first = true;
    for (const auto& [t, width] : columns)
      for (std::int64_t k = 0; k < width; ++k, first = false)
        text += (first ? "" : ",") + exact_number(*t, row * width + k);
    text += "\n";
  }
  const auto bytes = std::as_bytes(std::span(text));
  write_file_atomically(path, std::span(&bytes, 1));
}

void predict(const PredictOptions& o) {
  const Compilation c = o.model.compile();
  if (c.graph("predict").outputs.empty())
    throw UserError(fmt::format("{}: the model declares no `output`", c.module().file));
  ThreadPool pool(o.run.thread_count());
  TensorMap tensors = o.run.parameters_to_use(c, pool);
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
  if (!o.csv.empty()) write_csv(o.csv, c.graph("predict"), outputs);
  if (!files.empty() || !o.csv.empty()) return;
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
  verb->add_option("--csv", o->csv, "a table of all outputs, in the order of the model");
  verb->add_option("--rows", o->rows, "how many rows of the data; 10 to be printed, all for files")
      ->check(CLI::PositiveNumber);
  verb->callback([o] { predict(*o); });
}

}  // namespace dlc
