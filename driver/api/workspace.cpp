#include "driver/api/workspace.h"

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "codegen/native/llvm_module.h"
#include "driver/api/data_check.h"
#include "runtime/data/readers.h"

namespace dlc {

namespace {

void check_shape(const Tensor& t, const Type& declared, const std::string& name) {
  const auto mismatch = [&](const std::string& why) {
    return UserError(fmt::format("input `{}` is declared as {}, the data is {}: {}", name,
                                 declared.str(), t.type_str(), why));
  };
  if (t.shape().size() != declared.shape.size()) throw mismatch("the ranks differ");
  std::map<std::string, std::int64_t> symbols;
  for (std::size_t k = 0; k < t.shape().size(); ++k) {
    const Dim& d = declared.shape[k];
    if (d.is_constant() && d.value() != t.shape()[k])
      throw mismatch(fmt::format("axis {} has extent {}", k, t.shape()[k]));
    const std::vector<std::string> names = d.symbols();
    if (names.size() == 1 && d == Dim::symbol(names[0])) {
      const auto [at, fresh] = symbols.emplace(names[0], t.shape()[k]);
      if (!fresh && at->second != t.shape()[k])
        throw mismatch(fmt::format("{} is both {} and {}", names[0], at->second, t.shape()[k]));
    }
  }
}

}  // namespace

Tensor as_declared(const Tensor& t, const Type& declared, const std::string& name) {
  check_shape(t, declared, name);
  return t.convert(to_dtype(declared.element));
}

Tensor as_declared(Tensor&& t, const Type& declared, const std::string& name) {
  check_shape(t, declared, name);
  return t.dtype() == to_dtype(declared.element) ? std::move(t)
                                                 : t.convert(to_dtype(declared.element));
}

TensorMap copy_of(const TensorMap& tensors) {
  TensorMap result;
  for (const auto& [name, t] : tensors)
    result[name] = Tensor::copy_of(t.dtype(), t.shape(), t.data());
  return result;
}

TensorMap run_graph(const dlc_program* program, TensorMap& inputs, std::int64_t seed,
                    ThreadPool& pool) {
  Tensor scalars[3] = {Tensor(DLC_I64, {}), Tensor(DLC_I64, {}), Tensor(DLC_I64, {})};
  scalars[0].set(0, static_cast<double>(seed));
  static constexpr const char* kNames[3] = {"seed", "step", "epoch"};
  std::map<std::string, Tensor*, std::less<>> bound;
  for (int i = 0; i < program->num_buffers; ++i) {
    const dlc_buffer& b = program->buffers[i];
    if (b.kind == DLC_SCALAR) {
      for (int k = 0; k < 3; ++k)
        if (std::string_view(b.name) == kNames[k]) bound[b.name] = &scalars[k];
    } else if (const auto at = inputs.find(b.name);
               at != inputs.end() &&
               (b.kind == DLC_INPUT || b.kind == DLC_PARAM || b.kind == DLC_STATE)) {
      bound[b.name] = &at->second;
    }
  }
  return run_once(program, pool, bound);
}

TensorMap initialise(const Compilation& c, std::int64_t seed, ThreadPool& pool) {
  TensorMap none;
  const std::unique_ptr<CompiledProgram> code = compile_graph(c.module().init, c.options());
  return run_graph(code->program(), none, seed, pool);
}

const DataSplit* find_split(const Module& m, std::string_view name) {
  for (const DataSplit& s : m.data.splits)
    if (s.name == name) return &s;
  return nullptr;
}

const DataSplit* train_split(const Module& m) {
  return m.data.splits.empty() ? nullptr : &m.data.splits.front();
}

void check_columns(const Module& m, const Graph& g, const DataSplit* split) {
  std::vector<std::string> wanted, columns;
  for (const GraphInput& in : g.inputs)
    if (in.kind == InputKind::Input || in.kind == InputKind::Target) wanted.push_back(in.name);
  if (split)
    for (const DataColumn& column : split->columns) columns.push_back(column.name);
  for (const std::string& name : wanted) {
    if (std::find(columns.begin(), columns.end(), name) != columns.end()) continue;
    const Node& n = g[g.find_input(name)->value];
    const std::string at =
        n.loc.known() ? fmt::format("{}:{}:{}", n.loc.file(), n.loc.line, n.loc.column) : m.file;
    const std::string input = fmt::format("{}: the model reads `{}` ({})", at, name, n.type.str());
    if (!split)
      throw UserError(fmt::format(
          "{}, but it is trained without data; write `train {} on DATA`, where `data DATA` has the "
          "columns {}",
          input, m.model_name, fmt::join(wanted, ", ")));
    const std::string near = nearest(name, columns);
    throw UserError(fmt::format(
        "{}, but the {} rows of data `{}` have no column of that name; their columns are {}: {}",
        input, split->name, m.data.name, fmt::join(columns, ", "),
        near.empty() ? fmt::format("add `{} = ...` to the data block", name)
                     : fmt::format("did you mean `{}`?", near)));
  }
  if (split && !wanted.empty() && split->rows < 1)
    throw UserError(fmt::format("the {} rows of data `{}` are none", split->name, m.data.name));
}

namespace {

/// What a split's columns are taken from: its files and what its graph computed of them.
struct SplitSource {
  TensorMap files, computed;
};

SplitSource read_split(const Compilation& c, const DataSplit& split, std::int64_t seed,
                       ThreadPool& pool) {
  SplitSource source;
  std::unique_ptr<CompiledProgram> code;
  if (!split.graph.outputs.empty()) code = compile_graph(split.graph, c.options());
  // The data may be large, and most often nothing is compiled from here on.
  release_llvm_pages();
  for (const FileSource& file : split.files)
    source.files[file.input] =
        read_file(file.reader, c.locate(file), file.options, c.locate_further(file));
  if (code) source.computed = run_graph(code->program(), source.files, seed, pool);
  return source;
}

/// The rows that belong to `split`. A column that is all of a tensor is moved out of the source.
Rows rows_of(const Module& m, const DataSplit& split, SplitSource& source) {
  Rows rows;
  rows.count = split.rows;
  if (split.sequences) {
    rows.steps = split.sequences->steps;
    // The rows, and the token after the last of them.
    const Tensor& text =
        source.files.at(split.files[static_cast<std::size_t>(split.sequences->file)].input);
    const std::int64_t end = split.first + split.rows == (text.shape()[0] - 1) / rows.steps
                                 ? text.shape()[0]
                                 : (split.first + split.rows) * rows.steps + 1;
    const std::int64_t begin = split.first * rows.steps;
    rows.columns["rows.text"] = text.rows(begin, std::min(end, text.shape()[0]) - begin);
    if (!split.sequences->length.empty()) rows.extents[split.sequences->length] = rows.steps;
  }
  std::map<int, int> uses;
  for (const DataColumn& column : split.columns) ++uses[column.file];
  for (const DataColumn& column : split.columns) {
    const Type* declared = declared_input(m, column.name);
    if (!declared && m.has_model) continue;
    Tensor& all = column.file >= 0 ? source.files.at(split.files[column.file].input)
                                   : source.computed.at(column.name);
    if (all.shape().empty() || all.shape()[0] < split.first + split.rows)
      throw UserError(fmt::format("data column `{}` is {}, {} rows are expected of it", column.name,
                                  all.type_str(), split.first + split.rows));
    // Without a model, as the data block has it.
    const Type& type = declared ? *declared : column.type;
    const bool whole = split.first == 0 && all.shape()[0] == split.rows;
    if (!whole)
      rows.columns[column.name] = as_declared(all.rows(split.first, split.rows), type, column.name);
    else if (column.file < 0 || uses[column.file] == 1)
      rows.columns[column.name] = as_declared(std::move(all), type, column.name);
    else
      rows.columns[column.name] = as_declared(all, type, column.name);
  }
  check_indices(m, split, rows);
  return rows;
}

}  // namespace

LoadedData load_data(const Compilation& c, const DataSplit& split, const DataSplit* test,
                     std::int64_t seed, ThreadPool& pool) {
  SplitSource source = read_split(c, split, seed, pool);
  LoadedData data;
  for (const std::string& path : split.truths)
    data.truths[path] = std::move(source.computed.at(path));
  data.rows = rows_of(c.module(), split, source);
  // Test rows that `split` cut off the same data begin where the others end.
  if (test && test->first > 0)
    data.test = rows_of(c.module(), *test, source);
  else if (test)
    data.test = load_rows(c, *test, seed, pool);
  return data;
}

Rows load_rows(const Compilation& c, const DataSplit& split, std::int64_t seed, ThreadPool& pool) {
  SplitSource source = read_split(c, split, seed, pool);
  return rows_of(c.module(), split, source);
}

int default_threads() {
  if (const char* text = std::getenv("DLC_THREADS")) {
    const int n = std::atoi(text);
    if (n >= 1) return n;
    throw UserError(fmt::format("DLC_THREADS={}: a number of threads from 1 is expected", text));
  }
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

}  // namespace dlc
