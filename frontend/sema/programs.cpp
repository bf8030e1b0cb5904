// The model as programs: one body evaluated for evaluation and, with `training` true, for the
// training step, to which the optimizer adds its updates.
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
  if (!optimizer.poisoned()) add_optimizer(p, *optimizer.function());
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

Val ModuleBuilder::optimizer_setting(Program& p) {
  const ast::Expr* e = setting("optimizer");
  if (!e && train_->body.damaged) return Poison{};
  if (!e)
    return ev_->report(Diag::no_optimizer, train_->model.span, "the train block has no optimizer",
                       "for instance `optimizer = sgd(lr: 0.1)`");
  Frame f;
  f.program = &p;
  f.place = Place::Train;
  const Val v = ev_->eval(*e, f);
  if (v.poisoned()) return v;
  const Function* fn = v.function();
  if (!fn || fn->def->kind != ast::CallableKind::Optimizer)
    return ev_->report(Diag::bad_optimizer, e->span,
                       fmt::format("an optimizer is expected, this is {}", describe(v)),
                       "for instance `optimizer = sgd(lr: 0.1)`; `dlc std` lists the optimizers");
  const ast::Callable& def = *fn->def;
  if (def.tensors.size() != 2)
    return ev_->report(
        Diag::bad_optimizer, def.name.span,
        fmt::format("the optimizer `{}` works on {} tensors", def.name.text, def.tensors.size()),
        fmt::format("an optimizer takes the parameter and its gradient: `optimizer {}(lr)(w, g)`",
                    def.name.text));
  if (!ev_->has_arguments(*fn, def.config, "", e->span)) return Poison{};
  return v;
}

/// The loss as it is differentiated: loss * loss_scale.
Value ModuleBuilder::scaled_loss(Program& p, Value loss, Span span) {
  const double scale = module_.train.loss_scale;
  if (scale == 1) return loss;
  p.b.set_loc(ev_->loc(span));
  const Value factor = p.b.scalar(p.type(loss).element, scale);
  const Value scaled = p.b.mul(loss, factor);
  p.graph[scaled].name = "scaled_loss";
  return scaled;
}

/// What an optimizer gets: the gradient of the loss itself, in f32 for a 16-bit parameter.
Val ModuleBuilder::gradient(Program& p, Value scaled_loss, Value w, Span span) {
  const Val g = ev_->emit(p, Op::grad, {scaled_loss, w}, {}, span);
  if (g.poisoned()) return g;
  Value v = g.get<TensorRef>()->value;
  v = p.b.convert(v, accumulator_type(p.type(v).element));
  if (module_.train.loss_scale != 1)
    v = p.b.div(v, p.b.splat(Type(p.type(v)), module_.train.loss_scale));
  return p.ref(v);
}

/// The setting `clip`: a function of the list of all gradients that gives one as long.
bool ModuleBuilder::clip(Program& p, std::vector<Val>& gradients) {
  const ast::Expr* e = setting("clip");
  if (!e) return true;
  Frame f;
  f.program = &p;
  f.place = Place::Train;
  const Val v = ev_->eval(*e, f);
  if (v.poisoned()) return false;
  const Function* fn = v.function();
  const bool takes_gradients =
      fn && !fn->def->has_config &&
      std::any_of(fn->def->tensors.begin(), fn->def->tensors.end(),
                  [](const ast::Param& param) { return param.name.text == "gradients"; });
  const auto refuse = [&](const std::string& what) {
    ev_->report(Diag::bad_setting, e->span, what, "for instance `clip = global_norm(1.0)`");
    return false;
  };
  if (!takes_gradients)
    return refuse(fmt::format("`clip` is a function of all gradients, this is {}", describe(v)));
  Arguments arguments = fn->given;
  arguments["gradients"] = {make_list(gradients), e->span};
  const Val clipped = ev_->call_body(*fn, std::move(arguments), e->span, f);
  if (clipped.poisoned()) return false;
  const List* l = clipped.list();
  if (!l || l->items.size() != gradients.size())
    return refuse(fmt::format("`{}` gives {}, not a list of {} gradients", fn->def->name.text,
                              describe(clipped), gradients.size()));
  for (std::size_t k = 0; k < gradients.size(); ++k) {
    const TensorRef *t = l->items[k].get<TensorRef>(), *before = gradients[k].get<TensorRef>();
    if (!t || !(p.type(t->value) == p.type(before->value)))
      return refuse(fmt::format("`{}` gives {} for a gradient that is {}", fn->def->name.text,
                                describe(l->items[k]), describe(gradients[k])));
  }
  gradients = l->items;
  return true;
}

void ModuleBuilder::add_optimizer(Program& p, const Function& fn) {
  const GraphOutput* loss = nullptr;
  for (const GraphOutput& out : p.graph.outputs)
    if (out.kind == OutputKind::Loss) loss = &out;
  // A loss in error was reported, and so was whatever it lacks.
  if (!loss && !diagnostics_.empty()) return;
  if (!loss) {
    ev_->report(
        Diag::no_loss, train_->model.span,
        fmt::format("the model `{}` has no loss: there is nothing to minimise", model_->name.text),
        "for instance `loss = mean((y - target) ^ 2)`");
    return;
  }
  const Value y = loss->value;
  const Span span = setting("optimizer")->span;
  const ast::Callable& def = *fn.def;
  std::vector<std::pair<std::string, Value>> params;
  for (const GraphInput& in : p.graph.inputs)
    if (in.kind == InputKind::Param) params.emplace_back(in.name, in.value);
  if (params.empty() && !diagnostics_.empty()) return;
  if (params.empty()) {
    ev_->report(Diag::no_loss, train_->model.span,
                fmt::format("the model `{}` has no parameters: there is nothing to train",
                            model_->name.text));
    return;
  }
  std::vector<std::string> paths;
  for (const auto& [path, w] : params) paths.push_back(path);
  const std::vector<std::string> kept = frozen(paths);
  const Value scaled = scaled_loss(p, y, span);
  std::erase_if(params, [&](const auto& param) {
    return std::find(kept.begin(), kept.end(), param.first) != kept.end();
  });
  std::vector<Val> gradients;
  for (const auto& [path, w] : params) {
    if (!ev_->check_gradient(p, y, w, span, fmt::format("the gradient of `{}`", path))) return;
    gradients.push_back(gradient(p, scaled, w, span));
    if (gradients.back().poisoned()) return;
  }
  if (!clip(p, gradients)) return;
  for (std::size_t k = 0; k < params.size(); ++k) {
    const auto& [path, w] = params[k];
    const Val& g = gradients[k];
    Frame body;
    body.program = &p;
    body.place = Place::Optimizer;
    body.from_std = fn.from_std;
    body.slot_prefix = def.name.text + "." + path;
    body.slot_type = p.type(w);
    body.slot_type->element = accumulator_type(body.slot_type->element);
    if (!ev_->run_optimizer(fn, body, path, g, span)) return;
    if (p.current.at(path) == w) {
      ev_->report(Diag::optimizer_without_update, def.name.span,
                  fmt::format("the optimizer `{}` never replaces its parameter", def.name.text),
                  fmt::format("for instance `{0} <- {0} - lr * {1}`", def.tensors[0].name.text,
                              def.tensors[1].name.text));
      return;
    }
  }
}

}  // namespace dlc::sema
