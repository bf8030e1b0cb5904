// Statements: declarations, assignments, updates, results, loops.
#include <algorithm>

#include "frontend/sema/evaluator.h"
#include "ir/support/metric_name.h"

namespace dlc::sema {

namespace {

const char* place_word(Place p) {
  switch (p) {
    case Place::Const:
      return "a const";
    case Place::Data:
      return "a data block";
    case Place::Model:
      return "a model";
    case Place::Layer:
      return "a layer";
    case Place::Fn:
      return "a function";
    case Place::Optimizer:
      return "an optimizer";
    case Place::Train:
      return "a train block";
    case Place::Initial:
      return "an initial value";
    case Place::Scan:
      return "a scan";
  }
  return "";
}

const char* decl_word(ast::DeclKind k) {
  switch (k) {
    case ast::DeclKind::Input:
      return "input";
    case ast::DeclKind::Target:
      return "target";
    case ast::DeclKind::Param:
      return "param";
    case ast::DeclKind::State:
      return "state";
    case ast::DeclKind::Carry:
      return "carry";
  }
  return "";
}

std::string joined(const std::string& prefix, const std::string& name) {
  return prefix.empty() ? name : prefix + "." + name;
}

}  // namespace

Val Evaluator::run(const ast::Block& block, Frame& f, bool gives_value) {
  Val last = None{};
  f.failed = f.failed || block.damaged;
  for (std::size_t k = 0; k < block.stmts.size() && !stopped_; ++k) {
    const std::size_t before = reports();
    last = None{};
    run(block.stmts[k], f, last);
    if (failed_since(before)) f.failed = true;
    const bool is_value = gives_value && k + 1 == block.stmts.size();
    if (!is_value) check_unused(last, block.stmts[k].span);
  }
  return last;
}

void Evaluator::check_unused(const Val& v, Span span) {
  if (!v.get<None>() && !v.poisoned())
    report(Diag::unused_value, span,
           fmt::format("the value of this line, {}, is not used", describe(v)),
           "bind it to a name: `y = ...`");
}

void Evaluator::run(const ast::Stmt& stmt, Frame& f, Val& last) {
  if (const auto* d = std::get_if<ast::Decl>(&stmt.node)) {
    run_decl(*d, stmt.span, f);
  } else if (const auto* a = std::get_if<ast::Assign>(&stmt.node)) {
    run_assign(*a, stmt.span, f);
  } else if (const auto* u = std::get_if<ast::Update>(&stmt.node)) {
    run_update(*u, stmt.span, f);
  } else if (const auto* r = std::get_if<ast::Result>(&stmt.node)) {
    run_result(*r, stmt.span, f);
  } else if (const auto* w = std::get_if<ast::Watch>(&stmt.node)) {
    run_watch(*w, f);
  } else if (const auto* y = std::get_if<ast::Yield>(&stmt.node)) {
    run_yield(*y, stmt.span, f);
  } else if (const auto* l = std::get_if<ast::For>(&stmt.node)) {
    run_for(*l, f);
  } else if (const auto* e = std::get_if<ast::ExprStmt>(&stmt.node)) {
    last = eval(*e->value, f);
  } else {
    const auto& s = std::get<ast::Split>(stmt.node);
    report(Diag::misplaced_statement, s.name.span,
           fmt::format("a `{}` block belongs directly into a data block", s.name.text));
  }
}

void Evaluator::bind(Frame& f, const std::string& name, Val v, Span span) {
  if (const auto* t = v.get<TensorRef>(); t && f.place != Place::Fn) {
    Program& p = *t->program;
    Node& n = p.graph[t->value];
    if (n.op != Op::input && p.user_named.insert(t->value.id).second)
      n.name = f.place == Place::Layer && f.owner ? joined(f.owner->path, name) : name;
  }
  // A layer bound to a name is one instance; its parameters are found under that name.
  if (const Function* fn = v.function();
      fn && fn->def->kind == ast::CallableKind::Layer && f.owner && f.program &&
      (fn->path.empty() || fn->path_program != f.program->serial) &&
      (fn->configured || !fn->def->has_config)) {
    std::string child = name;
    for (int k = 2; !f.owner->children.insert(child).second; ++k)
      child = fmt::format("{}_{}", name, k);
    fn->path = joined(f.owner->path, child);
    fn->path_program = f.program->serial;
  }
  f.slots.erase(name);
  f.names[name] = {std::move(v), span};
}

// ---- Declarations ----

void Evaluator::run_decl(const ast::Decl& d, Span span, Frame& f) {
  const bool is_input = d.kind == ast::DeclKind::Input || d.kind == ast::DeclKind::Target;
  if (is_input && f.place != Place::Model) {
    report(Diag::misplaced_statement, span,
           fmt::format("`{}` declares what a model reads; this is {}", decl_word(d.kind),
                       place_word(f.place)),
           f.place == Place::Layer || f.place == Place::Fn ? "what it works on comes as an argument"
                                                           : "");
  } else if (is_input) {
    run_input(d, span, f);
    return;
  } else if (f.place == Place::Fn) {
    report(Diag::param_in_function, span, fmt::format("functions own no {}s", decl_word(d.kind)),
           "make it a `layer`: layers own parameters, functions do not");
  } else if (f.place != Place::Model && f.place != Place::Layer &&
             !(f.place == Place::Optimizer && d.kind == ast::DeclKind::State)) {
    report(Diag::misplaced_statement, span,
           fmt::format("`{}` belongs into a model or layer; this is {}", decl_word(d.kind),
                       place_word(f.place)),
           f.place == Place::Optimizer ? "what an optimizer remembers is `state`"
           : f.place == Place::Scan    ? "declare it before the scan; every turn uses the same"
                                       : "");
  } else {
    run_slot(d, span, f);
    return;
  }
  f.names[d.name.text] = {Poison{}, d.name.span};
}

/// Whether something declared cannot have this name, after a report.
bool Evaluator::taken(const ast::Name& name, const Frame& f) {
  if (const auto at = f.names.find(name.text); at != f.names.end()) {
    report(Diag::duplicate_definition, name.span, fmt::format("`{}` is defined twice", name.text),
           "", {{at->second.span, "first defined here"}});
    return true;
  }
  if (f.slots.contains(name.text)) {
    report(Diag::duplicate_definition, name.span, fmt::format("`{}` is declared twice", name.text));
    return true;
  }
  if (f.place == Place::Model &&
      (name.text == "seed" || name.text == "step" || name.text == "epoch")) {
    report(Diag::duplicate_definition, name.span,
           fmt::format("`{}` belongs to the training of every model", name.text),
           "choose another name");
    return true;
  }
  return false;
}

void Evaluator::run_input(const ast::Decl& d, Span span, Frame& f) {
  Program& p = *f.program;
  if (taken(d.name, f)) {
    f.names.emplace(d.name.text, Bound{Poison{}, d.name.span});
    return;
  }
  if (!d.type) {
    f.names[d.name.text] = {Poison{}, d.name.span};
    report(Diag::missing_type, d.name.span,
           fmt::format("the type of {} `{}` is missing", decl_word(d.kind), d.name.text),
           fmt::format("for instance `{} {}: f32[N, 2]`; N stands for the rows of a batch",
                       decl_word(d.kind), d.name.text));
    return;
  }
  if (d.init) {
    f.names[d.name.text] = {Poison{}, d.name.span};
    report(Diag::initialised_input, d.init->span,
           fmt::format("{} `{}` gets its values from the data", decl_word(d.kind), d.name.text),
           "leave out what follows the type");
    return;
  }
  std::vector<DimOrigin> origins;
  const auto type = concrete_type(*d.type, f, true, &origins);
  Bound& bound = f.names[d.name.text] = {Poison{}, d.name.span};
  if (!type) return;
  p.b.set_loc(loc(span));
  const Value v = p.b.input(
      d.name.text, d.kind == ast::DeclKind::Input ? InputKind::Input : InputKind::Target, *type);
  p.origins.resize(p.graph.nodes.size());
  p.origins[v.id] = std::move(origins);
  bound.value = p.ref(v);
}

void Evaluator::run_slot(const ast::Decl& d, Span span, Frame& f) {
  Program& p = f.program->root();
  const std::string& name = d.name.text;
  const bool is_param = d.kind == ast::DeclKind::Param, carries = d.kind == ast::DeclKind::Carry;
  if (taken(d.name, f)) {
    f.names.emplace(name, Bound{Poison{}, d.name.span});
    return;
  }
  std::optional<Type> type = f.slot_type;
  std::vector<DimOrigin> origins;
  if (d.type) type = concrete_type(*d.type, f, false, &origins);
  f.names[name] = {Poison{}, d.name.span};
  if (d.type && !type) return;
  if (!type) {
    report(Diag::missing_type, d.name.span,
           fmt::format("the type of {} `{}` is missing", decl_word(d.kind), name),
           fmt::format("for instance `{} {}: f32[784, 10] = ...`", decl_word(d.kind), name));
    return;
  }
  if (is_param && !is_float(type->element)) {
    report(Diag::element_type_mismatch, d.type->span,
           fmt::format("parameters are trained: they are floats, `{}` is {}", name, type->str()),
           "what a step itself replaces is `state`, what never changes a plain name");
    return;
  }
  for (const Dim& dim : type->shape)
    if (!dim.is_constant() && !carries) {
      report(Diag::symbolic_parameter, d.type->span,
             fmt::format("the size of {} `{}` must be known while compiling, {} depends on {}",
                         decl_word(d.kind), name, type->str(), fmt::join(dim.symbols(), ", ")),
             "parameters cannot grow with the batch");
      return;
    }
  if (!d.init) {
    report(Diag::missing_initial_value, d.name.span,
           fmt::format("{} `{}` has no initial value", decl_word(d.kind), name),
           fmt::format("for instance `= {}`", is_param ? "normal(std: 0.01)" : "zeros()"));
    return;
  }
  const std::string path =
      joined(f.place == Place::Optimizer ? f.slot_prefix : f.owner->path, name);
  if (const auto known = p.current.find(path); known != p.current.end()) {
    // The second call of one layer instance shares what the first declared.
    const Type& before = p.type(known->second);
    if (f.place == Place::Optimizer) {
      report(Diag::duplicate_definition, d.name.span,
             fmt::format("the model has a parameter or state `{}` already", path),
             "rename the state, or the optimizer");
      return;
    }
    if (!(before == *type)) {
      report(Diag::shared_shape_mismatch, d.name.span,
             fmt::format("{} `{}` is {} here, a call of the same layer before made it {}",
                         decl_word(d.kind), path, type->str(), before.str()),
             "a layer bound to a name shares its parameters among all calls; use two instances");
      return;
    }
  } else if (carries) {
    if (!declare_carry(path, *type, std::move(origins), d, span, f)) return;
  } else if (!declare_slot(is_param ? InputKind::Param : InputKind::State, path, *type,
                           std::move(origins), d, span, f)) {
    return;
  }
  f.names.erase(name);
  f.slots[name] = path;
}

bool Evaluator::declare_slot(InputKind kind, const std::string& path, const Type& type,
                             std::vector<DimOrigin> origins, const ast::Decl& d, Span span,
                             Frame& f) {
  Program& p = f.program->root();
  if (!init->graph.find_output(path)) {
    Frame initial = f;
    initial.program = init;
    initial.place = Place::Initial;
    initial.owner = nullptr;
    initial.names.erase(d.name.text);
    init->set_random_domain("init." + path);
    const Span type_span = d.type ? d.type->span : d.name.span;
    const auto v =
        value_of_type(*init, eval(*d.init, initial), type, d.init->span, initial, type_span);
    if (!v) return false;
    init->b.output(path, OutputKind::Output, *v);
    module->params.push_back({path, type, kind, loc(span)});
  }
  p.b.set_loc(loc(span));
  const Value v = p.b.input(path, kind, type);
  p.origins.resize(p.graph.nodes.size());
  p.origins[v.id] = std::move(origins);
  p.current[path] = v;
  if (kind == InputKind::Param) parameter_elements_ += element_count(type.shape).value();
  return true;
}

/// State that begins every epoch as zeros, and has the rows of a batch.
bool Evaluator::declare_carry(const std::string& path, const Type& type,
                              std::vector<DimOrigin> origins, const ast::Decl& d, Span span,
                              Frame& f) {
  Program& p = f.program->root();
  Frame initial = f;
  initial.program = &p;
  const auto v =
      value_of_type(p, eval(*d.init, initial), type, d.init->span, initial, d.type->span);
  if (!v) return false;
  const Node* n = &p.graph[*v];
  while (n->op == Op::broadcast || n->op == Op::reshape) n = &p.graph[n->operands[0]];
  const bool zero = n->op == Op::constant && n->literal_attr("value").is_uniform() &&
                    n->literal_attr("value").at(0) == 0;
  if (!zero) {
    report(Diag::carry_begins_at_zero, d.init->span,
           fmt::format("`{}` is carried from batch to batch, and begins as zeros", d.name.text),
           fmt::format("write `= zeros()`; another beginning is `{0} + start` where it is used",
                       d.name.text));
    return false;
  }
  p.b.set_loc(loc(span));
  const Value carry = p.b.input(path, InputKind::State, type);
  p.origins.resize(p.graph.nodes.size());
  p.origins[carry.id] = std::move(origins);
  p.current[path] = carry;
  if (std::find(module->carries.begin(), module->carries.end(), path) == module->carries.end())
    module->carries.push_back(path);
  return true;
}

// ---- Assignments ----

void Evaluator::report_assigned(const ast::Name& name) {
  report(Diag::assigned_state, name.span,
         fmt::format("`{}` is a parameter or state; `=` cannot change it", name.text),
         fmt::format("`{} <- ...` replaces a state; another name holds a new value", name.text));
}

void Evaluator::run_assign(const ast::Assign& a, Span span, Frame& f) {
  if (!a.value) {
    f.slots.erase(a.name.text);
    f.names[a.name.text] = {Poison{}, a.name.span};
    return;
  }
  Val v = eval(*a.value, f);
  if (f.slots.contains(a.name.text) && !v.poisoned()) {
    report_assigned(a.name);
    return;
  }
  if (a.type && !v.poisoned()) {
    if (const auto* t = v.get<TensorRef>()) {
      if (!match_type(*a.type, *t, a.value->span, fmt::format("`{}`", a.name.text), f))
        v = Poison{};
    } else if (!f.program) {
      v = report(Diag::not_static, span, "a tensor in a static place");
    } else {
      std::vector<DimOrigin> origins;
      const auto type = concrete_type(*a.type, f, false, &origins);
      const auto t =
          type ? value_of_type(*f.program, v, *type, a.value->span, f, a.type->span) : std::nullopt;
      v = t ? Val(f.program->ref(*t)) : Val(Poison{});
      if (t) {
        f.program->origins.resize(f.program->graph.nodes.size());
        f.program->origins[t->id] = std::move(origins);
      }
    }
  }
  if (v.get<None>())
    v = report(Diag::no_value, a.value->span, "this gives no value",
               "the last line of a block is its value; an `if` needs an `else` for that");
  bind(f, a.name.text, std::move(v), a.name.span);
}

void Evaluator::run_update(const ast::Update& u, Span span, Frame& f) {
  const Val v = eval(*u.value, f);
  if (update_carried(u, v, f)) return;
  const auto at = f.place == Place::Initial ? f.slots.end() : f.slots.find(u.name.text);
  if (at == f.slots.end()) {
    if (const auto named = f.names.find(u.name.text);
        named != f.names.end() && named->second.value.poisoned())
      return;
    std::vector<std::string> names;
    for (const auto& [name, path] : f.slots) names.push_back(name);
    const std::string near = nearest(u.name.text, names);
    report(
        Diag::update_of_no_state, u.name.span,
        fmt::format("`<-` replaces a state; `{}` is none of this {}", u.name.text,
                    std::string(place_word(f.place))
                        .substr(f.place == Place::Optimizer || f.place == Place::Initial ? 3 : 2)),
        near.empty() ? fmt::format("declare it: `state {}: f32[...] = zeros()`", u.name.text)
                     : fmt::format("did you mean `{}`?", near));
    return;
  }
  if (v.poisoned()) return;
  if (f.program->outer) {
    report(
        Diag::update_in_scan, u.name.span,
        fmt::format("`{}` is a state, and a scan runs its body many times in a step", u.name.text),
        f.scan
            ? fmt::format("carry it: `scan (...; now = {0}) {{ now <- ... }}`, then `{0} <- now`",
                          u.name.text)
            : "");
    return;
  }
  Program& p = *f.program;
  const GraphInput* in = p.graph.find_input(at->second);
  if (in && in->kind == InputKind::Param && f.place != Place::Optimizer) {
    report(Diag::update_of_param, u.name.span,
           fmt::format("`{}` is a parameter: the optimizer changes it", u.name.text),
           "what a step itself replaces is `state`");
    return;
  }
  const Type type = p.type(p.current.at(at->second));
  p.b.set_loc(loc(span));
  // An optimizer computes in f32 for a 16-bit parameter; only the result is rounded.
  const auto* t = f.place == Place::Optimizer ? v.get<TensorRef>() : nullptr;
  const bool narrows = t && is_16_bit_float(type.element) && is_float(p.type(t->value).element);
  const auto value =
      value_of_type(p, narrows ? Val(p.ref(converted(p, t->value, type.element))) : v, type,
                    u.value->span, f, u.name.span);
  if (!value) return;
  if (p.training) p.current[at->second] = *value;
  if (std::find(module->carries.begin(), module->carries.end(), at->second) !=
      module->carries.end())
    p.carried[at->second] = *value;
}

// ---- Results ----

void Evaluator::run_result(const ast::Result& r, Span span, Frame& f) {
  static constexpr const char* kWords[] = {"loss", "metric", "output"};
  const std::string word = kWords[static_cast<int>(r.kind)];
  Val v = r.value ? eval(*r.value, f) : lookup(r.name.text, r.name.span, f, false);
  const Span value_span = r.value ? r.value->span : r.name.span;
  if (f.place != Place::Model) {
    if (r.kind == ast::ResultKind::Loss && f.place != Place::Train) {
      // `loss = ...` is an ordinary name elsewhere.
      bind(f, r.name.text, std::move(v), r.name.span);
      return;
    }
    report(Diag::misplaced_statement, span,
           fmt::format("`{}` belongs into a model; this is {}", word, place_word(f.place)));
    f.names[r.name.text] = {Poison{}, r.name.span};
    return;
  }
  Program& p = *f.program;
  const bool taken =
      std::any_of(p.graph.outputs.begin(), p.graph.outputs.end(), [&](const GraphOutput& o) {
        return parse_metric_name(o.name).name == r.name.text && o.kind != OutputKind::Watch;
      });
  if (taken) {
    report(Diag::duplicate_definition, r.name.span,
           r.kind == ast::ResultKind::Loss ? "the model has a loss already"
                                           : fmt::format("`{}` is a result already", r.name.text),
           r.kind == ast::ResultKind::Loss ? "add the terms up: `loss = a + b`" : "");
    return;
  }
  if (v.poisoned()) {
    f.names[r.name.text] = {Poison{}, r.name.span};
    return;
  }
  if (r.value && f.slots.contains(r.name.text)) {
    report_assigned(r.name);
    return;
  }
  const auto t = tensor(p, v, value_span);
  if (!t) return;
  Value value = *t;
  p.b.set_loc(loc(span));
  if (r.kind != ast::ResultKind::Output) {
    const Type& type = p.type(value);
    if (type.rank() != 0) {
      report(r.kind == ast::ResultKind::Loss ? Diag::loss_not_scalar : Diag::metric_not_scalar,
             value_span,
             fmt::format("a {} is one number, this is {}", word, describe_shape(p, value)),
             "`mean(...)` averages over all elements");
      return;
    }
    if (r.kind == ast::ResultKind::Loss && !is_float(type.element)) {
      report(Diag::loss_not_scalar, value_span,
             fmt::format("a loss is a real number, this is {}", type.str()), "`f32(...)` converts");
      return;
    }
    if (!is_float(type.element) || is_16_bit_float(type.element))
      value = converted(p, value, default_float_);
  }
  static constexpr OutputKind kKinds[] = {OutputKind::Loss, OutputKind::Metric, OutputKind::Output};
  if (r.value) bind(f, r.name.text, p.ref(value), r.name.span);
  // What they are functions of is averaged over batches (ir/support/metric_name.h).
  const Op op = p.graph[value].op;
  if (r.kind == ast::ResultKind::Metric && (op == Op::exp || op == Op::sqrt)) {
    p.b.output(fmt::format("{}({})", op_name(op), r.name.text), OutputKind::Metric,
               p.graph[value].operands[0]);
    return;
  }
  p.b.output(r.name.text, kKinds[static_cast<int>(r.kind)], value);
}

void Evaluator::run_watch(const ast::Watch& w, Frame& f) {
  for (const ast::Name& name : w.names) {
    if (f.place != Place::Model) {
      report(Diag::misplaced_statement, name.span, "`watch` belongs into a model or a train block");
      continue;
    }
    const Val v = lookup(name.text, name.span, f, false);
    if (v.poisoned()) continue;
    const auto& outputs = f.program->graph.outputs;
    if (std::any_of(outputs.begin(), outputs.end(), [&](const GraphOutput& o) {
          return o.kind == OutputKind::Watch && o.name == name.text;
        })) {
      report(Diag::duplicate_definition, name.span,
             fmt::format("`{}` is watched already", name.text));
      continue;
    }
    if (const auto t = tensor(*f.program, v, name.span))
      f.program->b.output(name.text, OutputKind::Watch, *t);
  }
}

void Evaluator::run_for(const ast::For& s, Frame& f) {
  const Val range = eval(*s.iterable, f);
  if (range.poisoned()) return;
  const List* l = range.list();
  if (!l) {
    report(Diag::not_iterable, s.iterable->span,
           fmt::format("`for` goes through a list or a range, this is {}", describe(range)),
           "for instance `for i in 0..3 { }`");
    return;
  }
  if (f.slots.contains(s.variable.text)) {
    report_assigned(s.variable);
    return;
  }
  const std::size_t before = reports();
  for (const Val& item : l->items) {
    if (!charge(1, s.variable.span)) return;
    // Not bind(): a layer of the list is called after what it is, not after the variable.
    f.names[s.variable.text] = {item, s.variable.span};
    const Val v = run(s.body, f);
    if (!s.body.stmts.empty()) check_unused(v, s.body.stmts.back().span);
    // One turn with a mistake is enough.
    if (failed_since(before) || stopped_) return;
  }
}

}  // namespace dlc::sema
