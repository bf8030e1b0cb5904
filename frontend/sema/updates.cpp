// What the train block adds to the training step: gradients, limited and accumulated, the
// optimizer's updates, and averages of parameters.
#include <algorithm>

#include "frontend/sema/module_builder.h"
#include "ir/support/pattern.h"

namespace dlc::sema {

Frame ModuleBuilder::train_frame(Program& p) const {
  Frame f;
  f.program = &p;
  f.place = Place::Train;
  return f;
}

Val ModuleBuilder::optimizer_setting(Program& p) {
  const ast::Expr* e = setting("optimizer");
  if (!e && train_->body.damaged) return Poison{};
  if (!e)
    return ev_->report(Diag::no_optimizer, train_->model.span, "the train block has no optimizer",
                       "for instance `optimizer = sgd(lr: 0.1)`");
  Frame f = train_frame(p);
  return checked_optimizer(ev_->eval(*e, f), e->span);
}

/// `v` if it is an optimizer that can be used, else poison after a report.
Val ModuleBuilder::checked_optimizer(const Val& v, Span span) {
  if (v.poisoned()) return v;
  const Function* fn = v.function();
  if (!fn || fn->def->kind != ast::CallableKind::Optimizer)
    return ev_->report(Diag::bad_optimizer, span,
                       fmt::format("an optimizer is expected, this is {}", describe(v)),
                       "for instance `optimizer = sgd(lr: 0.1)`; `dlc std` lists the optimizers");
  const ast::Callable& def = *fn->def;
  if (def.tensors.size() != 2)
    return ev_->report(
        Diag::bad_optimizer, def.name.span,
        fmt::format("the optimizer `{}` works on {} tensors", def.name.text, def.tensors.size()),
        fmt::format("an optimizer takes the parameter and its gradient: `optimizer {}(lr)(w, g)`",
                    def.name.text));
  if (!ev_->has_arguments(*fn, def.config, "", span)) return Poison{};
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
  Frame f = train_frame(p);
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

namespace {

constexpr const char *kAccumulated = "accumulated.", *kAverage = "average.";

}  // namespace

/// A state of the train block's own.
std::optional<Value> ModuleBuilder::add_state(Program& p, const std::string& path, const Type& type,
                                              Value initial) {
  if (p.current.contains(path)) {
    ev_->report(Diag::duplicate_definition, train_->model.span,
                fmt::format("the model has a parameter or state `{}` already", path),
                "the train block keeps a state of that name; rename the layer");
    return std::nullopt;
  }
  init_->b.output(path, OutputKind::Output, initial);
  module_.params.push_back({path, type, InputKind::State, module_.train.loc});
  p.b.set_loc(module_.train.loc);
  const Value v = p.b.input(path, InputKind::State, type);
  p.origins.resize(p.graph.nodes.size());
  p.current[path] = v;
  return v;
}

/// `updated` where this step ends with an update, else `before`; `updated` where all of them do.
Value ModuleBuilder::if_updating(Program& p, Value updated, Value before) {
  if (!updating_.valid()) return updated;
  return p.b.select(p.b.broadcast(updating_, p.type(before).shape, {}), updated, before);
}

/// The setting `accumulate`: gradients become means of those of so many steps, and the last of
/// these updates.
bool ModuleBuilder::accumulate(Program& p, const Parameters& params, std::vector<Val>& gradients) {
  if (module_.train.accumulate < 2) return true;
  p.b.set_loc(module_.train.loc);
  const Value of = p.b.scalar(ElementType::I64, static_cast<double>(module_.train.accumulate));
  const Value last =
      p.b.scalar(ElementType::I64, static_cast<double>(module_.train.accumulate - 1));
  updating_ = p.b.node(Op::eq, {p.b.node(Op::rem, {p.scalar_input("step"), of}), last});
  for (std::size_t k = 0; k < params.size(); ++k) {
    const Value g = gradients[k].get<TensorRef>()->value;
    const Type type = p.type(g);
    const std::string path = kAccumulated + params[k].first;
    const auto sum_before = add_state(p, path, type, init_->b.splat(type, 0));
    if (!sum_before) return false;
    const Value share = p.b.div(g, p.b.splat(type, static_cast<double>(module_.train.accumulate)));
    const Value sum = p.b.add(*sum_before, share);
    p.current[path] = if_updating(p, p.b.splat(type, 0), sum);
    gradients[k] = p.ref(sum);
  }
  return true;
}

/// The setting `average`: a moving mean of each parameter, which evaluation and prediction use.
bool ModuleBuilder::add_averages(Program& p, const Parameters& params) {
  const ast::Expr* e = setting("average");
  if (!e) return true;
  Frame f = train_frame(p);
  const Val v = ev_->eval(*e, f);
  if (v.poisoned()) return false;
  const auto fixed = number(v);
  if (fixed && !(*fixed > 0 && *fixed < 1)) {
    ev_->report(Diag::bad_setting, e->span,
                fmt::format("`average` is between 0 and 1, not {:g}", *fixed),
                "for instance 0.999: the part of the mean so far that a step keeps");
    return false;
  }
  const auto decay = ev_->tensor(p, v, e->span, default_float_);
  if (!decay) return false;
  if (p.type(*decay).rank() != 0 || !is_float(p.type(*decay).element)) {
    ev_->report(Diag::bad_setting, e->span,
                fmt::format("`average` is one number, this is {}", describe(v)));
    return false;
  }
  p.b.set_loc(ev_->loc(e->span));
  for (const auto& [path, w] : params) {
    const Type type{accumulator_type(p.type(w).element), p.type(w).shape};
    const Value initial = init_->b.convert(init_->graph.find_output(path)->value, type.element);
    const auto before = add_state(p, kAverage + path, type, initial);
    if (!before) return false;
    const Value keep = p.b.broadcast(p.b.convert(*decay, type.element), type.shape, {});
    const Value now = p.b.convert(p.current.at(path), type.element);
    // d a + (1 - d) w
    const Value moved =
        p.b.add(p.b.mul(keep, *before), p.b.mul(p.b.sub(p.b.splat(type, 1), keep), now));
    p.current[kAverage + path] = if_updating(p, moved, *before);
    averaged_.insert(path);
  }
  for (Graph* g : {&module_.evaluate, &module_.predict, &module_.generate}) read_averages(*g);
  return true;
}

/// Parameters that have an average are read from there.
void ModuleBuilder::read_averages(Graph& g) const {
  for (GraphInput& in : g.inputs) {
    if (in.kind != InputKind::Param || !averaged_.contains(in.name)) continue;
    in.name = kAverage + in.name;
    in.kind = InputKind::State;
    g[in.value].name = in.name;
  }
}

/// The setting `optimizers`: pairs of names of parameters and the optimizer for them. By parameter,
/// the first that fits, else `common`; empty after a report.
std::vector<Val> ModuleBuilder::optimizers_of(Program& p, const Parameters& params,
                                              const Val& common) {
  std::vector<Val> result(params.size(), common);
  const ast::Expr* e = setting("optimizers");
  if (!e) return result;
  std::vector<std::string> paths;
  for (const auto& [path, w] : params) paths.push_back(path);
  std::vector<bool> chosen(params.size(), false);
  Frame f = train_frame(p);
  const Val v = ev_->eval(*e, f);
  if (v.poisoned()) return {};
  const auto refuse = [&](const std::string& what) {
    ev_->report(Diag::bad_setting, e->span, what,
                "for instance `optimizers = [[\"*.b\", sgd(lr: 0.2)], [\"dense_1.*\", adam()]]`");
    return std::vector<Val>{};
  };
  if (!v.list()) return refuse(fmt::format("`optimizers` is a list of pairs, not {}", describe(v)));
  for (const Val& item : v.list()->items) {
    const List* pair = item.list();
    const auto* pattern =
        pair && pair->items.size() == 2 ? pair->items[0].get<std::string>() : nullptr;
    if (!pattern)
      return refuse("each entry of `optimizers` is a name of parameters and an optimizer");
    const Val optimizer = checked_optimizer(pair->items[1], e->span);
    if (optimizer.poisoned() || !fitting(*pattern, paths, e->span)) return {};
    for (std::size_t k = 0; k < paths.size(); ++k)
      if (!chosen[k] && fits_pattern(*pattern, paths[k])) {
        result[k] = optimizer;
        chosen[k] = true;
      }
  }
  return result;
}

void ModuleBuilder::add_optimizer(Program& p, const Val& optimizer) {
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
  Parameters params;
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
  const std::vector<Val> optimizers = optimizers_of(p, params, optimizer);
  if (optimizers.empty() || !accumulate(p, params, gradients) || !clip(p, gradients)) return;
  const std::map<std::string, Value> before = p.current;
  for (std::size_t k = 0; k < params.size(); ++k)
    if (!update(p, *optimizers[k].function(), params[k].first, params[k].second, gradients[k],
                span))
      return;
  for (auto& [path, v] : p.current) {
    const auto known = before.find(path);
    const Value old = known != before.end() ? known->second : p.graph.find_input(path)->value;
    if (!(v == old)) v = if_updating(p, v, old);
  }
  add_averages(p, params);
}

/// What the optimizer makes of one parameter and its states.
bool ModuleBuilder::update(Program& p, const Function& fn, const std::string& path, Value w,
                           const Val& g, Span span) {
  const ast::Callable& def = *fn.def;
  Frame body;
  body.program = &p;
  body.place = Place::Optimizer;
  body.from_std = fn.from_std;
  body.slot_prefix = def.name.text + "." + path;
  body.slot_type = p.type(w);
  body.slot_type->element = accumulator_type(body.slot_type->element);
  if (!ev_->run_optimizer(fn, body, path, g, span)) return false;
  if (!(p.current.at(path) == w)) return true;
  ev_->report(Diag::optimizer_without_update, def.name.span,
              fmt::format("the optimizer `{}` never replaces its parameter", def.name.text),
              fmt::format("for instance `{0} <- {0} - lr * {1}`", def.tensors[0].name.text,
                          def.tensors[1].name.text));
  return false;
}

}  // namespace dlc::sema
