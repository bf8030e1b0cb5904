// dlc eval: loss and metrics of a model on a split.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "driver/options.h"
#include "driver/verbs.h"

namespace dlc {

namespace {

struct EvalOptions {
  ModelOptions model;
  RunOptions run;
  std::string split;
  bool json = false;
};

/// The split asked for; without a name the test split where there is one.
const DataSplit& chosen_split(const Module& m, const std::string& name) {
  if (m.data.splits.empty())
    throw UserError(fmt::format("{}: there is no data to evaluate on", m.file));
  if (name.empty()) {
    const DataSplit* test = find_split(m, "test");
    return test ? *test : m.data.splits.front();
  }
  if (const DataSplit* s = find_split(m, name)) return *s;
  std::string names;
  for (const DataSplit& s : m.data.splits) names += " " + s.name;
  throw UserError(fmt::format("there is no split `{}`; the data block has{}", name, names));
}

void evaluate_file(const EvalOptions& o) {
  const Compilation c = o.model.compile();
  ThreadPool pool(o.run.thread_count());
  TensorMap tensors = o.run.parameters_to_use(c, pool);
  const DataSplit& split = chosen_split(c.module(), o.split);
  const Rows rows = load_rows(c, split, o.run.seed_of(c.module()), pool);
  const auto code = compile_graph(c.graph("evaluate"), c.options());
  const Metrics metrics = evaluate(code->program(), tensors, rows, c.module().train.batch, pool);
  if (o.json) {
    nlohmann::ordered_json out{{"split", split.name}, {"rows", rows.count}};
    for (const auto& [name, value] : metrics) out[name] = value;
    fmt::print("{}\n", out.dump());
    return;
  }
  fmt::print("{} ({} rows)", split.name, rows.count);
  for (const auto& [name, value] : metrics) fmt::print("  {} {:.6g}", name, value);
  fmt::print("\n");
}

}  // namespace

void add_eval(CLI::App& app) {
  auto* verb = app.add_subcommand("eval", "loss and metrics on the test rows");
  auto o = std::make_shared<EvalOptions>();
  o->model.add_to(*verb);
  o->run.add_to(*verb);
  verb->add_option("--split", o->split, "which rows: test (default where there is one), train");
  verb->add_flag("--json", o->json, "one JSON object");
  verb->callback([o] { evaluate_file(*o); });
}

}  // namespace dlc
