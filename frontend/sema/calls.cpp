// Calls: binding arguments to parameters, configuring layers, entering bodies.
#include <algorithm>

#include "frontend/sema/evaluator.h"

namespace dlc::sema {

namespace {

constexpr std::size_t kMaxCalls = 100;

const char* kind_word(const Function& fn) {
  switch (fn.def->kind) {
    case ast::CallableKind::Layer:
      return "layer";
    case ast::CallableKind::Optimizer:
      return "optimizer";
    default:
      return "function";
  }
}

std::string signature(const std::string& name, const std::vector<ast::Param>& params) {
  std::string text = name + "(";
  for (const ast::Param& p : params) {
    if (&p != params.data()) text += ", ";
    text += p.name.text;
    if (p.default_value) text += " = ...";
  }
  return text + ")";
}

/// A parameter of a builtin: "axis=none" is optional.
std::string builtin_parameter(const char* text, bool& optional) {
  const std::string s(text);
  const std::size_t at = s.find('=');
  optional = at != std::string::npos;
  return s.substr(0, at);
}

/// What it is where nothing is given: an integer, true or false, none.
Val builtin_default(const char* text) {
  const std::string_view s(text);
  const std::size_t at = s.find('=');
  const std::string_view value = at == s.npos ? "none" : s.substr(at + 1);
  if (value == "none") return None{};
  if (value == "true" || value == "false") return value == "true";
  return Dim(std::stoll(std::string(value)));
}

}  // namespace

Val Evaluator::eval_call(const ast::Call& e, Span span, std::optional<Bound> piped, Frame& f) {
  const auto* name = std::get_if<ast::NameRef>(&e.callee->node);
  const Val callee = name ? lookup(name->name, e.callee->span, f, true) : eval(*e.callee, f);
  std::vector<const ast::Arg*> args;
  for (const ast::Arg& a : e.args) args.push_back(&a);
  if (const auto* b = callee.get<const Builtin*>()) return call_builtin(**b, args, piped, span, f);
  if (Function* fn = callee.function()) return call(*fn, args, piped, span, f);
  // Mistakes inside the arguments are worth showing even so.
  for (const ast::Arg* a : args) eval(*a->value, f);
  if (callee.poisoned()) return Poison{};
  return report(
      Diag::not_callable, e.callee->span, fmt::format("{} cannot be called", describe(callee)),
      callee.get<TensorRef>() || callee.list() ? "elements are taken with brackets: x[0]" : "");
}

bool Evaluator::bind_arguments(const std::vector<ast::Param>& params,
                               const std::vector<const ast::Arg*>& args,
                               const std::optional<Bound>& piped, const std::string& callee,
                               Span span, Span def_span, Frame& f, Arguments& bound,
                               std::vector<std::string>& missing) {
  bool good = true;
  std::size_t next = 0;
  const std::vector<Label> defined = {{def_span, "defined here"}};
  const auto take = [&](const std::string& name, Bound v) {
    good = good && !v.value.poisoned();
    if (!bound.emplace(name, std::move(v)).second) return false;
    return true;
  };
  if (piped) {
    if (params.empty()) {
      report(Diag::too_many_arguments, span, fmt::format("{} takes no arguments", callee), "",
             defined);
      return false;
    }
    take(params[next++].name.text, *piped);
  }
  std::size_t given = 0;
  for (const ast::Arg* a : args) given += a->name ? 0 : 1;
  for (const ast::Arg* a : args) {
    Bound v{eval(*a->value, f), a->value->span};
    if (!a->name) {
      if (next >= params.size()) {
        report(Diag::too_many_arguments, a->value->span,
               fmt::format("{} takes {} argument{}, {} {} given", callee, params.size(),
                           params.size() == 1 ? "" : "s", given + (piped ? 1 : 0),
                           given + (piped ? 1 : 0) == 1 ? "is" : "are"),
               "", defined);
        return false;
      }
      take(params[next++].name.text, std::move(v));
      continue;
    }
    const auto at = std::find_if(params.begin(), params.end(),
                                 [&](const ast::Param& p) { return p.name.text == a->name->text; });
    if (at == params.end()) {
      std::vector<std::string> names;
      for (const ast::Param& p : params) names.push_back(p.name.text);
      const std::string near = nearest(a->name->text, names);
      report(Diag::unknown_argument, a->name->span,
             fmt::format("{} has no argument `{}`", callee, a->name->text),
             !near.empty()   ? fmt::format("did you mean `{}`?", near)
             : names.empty() ? ""
                             : fmt::format("its arguments are {}", signature("", params)),
             defined);
      good = false;
      continue;
    }
    if (!take(a->name->text, std::move(v))) {
      report(Diag::repeated_argument, a->name->span,
             fmt::format("the argument `{}` is given twice", a->name->text));
      good = false;
    }
  }
  for (const ast::Param& p : params)
    if (!bound.contains(p.name.text) && !p.default_value) missing.push_back(p.name.text);
  return good;
}

bool Evaluator::has_arguments(const Function& fn, const std::vector<ast::Param>& params,
                              const std::string& except, Span span) {
  std::vector<std::string> missing;
  for (const ast::Param& p : params)
    if (p.name.text != except && !p.default_value && !fn.given.contains(p.name.text))
      missing.push_back(p.name.text);
  if (!missing.empty()) report_missing(fn, params, missing, span);
  return missing.empty();
}

Val Evaluator::report_missing(const Function& fn, const std::vector<ast::Param>& params,
                              const std::vector<std::string>& missing, Span span) {
  const ast::Name& name = fn.def->name;
  return report(Diag::missing_argument, span,
                fmt::format("the {} `{}` needs the argument{} `{}`", kind_word(fn), name.text,
                            missing.size() == 1 ? "" : "s", fmt::join(missing, "`, `")),
                fmt::format("it is called as {}", signature(name.text, params)),
                {{name.span, "defined here"}});
}

Val Evaluator::call(Function& fn, std::vector<const ast::Arg*> args, std::optional<Bound> piped,
                    Span span, Frame& f) {
  const ast::Callable& def = *fn.def;
  const std::string callee = fmt::format("the {} `{}`", kind_word(fn), def.name.text);
  std::vector<std::string> missing;
  // Layers may be given to layers, but not without end: values are freed recursively.
  const auto check_depth = [&](Function& made) {
    for (const auto& [name, bound] : made.given)
      made.depth = std::max(made.depth, depth_of(bound.value) + 1);
    if (made.depth > kMaxDepth)
      report(Diag::too_deep, span, "functions given to functions are nested too deeply");
    return made.depth <= kMaxDepth;
  };
  if (def.has_config && !fn.configured) {
    auto made = std::make_shared<Function>(fn);
    made->configured = true;
    made->span = span;
    made->path.clear();
    if (!bind_arguments(def.config, args, {}, callee, span, def.name.span, f, made->given, missing))
      return Poison{};
    if (!missing.empty()) return report_missing(fn, def.config, missing, span);
    if (!check_depth(*made)) return Poison{};
    if (!piped) return made;
    return call(*made, {}, piped, span, f);
  }
  if (def.kind == ast::CallableKind::Optimizer)
    return report(Diag::optimizer_called, span,
                  fmt::format("{} is run by the train block, it is not called", callee),
                  fmt::format("write `optimizer = {}(...)` in the train block", def.name.text));
  Arguments tensors = def.has_config ? Arguments{} : fn.given;
  if (!bind_arguments(def.tensors, args, piped, callee, span, def.name.span, f, tensors, missing))
    return Poison{};
  if (!missing.empty()) {
    // An initialiser gets the shape later, a rule of clipping the gradients.
    const bool is_partial = def.kind == ast::CallableKind::Fn && missing.size() == 1 &&
                            (missing[0] == "shape" || missing[0] == "gradients");
    if (!is_partial) return report_missing(fn, def.tensors, missing, span);
    auto partial = std::make_shared<Function>(fn);
    partial->given = std::move(tensors);
    partial->span = span;
    return check_depth(*partial) ? Val(partial) : Val(Poison{});
  }
  return call_body(fn, std::move(tensors), span, f);
}

bool Evaluator::enter_parameters(const std::vector<ast::Param>& params, const Arguments& given,
                                 Frame& f, Span call_span) {
  bool good = true;
  for (const ast::Param& p : params) {
    Bound v;
    if (const auto at = given.find(p.name.text); at != given.end()) {
      v = at->second;
    } else if (p.default_value) {
      v = {eval(*p.default_value, f), call_span};
    } else {
      v = {Poison{}, call_span};
    }
    if (v.value.poisoned()) good = false;
    if (p.type && !v.value.poisoned()) {
      if (!v.value.get<TensorRef>() && f.program) {
        const auto t = tensor(*f.program, v.value, v.span,
                              p.type->element ? element_of(*p.type->element) : default_float_);
        v.value = t ? Val(f.program->ref(*t)) : Val(Poison{});
      }
      if (const auto* t = v.value.get<TensorRef>())
        good = match_type(*p.type, *t, v.span, fmt::format("the argument `{}`", p.name.text), f) &&
               good;
      else
        good = false;
    }
    f.names[p.name.text] = std::move(v);
  }
  return good;
}

bool Evaluator::run_optimizer(const Function& fn, Frame& body, const std::string& path,
                              const Val& gradient, Span span) {
  const std::size_t before = reports();
  const Span outer = library_call_;
  if (fn.from_std) library_call_ = span;
  if (enter_parameters(fn.def->config, fn.given, body, span)) {
    body.slots[fn.def->tensors[0].name.text] = path;
    body.names[fn.def->tensors[1].name.text] = {gradient, span};
    run(fn.def->body, body);
  }
  library_call_ = outer;
  return !failed_since(before);
}

Val Evaluator::call_body(const Function& fn, Arguments tensors, Span span, Frame& caller) {
  if (calls_.size() >= kMaxCalls) {
    stopped_ = true;
    // Not what happens to be called last, but what is called again and again.
    const auto again = [&](const ast::Callable* c) {
      return std::count(calls_.begin(), calls_.end(), c) > 1;
    };
    const auto at = std::find_if(calls_.rbegin(), calls_.rend(), again);
    const ast::Name& name = (again(fn.def) || at == calls_.rend() ? fn.def : *at)->name;
    return report(Diag::endless_recursion, span,
                  fmt::format("`{}` calls itself without end", name.text),
                  "a recursion needs a static `if` that ends it", {{name.span, "defined here"}});
  }
  calls_.push_back(fn.def);
  const Span outer = library_call_;
  if (fn.from_std && !outer.known()) library_call_ = span;
  const std::size_t before = reports();
  const Val result = finish_call(fn, std::move(tensors), span, caller);
  library_call_ = outer;
  calls_.pop_back();
  // What a body with a mistake gives would only lead to more reports.
  return failed_since(before) ? Val(Poison{}) : result;
}

Val Evaluator::finish_call(const Function& fn, Arguments tensors, Span span, Frame& caller) {
  const ast::Callable& def = *fn.def;
  Frame body;
  body.program = caller.program;
  body.place = def.kind == ast::CallableKind::Layer ? Place::Layer : Place::Fn;
  body.from_std = fn.from_std;
  body.owner = caller.owner;
  bool good = !def.has_config || enter_parameters(def.config, fn.given, body, span);
  good = enter_parameters(def.tensors, tensors, body, span) && good;
  if (!good) return Poison{};
  const Val result = def.kind == ast::CallableKind::Layer ? call_layer(fn, body, span, caller)
                                                          : run(def.body, body);
  if (result.poisoned()) return Poison{};
  if (result.get<None>() && body.failed) return Poison{};
  if (result.get<None>())
    return report(Diag::no_value, span,
                  fmt::format("the {} `{}` gives no value", kind_word(fn), def.name.text),
                  "its last line must be an expression", {{def.name.span, "defined here"}});
  if (!check_result(def, result, span, body)) return Poison{};
  return result;
}

bool Evaluator::check_result(const ast::Callable& def, const Val& v, Span span, Frame& f) {
  if (!def.result) return true;
  const auto* t = v.get<TensorRef>();
  if (!t) {
    report(Diag::element_type_mismatch, span,
           fmt::format("`{}` is declared to return a tensor, it returns {}", def.name.text,
                       describe(v)),
           "", {{def.result->span, "declared here"}});
    return false;
  }
  return match_type(*def.result, *t, span, fmt::format("the result of `{}`", def.name.text), f);
}

Val Evaluator::call_layer(const Function& fn, Frame& body, Span span, Frame& caller) {
  if (!caller.owner)
    return report(
        Diag::layer_outside_model, span,
        fmt::format("the layer `{}` owns parameters; it can be used in models and layers only",
                    fn.def->name.text));
  Owner& owner = *caller.owner;
  Program& p = *caller.program;
  if (fn.path.empty() || fn.path_program != p.serial) {
    const std::string& base = fn.def->name.text;
    std::string child;
    do {
      child = fmt::format("{}_{}", base, ++owner.anonymous[base]);
    } while (!owner.children.insert(child).second);
    fn.path = owner.path.empty() ? child : owner.path + "." + child;
    fn.path_program = p.serial;
  }
  const std::string path = fn.path;
  Owner inner{path, {}, {}, owner.depth + 1};
  body.owner = &inner;
  const std::int64_t before = parameter_elements_;
  const std::size_t row = layers ? layers->size() : 0;
  const auto first = static_cast<std::uint32_t>(p.graph.nodes.size());
  // What a scan's body computes belongs to the scan.
  const auto nodes = [&] { return static_cast<std::uint32_t>(p.root().graph.nodes.size()); };
  if (layers)
    layers->push_back({path, fn.def->name.text, {}, 0, nodes(), nodes(), owner.depth, loc(span)});
  const Val result = run(fn.def->body, body);
  const auto* t = result.get<TensorRef>();
  if (const List* l = result.list(); l && !l->items.empty()) t = l->items[0].get<TensorRef>();
  if (!t) return result;
  if (result.get<TensorRef>() && t->value.id >= first && p.graph[t->value].name.empty())
    p.graph[t->value].name = path;
  if (layers) {
    LayerInfo& info = (*layers)[row];
    info.output = p.type(t->value);
    info.parameters = parameter_elements_ - before;
    info.last = nodes();
  }
  return result;
}

Val Evaluator::call_builtin(const Builtin& b, const std::vector<const ast::Arg*>& args,
                            const std::optional<Bound>& piped, Span span, Frame& f) {
  std::vector<std::string> names;
  std::vector<bool> optional;
  for (const char* text : b.parameters) {
    bool may_lack = false;
    names.push_back(builtin_parameter(text, may_lack));
    optional.push_back(may_lack);
  }
  const std::string usage =
      fmt::format("it is called as {}({})", b.name, fmt::join(b.parameters, ", "));
  std::vector<Bound> bound;
  for (const char* text : b.parameters) bound.push_back({builtin_default(text), span});
  std::vector<bool> given(names.size(), false);
  bool good = true;
  std::size_t next = 0;
  const auto take = [&](std::size_t k, Bound v) {
    good = good && !v.value.poisoned();
    given[k] = true;
    bound[k] = std::move(v);
  };
  if (piped) take(next++, *piped);
  for (const ast::Arg* a : args) {
    Bound v{eval(*a->value, f), a->value->span};
    if (!a->name) {
      if (next >= names.size())
        return report(Diag::too_many_arguments, a->value->span,
                      fmt::format("the function `{}` takes {} argument{}", b.name, names.size(),
                                  names.size() == 1 ? "" : "s"),
                      usage);
      take(next++, std::move(v));
      continue;
    }
    const auto at = std::find(names.begin(), names.end(), a->name->text);
    if (at == names.end()) {
      const std::string near = nearest(a->name->text, names);
      return report(Diag::unknown_argument, a->name->span,
                    fmt::format("the function `{}` has no argument `{}`", b.name, a->name->text),
                    near.empty() ? usage : fmt::format("did you mean `{}`?", near));
    }
    const auto k = static_cast<std::size_t>(at - names.begin());
    if (given[k])
      return report(Diag::repeated_argument, a->name->span,
                    fmt::format("the argument `{}` is given twice", a->name->text));
    take(k, std::move(v));
  }
  if (!good) return Poison{};
  for (std::size_t k = 0; k < names.size(); ++k)
    if (!given[k] && !optional[k])
      return report(Diag::missing_argument, span,
                    fmt::format("the function `{}` needs the argument `{}`", b.name, names[k]),
                    usage);
  return b.make(*this, f, bound, span);
}

}  // namespace dlc::sema
