// The model as programs: one body evaluated for evaluation and, with `training` true, for the
// training step, to which updates.cpp adds those of the train block.
#include <algorithm>

#include "frontend/sema/module_builder.h"

namespace dlc::sema {

bool ModuleBuilder::run_model(Program& p) {
  Owner root;
  Frame f;
  f.program = &p;
  f.place = Place::Model;
  f.owner = &root;
  const std::size_t before = ev_->reports();
  for (const ast::Param& c : model_->config) {
    const auto at = overrides_.find(c.name.text);
    const ast::Expr* e = at != overrides_.end() ? at->second.get() : c.default_value.get();
    if (!e)
      ev_->report(
          Diag::missing_argument, c.name.span,
          fmt::format("the setting `{}` of the model has no value", c.name.text),
          fmt::format("give it one: `{} = 256`, or --set {}=256", c.name.text, c.name.text));
    f.names[c.name.text] = {e ? ev_->eval(*e, f) : Val(Poison{}), c.name.span};
  }
  ev_->run(model_->body, f, false);
  for (const GraphInput& in : p.graph.inputs)
    if (in.kind == InputKind::Input || in.kind == InputKind::Target)
      input_spans_[in.name] = f.names[in.name].span;
  return !ev_->failed_since(before) && !model_->body.damaged;
}

namespace {

void add_updates(Program& p) {
  for (const auto& [path, v] : p.current)
    if (!(p.graph.find_input(path)->value == v)) p.b.output(path, OutputKind::Update, v);
}

bool is_result(OutputKind k) { return k == OutputKind::Loss || k == OutputKind::Metric; }
bool is_output(OutputKind k) { return k == OutputKind::Output; }
bool is_generated(OutputKind k) { return k == OutputKind::Output || k == OutputKind::Update; }
bool is_any(OutputKind) { return true; }
bool is_trained(OutputKind k) { return k != OutputKind::Output; }

}  // namespace

void ModuleBuilder::build_evaluate() {
  Program p("evaluate", false, "evaluate");
  ev_->layers = &module_.layers;
  run_model(p);
  ev_->layers = nullptr;
  bool has_results = false;
  for (const GraphOutput& out : p.graph.outputs) has_results = has_results || is_result(out.kind);
  std::vector<std::uint32_t> position;
  module_.evaluate = extract(p.graph, "evaluate", has_results ? is_result : is_any, &position);
  for (LayerInfo& l : module_.layers) {
    l.first = position[l.first];
    l.last = position[l.last];
  }
  module_.predict = extract(p.graph, "predict", is_output);
  for (const auto& [path, v] : p.carried) p.b.output(path, OutputKind::Update, v);
  module_.generate = extract(p.graph, "generate", is_generated);
}

void ModuleBuilder::build_train_step() {
  Program p("train_step", true, "train");
  const bool good = run_model(p);
  if (!train_) return;
  const Val optimizer = optimizer_setting(p);
  if (!good) return;
  watch_parameters(p);
  if (!optimizer.poisoned()) add_optimizer(p, optimizer);
  add_updates(p);
  module_.train_step = extract(p.graph, "train_step", is_trained);
}

void ModuleBuilder::watch_parameters(Program& p) {
  std::map<std::string, Span> seen;
  for (const ast::Stmt& s : train_->body.stmts) {
    const auto* w = std::get_if<ast::Watch>(&s.node);
    if (!w) continue;
    for (const ast::Name& name : w->names) {
      const auto at = p.current.find(name.text);
      if (at != p.current.end()) {
        if (!seen.emplace(name.text, name.span).second)
          ev_->report(Diag::duplicate_definition, name.span,
                      fmt::format("`{}` is watched already", name.text), "",
                      {{seen.at(name.text), "here"}});
        p.b.output(name.text, OutputKind::Watch, p.graph.find_input(name.text)->value);
        continue;
      }
      std::vector<std::string> paths;
      for (const auto& [path, v] : p.current) paths.push_back(path);
      const std::string near = nearest(name.text, paths);
      ev_->report(Diag::unknown_name, name.span,
                  fmt::format("the model has no parameter `{}`", name.text),
                  near.empty() ? fmt::format("its parameters are {}", fmt::join(paths, ", "))
                               : fmt::format("did you mean `{}`?", near));
    }
  }
}

}  // namespace dlc::sema
