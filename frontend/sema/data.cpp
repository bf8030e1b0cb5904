// Data blocks: a program per split that computes columns; files are its inputs. Columns are matched
// by name with what the model reads.
#include <algorithm>
#include <cmath>

#include "frontend/sema/module_builder.h"

namespace dlc::sema {

FileSource Evaluator::source_of(const std::string& reader, const std::vector<std::string>& paths,
                                std::vector<std::string> options, Span span) const {
  return {fmt::format("{}", fmt::join(paths, "+")),
          reader,
          paths.at(0),
          {paths.begin() + 1, paths.end()},
          std::move(options),
          {},
          loc(span)};
}

std::optional<Type> Evaluator::probe(const FileSource& file, Span span) {
  if (!options_.probe) {
    report(Diag::data_file, span, "files cannot be read here");
    return std::nullopt;
  }
  try {
    return options_.probe(file);
  } catch (const UserError& e) {
    report(Diag::data_file, span, e.what());
    return std::nullopt;
  }
}

Val Evaluator::data_file(const std::string& reader, const std::vector<std::string>& paths,
                         std::vector<std::string> options, Span span, Program& p) {
  if (!files)
    return report(Diag::misplaced_statement, span,
                  fmt::format("`{}` reads a file; it belongs into a data block", reader));
  FileSource file = source_of(reader, paths, std::move(options), span);
  if (!file.options.empty()) file.input += fmt::format("[{}]", fmt::join(file.options, ","));
  for (const FileSource& known : *files)
    if (known.reader == reader && known.path == file.path && known.further == file.further &&
        known.options == file.options)
      return p.ref(p.graph.find_input(known.input)->value);
  // Another reader's of the same path.
  if (p.graph.find_input(file.input)) file.input = reader + ":" + file.input;
  const auto type = probe(file, span);
  if (!type) return Poison{};
  file.type = *type;
  p.b.set_loc(file.loc);
  const Value v = p.b.input(file.input, InputKind::Input, file.type);
  p.origins.resize(p.graph.nodes.size());
  for (const Dim& d : file.type.shape)
    p.origins[v.id].push_back({span, "", fmt::format("the file has {} here", d.str())});
  files->push_back(std::move(file));
  return p.ref(v);
}

void ModuleBuilder::build_data() {
  module_.data.name = data_->name.text;
  ev_->split_test.reset();
  std::map<std::string, Span> seen;
  std::vector<const ast::Stmt*> splits;
  for (const ast::Stmt& s : data_->body.stmts) {
    const auto* split = std::get_if<ast::Split>(&s.node);
    if (!split) continue;
    static const std::vector<std::string> kSplits = {"train", "test", "predict"};
    if (std::find(kSplits.begin(), kSplits.end(), split->name.text) == kSplits.end()) {
      const std::string near = nearest(split->name.text, kSplits);
      ev_->report(Diag::unknown_split, split->name.span,
                  fmt::format("data have the splits `train`, `test` and `predict`, not `{}`",
                              split->name.text),
                  near.empty() ? "" : fmt::format("did you mean `{}`?", near));
      continue;
    }
    if (const auto [at, fresh] = seen.emplace(split->name.text, split->name.span); !fresh) {
      ev_->report(Diag::duplicate_definition, split->name.span,
                  fmt::format("the split `{}` is defined twice", split->name.text), "",
                  {{at->second, "first defined here"}});
      continue;
    }
    // What is trained on comes first.
    splits.insert(split->name.text == "train" ? splits.begin() : splits.end(), &s);
  }
  if (splits.empty()) splits.push_back(nullptr);
  for (const ast::Stmt* s : splits) module_.data.splits.push_back(build_split(*data_, s));
  if (!ev_->split_test) return;
  if (splits.size() != 1 || splits[0]) {
    ev_->report(Diag::misplaced_statement, data_->name.span,
                "`split` cuts one set of rows; this block has `train` and `test` already");
    return;
  }
  DataSplit& train = module_.data.splits[0];
  DataSplit test = train;
  const auto part =
      static_cast<std::int64_t>(std::llround(static_cast<double>(train.rows) * *ev_->split_test));
  train.name = "train";
  train.rows -= part;
  test.name = "test";
  test.first = train.rows;
  test.rows = part;
  module_.data.splits.push_back(std::move(test));
}

DataSplit ModuleBuilder::build_split(const ast::Data& data, const ast::Stmt* split) {
  const auto* block = split ? &std::get<ast::Split>(split->node) : nullptr;
  DataSplit s;
  s.name = block ? block->name.text : "train";
  Program p("data", false, fmt::format("data.{}.{}", data.name.text, block ? s.name : ""));
  ev_->files = &s.files;
  std::map<Value, Evaluator::Sequence> sequences;
  ev_->sequences = &sequences;
  Frame f;
  f.program = &p;
  f.place = Place::Data;
  const std::size_t before = ev_->reports();
  for (const ast::Block* part : {&data.body, block ? &block->body : nullptr}) {
    if (!part) continue;
    for (const ast::Stmt& stmt : part->stmts) {
      if (part == &data.body && std::holds_alternative<ast::Split>(stmt.node)) continue;
      Val last = None{};
      ev_->run(stmt, f, last);
      ev_->check_unused(last, stmt.span);
    }
  }
  // Not matched with a model that is in error itself: its inputs are not known then.
  if (!ev_->failed_since(before) && diagnostics_.empty()) match_columns(s, p, f, data);
  ev_->files = nullptr;
  ev_->sequences = nullptr;
  return s;
}

/// Whether all columns that the model reads are sequences of one text, in rows of one length.
void ModuleBuilder::find_sequences(DataSplit& split, const Frame& f) {
  std::optional<Evaluator::Sequence> all;
  std::string length;
  for (const DataColumn& column : split.columns) {
    if (column.shift < 0) return;
    const Value v = f.names.at(column.name).value.get<TensorRef>()->value;
    const Evaluator::Sequence& s = ev_->sequences->at(v);
    if (all && (all->input != s.input || all->steps != s.steps)) return;
    all = s;
    const Type* declared = declared_input(module_, column.name);
    if (!declared || declared->element != ElementType::I32) return;
    if (const auto names = declared->shape[1].symbols(); names.size() == 1) length = names[0];
  }
  if (!all) return;
  for (std::size_t k = 0; k < split.files.size(); ++k)
    if (split.files[k].input == all->input)
      split.sequences = SequenceRows{static_cast<int>(k), all->steps, length};
}

/// What is trained on sequences reads them from the text itself, from any token on (gather_rows).
void ModuleBuilder::mark_sequences() {
  if (module_.data.splits.empty() || !module_.data.splits[0].sequences) return;
  for (const DataColumn& column : module_.data.splits[0].columns)
    if (const GraphInput* in = module_.train_step.find_input(column.name))
      module_.train_step[in->value].attrs["shift"] = column.shift;
}

void ModuleBuilder::match_columns(DataSplit& split, Program& p, const Frame& f,
                                  const ast::Data& data) {
  const auto is_file = [&](Value v) -> int {
    for (std::size_t k = 0; k < split.files.size(); ++k)
      if (p.graph.find_input(split.files[k].input)->value == v) return static_cast<int>(k);
    return -1;
  };
  std::vector<std::string> names;
  Span rows_span;
  std::string rows_name;
  for (const auto& [name, bound] : f.names) {
    const auto* t = bound.value.get<TensorRef>();
    if (t) names.push_back(name);
    const Type* declared = declared_input(module_, name);
    // Without a model, every tensor is a column; a table as such is where columns come from.
    const auto* table = bound.value.get<std::shared_ptr<const Table>>();
    const bool is_column = t ? p.type(t->value).rank() > 0 : table && !(*table)->options.empty();
    if (model_ ? !declared : !is_column) continue;
    Value v;
    if (t) {
      v = t->value;
    } else {
      const auto made = ev_->tensor(p, bound.value, bound.span);
      if (!made) continue;
      v = *made;
    }
    const Type type = p.type(v);
    const std::vector<Label> input_label =
        declared ? std::vector<Label>{{input_spans_.at(name),
                                       fmt::format("the model reads {}", declared->str())}}
                 : std::vector<Label>{};
    if (declared) {
      bool fits = type.rank() == declared->rank() && type.rank() > 0;
      for (int k = 1; fits && k < type.rank(); ++k) {
        const Dim& d = declared->shape[static_cast<std::size_t>(k)];
        fits = !d.is_constant() || d == type.shape[static_cast<std::size_t>(k)];
      }
      if (!fits) {
        std::string hint;
        if (type.rank() + 1 == declared->rank() && declared->shape.back() == Dim(1))
          hint = fmt::format("make a column of it: `{} = reshape(..., [-1, 1])`", name);
        ev_->report(Diag::data_mismatch, bound.span,
                    fmt::format("the column `{}` is {}, the model reads {}", name,
                                ev_->describe_shape(p, v), declared->str()),
                    hint, input_label);
        continue;
      }
      if (is_float(type.element) && !is_float(declared->element)) {
        ev_->report(Diag::data_mismatch, bound.span,
                    fmt::format("the column `{}` holds {} numbers, the model reads {}", name,
                                dlc::name(type.element), declared->str()),
                    fmt::format("convert it: `{} = {}(...)`", name, dlc::name(declared->element)),
                    input_label);
        continue;
      }
    }
    const std::int64_t rows = type.shape[0].value();
    if (!split.columns.empty() && rows != split.rows) {
      ev_->report(Diag::rows_differ, bound.span,
                  fmt::format("the column `{}` has {} rows, `{}` has {}", name, rows, rows_name,
                              split.rows),
                  "the first axis of every column is the row axis", {{rows_span, "defined here"}});
      continue;
    }
    split.rows = rows;
    rows_span = bound.span;
    rows_name = name;
    const int file = is_file(v);
    split.columns.push_back({name, type, file});
    if (const auto made = ev_->sequences->find(v); made != ev_->sequences->end())
      split.columns.back().shift = made->second.shift;
    if (file < 0) p.b.output(name, OutputKind::Output, v);
  }
  if (model_ && train_) {
    const Span where = train_->data ? train_->data->span : train_->model.span;
    for (const auto& [name, span] : input_spans_) {
      // Rows to predict have no targets.
      const bool read = split.name == "predict" ? module_.predict.find_input(name) != nullptr
                                                : declared_input(module_, name) != nullptr;
      if (!read || f.names.contains(name)) continue;
      const std::string near = nearest(name, names);
      ev_->report(Diag::missing_column, where,
                  fmt::format("the data `{}` have no column `{}`, which the model reads",
                              data.name.text, name),
                  near.empty()
                      ? fmt::format("names match; the data have {}", fmt::join(names, ", "))
                      : fmt::format("did you mean `{}`? names must match", near),
                  {{span, "declared here"}});
    }
  }
  // What the data were made with, where it has the name of a parameter.
  for (const ParamInfo& param : module_.params) {
    const auto at = f.names.find(param.path);
    if (param.kind != InputKind::Param || at == f.names.end() ||
        declared_input(module_, param.path))
      continue;
    const bool is_value =
        at->second.value.get<TensorRef>() || at->second.value.list() || number(at->second.value);
    const auto v = is_value ? ev_->tensor(p, at->second.value, at->second.span, param.type.element)
                            : std::nullopt;
    if (!v || !(element_count(p.type(*v).shape) == element_count(param.type.shape))) continue;
    p.b.output(param.path, OutputKind::Output, *v);
    split.truths.push_back(param.path);
  }
  find_sequences(split, f);
  split.graph = extract(p.graph, "data", [](OutputKind) { return true; });
}

}  // namespace dlc::sema
