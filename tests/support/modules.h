#pragma once
// Modules without a disk, and whether they are what a module must be.
#include <algorithm>

#include "frontend/frontend.h"
#include "ir/graph/text.h"

/// Data files that are not there, with a content of about the right kind.
inline dlc::FrontendOptions stand_in_files() {
  using namespace dlc;
  FrontendOptions options;
  options.count_tokens = [](const FileSource&) -> std::int64_t { return 69; };
  options.probe = [](const FileSource& file) {
    if (file.reader == "chars" || file.reader == "words")
      return Type{ElementType::I32, {Dim(10000)}};
    if (file.reader == "tsv") return Type{ElementType::F32, {Dim(1503), Dim(6)}};
    const bool chosen = file.reader == "csv" && !file.options.empty();
    const auto columns = static_cast<std::int64_t>(chosen ? file.options.size() : 4);
    return file.reader == "idx"
               ? Type{ElementType::U8, {Dim(100), Dim(28), Dim(28)}}
               : Type{ElementType::F32,
                      {Dim(100 * (1 + static_cast<std::int64_t>(file.further.size()))),
                       Dim(columns)}};
  };
  return options;
}

/// An InternalError unless the graph verifies and survives as text.
inline void require_sound(const dlc::Graph& g) {
  dlc::verify(g);
  const std::string text = dlc::print(g);
  const std::vector<dlc::Graph> again = dlc::parse_graphs(text, "printed");
  DLC_CHECK(again.size() == 1 && dlc::print(again[0]) == text, "the graph reads back as another");
}

/// The same of a module that was compiled without a diagnostic.
inline void require_sound(const dlc::Module& m) {
  for (const dlc::Graph* g : {&m.init, &m.train_step, &m.evaluate, &m.predict}) require_sound(*g);
  for (const dlc::DataSplit& s : m.data.splits) require_sound(s.graph);
  if (!m.has_train) return;
  const auto& outputs = m.train_step.outputs;
  DLC_CHECK(std::any_of(outputs.begin(), outputs.end(),
                        [](const auto& o) { return o.kind == dlc::OutputKind::Update; }),
            "a training step that updates nothing");
  for (const dlc::ParamInfo& p : m.params)
    DLC_CHECK(m.init.find_output(p.path), "{} has no initial value", p.path);
}
