// Which model, data and train block are meant; const values and settings, from the file and from
// --set.
#include <algorithm>

#include "frontend/parser.h"
#include "frontend/sema/module_builder.h"
#include "ir/support/metric_name.h"
#include "ir/support/pattern.h"

namespace dlc::sema {

namespace {

const std::vector<std::string>& setting_names() {
  static const std::vector<std::string> names = {
      "accumulate",     "average",  "batch",     "clip",       "consecutive", "epochs",
      "evaluate_every", "folds",    "frozen",    "loss_scale", "monitor",     "optimizer",
      "optimizers",     "patience", "precision", "seed",       "shuffle",     "steps"};
  return names;
}

template <class T>
const T* find_block(const std::vector<const T*>& blocks, const std::string& name) {
  for (const T* b : blocks)
    if (b->name.text == name) return b;
  return nullptr;
}

template <class T>
std::string hint_of(const std::vector<const T*>& blocks, const std::string& name) {
  std::vector<std::string> names;
  for (const T* b : blocks) names.push_back(b->name.text);
  const std::string near = nearest(name, names);
  return near.empty() ? "" : fmt::format("did you mean `{}`?", near);
}

/// What may replace what: numbers by numbers, everything else by its own kind.
int kind_of(const Val& v) { return is_static_number(v) ? -1 : static_cast<int>(v.index()); }

}  // namespace

void ModuleBuilder::choose() {
  for (const ast::Train* t : definitions_.trains()) {
    if (!find_block(definitions_.models(), t->model.text))
      diagnostics_.report({Diag::unknown_model,
                           t->model.span,
                           fmt::format("there is no model `{}`", t->model.text),
                           {},
                           {},
                           hint_of(definitions_.models(), t->model.text)});
    if (t->data && !find_block(definitions_.data(), t->data->text))
      diagnostics_.report({Diag::unknown_data,
                           t->data->span,
                           fmt::format("there is no data block `{}`", t->data->text),
                           {},
                           {},
                           hint_of(definitions_.data(), t->data->text)});
    if (options_.model.empty() || options_.model == t->model.text) train_ = t;
  }
  const std::string wanted = !options_.model.empty() ? options_.model
                             : train_                ? train_->model.text
                                                     : "";
  if (!wanted.empty()) {
    model_ = find_block(definitions_.models(), wanted);
    if (!model_ && !options_.model.empty())
      diagnostics_.report({Diag::unknown_model,
                           {},
                           fmt::format("there is no model `{}`", wanted),
                           {},
                           {},
                           hint_of(definitions_.models(), wanted)});
  } else if (!definitions_.models().empty()) {
    model_ = definitions_.models().back();
  }
  if (train_ && train_->data) data_ = find_block(definitions_.data(), train_->data->text);
  if (!train_ && !definitions_.data().empty()) data_ = definitions_.data().back();
}

void ModuleBuilder::read_overrides() {
  for (const auto& [name, text] : options_.sets) {
    const int source = sources_.add("--set " + name, text);
    if (ast::ExprPtr e = parse_expression(sources_, source, diagnostics_))
      overrides_[name] = std::move(e);
  }
  std::vector<std::string> known;
  if (train_) known = setting_names();
  for (const ast::Const* c : definitions_.consts()) known.push_back(c->name.text);
  if (model_)
    for (const ast::Param& p : model_->config) known.push_back(p.name.text);
  for (const auto& [name, e] : overrides_) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    const std::string near = nearest(name, known);
    diagnostics_.report(
        {Diag::unknown_setting,
         e->span,
         fmt::format("--set {}: the file has no const and no setting `{}`", name, name),
         {},
         {},
         near.empty() ? fmt::format("it has {}", fmt::join(known, ", "))
                      : fmt::format("did you mean `{}`?", near)});
  }
}

void ModuleBuilder::override_consts() {
  Frame constant;
  std::vector<const ast::Const*> replaced;
  for (const ast::Const* c : definitions_.consts())
    if (c->value && overrides_.contains(c->name.text)) replaced.push_back(c);
  // All new values stand before any const of the file is evaluated: others may be made of them.
  for (const ast::Const* c : replaced) {
    Definition* d = definitions_.find(c->name.text, false);
    d->value = ev_->eval(*overrides_.at(c->name.text), constant);
    d->state = Definition::State::Done;
  }
  for (const ast::Const* c : replaced) {
    Val& value = definitions_.find(c->name.text, false)->value;
    const Val before = ev_->eval(*c->value, constant);
    if (!value.poisoned() && !before.poisoned() && kind_of(value) != kind_of(before))
      value = ev_->report(Diag::bad_setting, overrides_.at(c->name.text)->span,
                          fmt::format("--set {}: {} cannot replace {}", c->name.text,
                                      describe(value), describe(before)),
                          "", {{c->name.span, "defined here"}});
  }
  // Every const is evaluated, so that its mistakes are found even when nothing uses it.
  for (const ast::Const* c : definitions_.consts()) {
    ast::Expr use;
    use.node = ast::NameRef{c->name.text};
    use.span = c->name.span;
    ev_->eval(use, constant);
  }
}

const ast::Expr* ModuleBuilder::setting(const std::string& name) const {
  if (const auto at = overrides_.find(name); at != overrides_.end()) return at->second.get();
  if (!train_) return nullptr;
  const ast::Expr* found = nullptr;
  for (const ast::Stmt& s : train_->body.stmts)
    if (const auto* a = std::get_if<ast::Assign>(&s.node); a && a->name.text == name)
      found = a->value.get();
  return found;
}

void ModuleBuilder::read_precision() {
  const ast::Expr* e = options_.precision.empty() ? setting("precision") : nullptr;
  const std::string text = e ? std::string(sources_.text(e->span)) : options_.precision;
  if (text.empty()) return;
  const auto type = parse_element_type(text);
  if (type && is_float(*type)) {
    module_.train.precision = *type;
    return;
  }
  static const std::map<std::string, std::string> foreign = {
      {"double", "f64"},    {"float64", "f64"}, {"float", "f32"}, {"float32", "f32"},
      {"bfloat16", "bf16"}, {"bfloat", "bf16"}, {"half", "f16"},  {"float16", "f16"},
      {"fp16", "f16"},      {"mixed", "bf16"},  {"fp32", "f32"},  {"fp64", "f64"}};
  const auto near = foreign.find(text);
  diagnostics_.report({Diag::bad_setting,
                       e ? e->span : Span{},
                       fmt::format("`precision` is f32, f64, bf16 or f16, not `{}`", text),
                       {},
                       {},
                       near != foreign.end() ? fmt::format("did you mean `{}`?", near->second)
                                             : "f64 makes every f32 of the file 64 bits wide; bf16 "
                                               "and f16 train with matrix products "
                                               "of 16-bit numbers, summed in f32"});
}

void ModuleBuilder::read_settings() {
  std::map<std::string, Span> seen;
  for (const ast::Stmt& s : train_->body.stmts) {
    if (std::holds_alternative<ast::Watch>(s.node)) continue;
    const auto* a = std::get_if<ast::Assign>(&s.node);
    if (!a) {
      ev_->report(Diag::misplaced_statement, s.span, "a train block holds settings and `watch`",
                  fmt::format("the settings are {}", fmt::join(setting_names(), ", ")));
      continue;
    }
    const auto& names = setting_names();
    if (std::find(names.begin(), names.end(), a->name.text) == names.end()) {
      const std::string near = nearest(a->name.text, names);
      ev_->report(Diag::unknown_setting, a->name.span,
                  fmt::format("a train block has no setting `{}`", a->name.text),
                  !near.empty() ? fmt::format("did you mean `{}`?", near)
                  : a->name.text == "lr"
                      ? "the learning rate belongs to the optimizer: `optimizer = sgd(lr: 0.1)`"
                      : fmt::format("the settings are {}", fmt::join(names, ", ")));
      continue;
    }
    if (!a->value) continue;
    if (const auto [at, fresh] = seen.emplace(a->name.text, a->name.span); !fresh)
      ev_->report(Diag::duplicate_definition, a->name.span,
                  fmt::format("`{}` is set twice", a->name.text), "",
                  {{at->second, "first set here"}});
  }
  Frame constant;
  TrainSettings& t = module_.train;
  t.loc = sources_.loc(train_->model.span);
  const auto integer = [&](const char* name, std::int64_t least) -> std::optional<std::int64_t> {
    const ast::Expr* e = setting(name);
    if (!e) return std::nullopt;
    const auto v = ev_->eval_int(*e, constant, fmt::format("`{}`", name).c_str());
    if (v && *v < least) {
      ev_->report(Diag::bad_setting, e->span,
                  fmt::format("`{}` is at least {}, not {}", name, least, *v));
      return std::nullopt;
    }
    if (v && *v > 1'000'000'000'000) {
      ev_->report(Diag::bad_setting, e->span, fmt::format("`{}` is too large: {}", name, *v));
      return std::nullopt;
    }
    return v;
  };
  if (const auto v = integer("batch", 1)) t.batch = *v;
  if (const auto v = integer("accumulate", 1)) t.accumulate = *v;
  t.epochs = integer("epochs", 0);
  t.steps = integer("steps", 0);
  if (const auto v = integer("seed", 0)) t.seed = *v;
  // The gradients of a mean over a batch are small, and f16 has nothing below 2^-24.
  if (t.precision == ElementType::F16) t.loss_scale = 1024;
  if (const ast::Expr* e = setting("loss_scale")) {
    const Val v = ev_->eval(*e, constant);
    const auto scale = number(v);
    if (scale && *scale > 0 && *scale <= 0x1p60)
      t.loss_scale = *scale;
    else if (!v.poisoned())
      ev_->report(
          Diag::bad_setting, e->span,
          scale ? fmt::format("`loss_scale` is a number above 0, at most 2^60; not {}", *scale)
                : fmt::format("`loss_scale` is a number, not {}", describe(v)),
          "gradients are computed of loss * loss_scale and divided by it");
  }
  const auto flag = [&](const char* name) -> std::optional<bool> {
    const ast::Expr* e = setting(name);
    const Val v = e ? ev_->eval(*e, constant) : Val(Poison{});
    if (const bool* b = v.get<bool>()) return *b;
    if (!v.poisoned())
      ev_->report(Diag::bad_setting, e->span,
                  fmt::format("`{}` is true or false, not {}", name, describe(v)));
    return std::nullopt;
  };
  if (const auto v = integer("folds", 2)) t.folds = *v;
  if (const auto v = integer("evaluate_every", 1)) t.evaluate_every = *v;
  if (const auto v = integer("patience", 1)) t.patience = *v;
  if (const auto v = flag("shuffle")) t.shuffle = *v;
  consecutive_ = flag("consecutive");
}

/// `monitor = max(accuracy)`: the name of the loss or of a metric, not its value.
void ModuleBuilder::read_monitor() {
  const ast::Expr* e = setting("monitor");
  if (!e || !train_) return;
  std::vector<std::string> metrics;
  for (const GraphOutput& out : module_.evaluate.outputs) {
    if (out.kind != OutputKind::Loss && out.kind != OutputKind::Metric) continue;
    metrics.push_back(parse_metric_name(out.name).name);
  }
  const auto* call = std::get_if<ast::Call>(&e->node);
  const auto* function = call ? std::get_if<ast::NameRef>(&call->callee->node) : nullptr;
  const auto* metric = call && call->args.size() == 1
                           ? std::get_if<ast::NameRef>(&call->args[0].value->node)
                           : nullptr;
  const bool known =
      metric && std::find(metrics.begin(), metrics.end(), metric->name) != metrics.end();
  if (function && (function->name == "max" || function->name == "min") && known) {
    module_.train.monitor = metric->name;
    module_.train.larger_is_better = function->name == "max";
    return;
  }
  if (!diagnostics_.empty()) return;
  const std::string near = metric ? nearest(metric->name, metrics) : "";
  ev_->report(Diag::bad_setting, e->span,
              metric && !known ? fmt::format("the model has no metric `{}`", metric->name)
                               : "`monitor` says which metric is to become large or small",
              !near.empty()
                  ? fmt::format("did you mean `{}`?", near)
                  : fmt::format("`max(...)` or `min(...)` of one of {}", fmt::join(metrics, ", ")));
}

namespace {

std::string names_hint(const std::vector<std::string>& parameters) {
  return fmt::format("the parameters are {}; `*` stands for any part of a name",
                     fmt::join(parameters, ", "));
}

}  // namespace

bool ModuleBuilder::fitting(const std::string& pattern, const std::vector<std::string>& parameters,
                            Span span) {
  if (std::any_of(parameters.begin(), parameters.end(),
                  [&](const std::string& path) { return fits_pattern(pattern, path); }))
    return true;
  const std::string near = nearest(pattern, parameters);
  ev_->report(Diag::bad_setting, span, fmt::format("no parameter is called `{}`", pattern),
              near.empty() ? names_hint(parameters) : fmt::format("did you mean `{}`?", near));
  return false;
}

std::vector<std::string> ModuleBuilder::frozen(const std::vector<std::string>& parameters) {
  const ast::Expr* e = setting("frozen");
  if (!e) return {};
  Frame constant;
  const Val v = ev_->eval(*e, constant);
  std::vector<std::string> found;
  for (const Val& item : v.list() ? v.list()->items : std::vector<Val>{v}) {
    if (item.poisoned()) return {};
    const auto* pattern = item.get<std::string>();
    if (!pattern) {
      ev_->report(Diag::bad_setting, e->span,
                  fmt::format("`frozen` holds names of parameters, not {}", describe(item)),
                  names_hint(parameters));
      return {};
    }
    if (!fitting(*pattern, parameters, e->span)) return {};
    std::copy_if(parameters.begin(), parameters.end(), std::back_inserter(found),
                 [&](const std::string& path) { return fits_pattern(*pattern, path); });
  }
  if (std::all_of(parameters.begin(), parameters.end(), [&](const std::string& path) {
        return std::find(found.begin(), found.end(), path) != found.end();
      }))
    ev_->report(Diag::bad_setting, e->span, "every parameter is frozen: there is nothing to train");
  return found;
}

}  // namespace dlc::sema
