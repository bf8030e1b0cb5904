// `scan`: the body is evaluated once, as a graph of its own that becomes the region of a node. What
// it uses from outside is captured (Program::capture).
#include "ir/graph/scan.h"

#include <algorithm>

#include "frontend/sema/evaluator.h"

namespace dlc::sema {

struct Evaluator::ScanLoop {
  const ast::Scan& e;
  Span span;
  Frame& outside;
  Dim length;
  std::optional<std::size_t> given_axis;  // the options
  bool reverse = false;
  std::int64_t checkpoint = 0;  // the attribute of the node: 1 every turn, 2 every root of them
  const ast::Expr* condition = nullptr;  // `while`: turns do nothing from where it is false
  std::size_t axis = 0;  // of the turns in the first scanned tensor, and in what is yielded
  Program body;
  Frame inside;
  ScanFrame state;

  ScanLoop(const ast::Scan& scan, Span s, Frame& f)
      : e(scan), span(s), outside(f), body(*f.program), inside(f) {
    inside.program = &body;
    inside.place = Place::Scan;
    inside.scan = &state;
    // The parameters and states of the place around are read, not replaced.
    for (const auto& [name, path] : f.slots) state.slots.insert(name);
  }
};

/// The axis of `t` that the turns go along: the one given, or the one that has their number; by its
/// name where several have.
std::optional<std::size_t> Evaluator::scanned_axis(const ScanLoop& s, const TensorRef& t,
                                                   Span span) {
  const Dim& length = s.length;
  const ast::Expr& along = *s.e.along;
  const Program& p = *t.program;
  const Shape& shape = p.type(t.value).shape;
  if (const auto given = s.given_axis) {
    if (*given < shape.size() && shape[*given] == length) return *given;
    report(Diag::scan_axis, span,
           fmt::format("axis {} of {} has not the extent {}", *given, describe_shape(p, t.value),
                       length.str()));
    return std::nullopt;
  }
  const auto* name = std::get_if<ast::NameRef>(&along.node);
  std::vector<std::size_t> equal, named;
  for (std::size_t k = 0; k < shape.size(); ++k) {
    if (!(shape[k] == length)) continue;
    equal.push_back(k);
    if (name && origin(p, t.value, static_cast<int>(k)).name == name->name) named.push_back(k);
  }
  if (equal.size() == 1) return equal[0];
  if (named.size() == 1) return named[0];
  const std::string text(sources_.text(along.span));
  if (equal.empty())
    report(Diag::scan_axis, span,
           fmt::format("no axis of {} has the extent {}", describe_shape(p, t.value),
                       text == length.str() ? text : fmt::format("{} = {}", text, length.str())),
           "`along` names the dimension that the turns go through", {{along.span, "given here"}});
  else
    report(Diag::scan_axis, span,
           fmt::format("{} axes of {} have the extent {}", equal.size(), describe_shape(p, t.value),
                       text),
           "say which: `scan (...; axis: 1)`, or name the dimension in a type: `xs: f32[N, T, n]`");
  return std::nullopt;
}

/// The scanned tensors with the turns as axis 0, and their slices as names of the body.
bool Evaluator::enter_scanned(ScanLoop& s) {
  Program& p = *s.outside.program;
  bool good = true;
  for (const ast::Scan::Entry& entry : s.e.scanned) {
    Bound& slice = s.inside.names[entry.name.text] = {Poison{}, entry.name.span};
    s.inside.slots.erase(entry.name.text);
    const Val v = eval(*entry.value, s.outside);
    const auto t = tensor(p, v, entry.value->span);
    const std::optional<std::size_t> axis =
        t ? scanned_axis(s, p.ref(*t), entry.value->span) : std::nullopt;
    good = good && axis;
    if (!axis) continue;
    if (&entry == s.e.scanned.data()) s.axis = *axis;
    const Value first = moved(p, *t, *axis, 0, entry.value->span);
    Type type = p.type(first);
    type.shape.erase(type.shape.begin());
    std::vector<DimOrigin> origins;
    for (int k = 1; k <= type.rank(); ++k) origins.push_back(origin(p, first, k));
    slice.value = s.body.ref(
        s.body.region_input(entry.name.text, InputKind::Scanned, type, first, std::move(origins)));
  }
  return good;
}

bool Evaluator::enter_carried(ScanLoop& s) {
  Program& p = *s.outside.program;
  bool good = true;
  for (const ast::Scan::Entry& entry : s.e.carried) {
    Bound& bound = s.inside.names[entry.name.text] = {Poison{}, entry.name.span};
    if (s.outside.slots.contains(entry.name.text)) {
      report(Diag::duplicate_definition, entry.name.span,
             fmt::format("`{}` is a parameter or state", entry.name.text),
             "choose another name for what is carried");
      good = false;
      continue;
    }
    const bool twice =
        std::any_of(s.e.carried.data(), &entry,
                    [&](const auto& other) { return other.name.text == entry.name.text; }) ||
        std::any_of(s.e.scanned.begin(), s.e.scanned.end(),
                    [&](const auto& other) { return other.name.text == entry.name.text; });
    const Val v = eval(*entry.value, s.outside);
    if (twice)
      report(Diag::duplicate_definition, entry.name.span,
             fmt::format("`{}` is defined twice in this scan", entry.name.text));
    // A list of tensors is carried entry by entry.
    const auto carry = [&](const Val& first) {
      // An integer to begin with may become a real number: `scan (...; total = 0)`.
      const auto t = tensor(p, first, entry.value->span,
                            is_static_number(first) ? std::optional(default_float_) : std::nullopt);
      good = good && t;
      if (!t) return Val(Poison{});
      std::vector<DimOrigin> origins;
      for (int k = 0; k < p.type(*t).rank(); ++k) origins.push_back(origin(p, *t, k));
      return Val(s.body.ref(s.body.region_input(entry.name.text, InputKind::Carried, p.type(*t), *t,
                                                std::move(origins))));
    };
    if (const List* l = v.list(); l && !l->items.empty() && l->items[0].get<TensorRef>()) {
      std::vector<Val> items;
      for (const Val& item : l->items) items.push_back(carry(item));
      bound.value = make_list(std::move(items));
    } else {
      bound.value = carry(v);
    }
    good = good && !twice;
    s.state.carried[entry.name.text] = false;
  }
  return good;
}

namespace {

/// `checkpoint: sqrt`
bool is_root(const Val& v) {
  const auto* b = v.get<const Builtin*>();
  return b && (*b)->name == std::string_view("sqrt");
}

}  // namespace

/// What stands behind the carried values; false after a report.
bool Evaluator::scan_options(ScanLoop& s) {
  static const std::vector<std::string> kNames = {"axis", "checkpoint", "reverse", "while"};
  bool good = true;
  for (const ast::Scan::Entry& option : s.e.options) {
    const std::string& name = option.name.text;
    if (name == "while") {
      s.condition = option.value.get();  // of what is carried
      continue;
    }
    const Val v = eval(*option.value, s.outside);
    const bool* b = v.get<bool>();
    const Dim* d = v.get<Dim>();
    if (name == "axis" && d && d->is_constant() && d->value() >= 0) {
      s.given_axis = static_cast<std::size_t>(d->value());
    } else if (name == "reverse" && b) {
      s.reverse = *b;
    } else if (name == "checkpoint" && b) {
      s.checkpoint = *b ? 1 : 0;
    } else if (name == "checkpoint" && is_root(v)) {
      s.checkpoint = 2;
    } else if (std::find(kNames.begin(), kNames.end(), name) == kNames.end()) {
      const std::string near = nearest(name, kNames);
      report(Diag::unknown_argument, option.name.span,
             fmt::format("a scan has no option `{}`", name),
             near.empty() ? fmt::format("its options are {}", fmt::join(kNames, ", "))
                          : fmt::format("did you mean `{}`?", near));
      good = false;
    } else {
      if (!v.poisoned())
        report(Diag::bad_argument, option.value->span,
               fmt::format("`{}` is {}, this is {}", name,
                           name == "axis"         ? "an integer from 0"
                           : name == "checkpoint" ? "true, false or sqrt"
                                                  : "true or false",
                           describe(v)));
      good = false;
    }
  }
  s.axis = s.given_axis.value_or(0);
  return good;
}

Val Evaluator::eval_scan(const ast::Scan& e, Span span, Frame& f) {
  if (!f.program)
    return report(Diag::not_static, span, "a scan runs with the model; here values are static",
                  "`for i in 0..n { }` loops while compiling");
  const Val along = eval(*e.along, f);
  const auto length = dim_of(along, e.along->span);
  if (!length) return Poison{};
  ScanLoop s(e, span, f);
  s.length = s.body.turns = *length;
  bool good = scan_options(s);
  good = enter_scanned(s) && good;
  good = enter_carried(s) && good;
  if (!good) {
    for (const ast::Scan::Entry& c : e.carried) f.names[c.name.text] = {Poison{}, c.name.span};
    return Poison{};
  }
  const std::size_t before = reports();
  if (s.condition) {
    run_while(s);
  } else {
    const Val last = run(e.body, s.inside);
    if (!e.body.stmts.empty()) check_unused(last, e.body.stmts.back().span);
  }
  const Val result = failed_since(before) ? Val(Poison{}) : finish_scan(s);
  if (result.poisoned())
    for (const ast::Scan::Entry& c : e.carried) f.names[c.name.text] = {Poison{}, c.name.span};
  return result;
}

/// The body as a region of its own, which runs where the condition holds; where it does not, what
/// is carried stays and what is yielded is zeros.
void Evaluator::run_while(ScanLoop& s) {
  const Val c = captured(s.body, eval(*s.condition, s.inside));
  if (c.poisoned()) return;
  const TensorRef* condition = c.get<TensorRef>();
  if (!condition || !(s.body.type(condition->value) == Type{ElementType::Bool, {}})) {
    report(Diag::run_time_condition, s.condition->span,
           fmt::format("`while` is one true or false of what is carried, this is {}", describe(c)),
           "for instance `scan (along 100; x = x0, while: sum(x ^ 2) > 1)`: 100 turns at most");
    return;
  }
  Program& p = s.body;
  Program body(p);
  body.turns = 1;
  ScanFrame state;
  state.slots = s.state.slots;
  Frame inside = s.inside;
  inside.program = &body;
  inside.scan = &state;
  const auto each = [](const Val& v) { return v.list() ? v.list()->items : std::vector<Val>{v}; };
  const auto same_form = [](const Val& as, std::vector<Val> items) {
    return as.list() ? make_list(std::move(items)) : items[0];
  };
  for (const ast::Scan::Entry& entry : s.e.carried) {
    const std::string& name = entry.name.text;
    Bound& bound = inside.names.at(name);
    std::vector<Val> items;
    for (const Val& item : each(bound.value)) {
      const Value from = item.get<TensorRef>()->value;
      items.push_back(body.ref(
          body.region_input(name, InputKind::Carried, p.type(from), from, p.origins[from.id])));
    }
    bound.value = same_form(bound.value, std::move(items));
    state.carried[name] = false;
  }
  const std::size_t before = reports();
  const Val last = run(s.e.body, inside);
  if (!s.e.body.stmts.empty()) check_unused(last, s.e.body.stmts.back().span);
  if (failed_since(before)) return;
  std::size_t results = 0;
  for (const ast::Scan::Entry& entry : s.e.carried)
    for (const Val& item : each(inside.names.at(entry.name.text).value)) {
      body.b.output(fmt::format("result{}", results++), OutputKind::Carry,
                    item.get<TensorRef>()->value);
    }
  for (const Bound& y : state.yielded) {
    const auto t = tensor(body, y.value, y.span);
    if (!t) return;
    body.b.output(fmt::format("result{}", results++), OutputKind::Yield, *t);
  }
  body.region_input("condition", InputKind::Condition, {ElementType::Bool, {}}, condition->value,
                    {});
  std::vector<Value> operands = body.sort_region_inputs();
  p.b.set_loc(loc(s.condition->span));
  const Value choice = make_scan(p.b, body.graph, std::move(operands), 1, false);
  std::size_t number = 0;
  const auto next = [&] {
    const Value v = part(p.b, choice, number++);
    p.origins.resize(p.graph.nodes.size());
    p.spans.resize(p.graph.nodes.size());
    return v;
  };
  for (const ast::Scan::Entry& entry : s.e.carried) {
    Val& now = s.inside.names.at(entry.name.text).value;
    std::vector<Val> items;
    for (std::size_t k = 0; k < each(now).size(); ++k) items.push_back(p.ref(next()));
    now = same_form(now, std::move(items));
    s.state.carried[entry.name.text] = state.carried.at(entry.name.text);
  }
  for (const Bound& y : state.yielded) {
    const Value all = next();
    Shape shape = p.type(all).shape;
    shape.erase(shape.begin());
    s.state.yielded.push_back({p.ref(p.b.reshape(all, shape)), y.span});
  }
  p.origins.resize(p.graph.nodes.size());
  p.spans.resize(p.graph.nodes.size());
}

Val Evaluator::finish_scan(ScanLoop& s) {
  Program& p = *s.outside.program;
  bool good = true;
  for (const ast::Scan::Entry& c : s.e.carried) {
    if (!s.state.carried.at(c.name.text)) {
      report(Diag::carried_unchanged, c.name.span,
             fmt::format("`{}` is carried, and no turn replaces it", c.name.text),
             fmt::format("`{} <- ...` in the body is the next turn's value", c.name.text));
      good = false;
      continue;
    }
    const Val& last = s.inside.names.at(c.name.text).value;
    for (const Val& item : last.list() ? last.list()->items : std::vector<Val>{last}) {
      const TensorRef* t = item.get<TensorRef>();
      DLC_CHECK(t, "the carried `{}` is no tensor", c.name.text);
      s.body.b.output(c.name.text, OutputKind::Carry, t->value);
    }
  }
  if (!good) return Poison{};
  std::size_t number = 0;
  for (const Bound& y : s.state.yielded) {
    const auto t = tensor(s.body, y.value, y.span);
    if (!t) return Poison{};
    const std::string& name = s.body.graph[*t].name;
    s.body.b.output(name.empty() ? fmt::format("yield{}", number) : name, OutputKind::Yield, *t);
    ++number;
  }
  if (s.e.carried.empty() && number == 0)
    return report(Diag::no_value, s.span, "this scan carries nothing and yields nothing",
                  "`yield x` collects a value of every turn");
  std::vector<Value> operands = s.body.sort_region_inputs();
  p.b.set_loc(loc(s.span));
  const Value scan = make_scan(p.b, s.body.graph, std::move(operands), s.length, s.reverse);
  if (s.checkpoint > 0) p.graph[scan].attrs["checkpoint"] = s.checkpoint;
  const auto result = [&](std::size_t k, const std::string& name, std::vector<DimOrigin> origins) {
    const Value v = part(p.b, scan, k);
    p.origins.resize(p.graph.nodes.size());
    p.spans.resize(p.graph.nodes.size());
    p.origins[v.id] = std::move(origins);
    p.spans[v.id] = s.span;
    p.graph[v].name = name;
    return v;
  };
  std::size_t carried = 0;
  for (const ast::Scan::Entry& c : s.e.carried) {
    const Val& last = s.inside.names.at(c.name.text).value;
    const auto next = [&] {
      const Value first = s.body.graph.inputs[carried].value;
      return Val(p.ref(result(carried++, c.name.text, s.body.origins[first.id])));
    };
    std::vector<Val> items;
    if (const List* l = last.list())
      for (std::size_t k = 0; k < l->items.size(); ++k) items.push_back(next());
    s.outside.names[c.name.text] = {last.list() ? make_list(std::move(items)) : next(),
                                    c.name.span};
  }
  std::vector<Val> yields;
  for (std::size_t k = 0; k < number; ++k) {
    const GraphOutput& out = s.body.graph.outputs[carried + k];
    std::vector<DimOrigin> origins{{s.e.along->span, "", fmt::format("{} turns", s.length.str())}};
    if (const auto* name = std::get_if<ast::NameRef>(&s.e.along->node))
      origins[0].name = name->name;
    for (int a = 0; a < s.body.type(out.value).rank(); ++a)
      origins.push_back(origin(s.body, out.value, a));
    const Value all = result(carried + k, out.name, std::move(origins));
    const std::size_t to = std::min<std::size_t>(s.axis, p.type(all).shape.size() - 1);
    yields.push_back(p.ref(moved(p, all, 0, to, s.span)));
  }
  if (yields.empty()) return None{};
  return yields.size() == 1 ? yields[0] : make_list(std::move(yields));
}

/// Axis `from` at the place `to`, the others in their order.
Value Evaluator::moved(Program& p, Value v, std::size_t from, std::size_t to, Span span) {
  if (from == to) return v;
  std::vector<std::int64_t> perm;
  for (std::size_t k = 0; k < p.type(v).shape.size(); ++k)
    if (k != from) perm.push_back(static_cast<std::int64_t>(k));
  perm.insert(perm.begin() + static_cast<std::ptrdiff_t>(to), static_cast<std::int64_t>(from));
  std::vector<DimOrigin> origins;
  for (const std::int64_t k : perm) origins.push_back(origin(p, v, static_cast<int>(k)));
  const Value result = emit(p, Op::transpose, {v}, {{"perm", perm}}, span).get<TensorRef>()->value;
  p.origins[result.id] = std::move(origins);
  return result;
}

void Evaluator::run_yield(const ast::Yield& y, Span span, Frame& f) {
  if (!f.scan) {
    report(Diag::misplaced_statement, span, "`yield` belongs into a scan",
           "the last line of a block is its value");
    return;
  }
  for (const ast::ExprPtr& e : y.values) {
    Val v = eval(*e, f);
    if (!v.poisoned()) f.scan->yielded.push_back({std::move(v), e->span});
  }
}

/// `h <- e` in a scan; false where `h` is nothing that it carries.
bool Evaluator::update_carried(const ast::Update& u, const Val& v, Frame& f) {
  const auto carried =
      f.scan ? f.scan->carried.find(u.name.text) : std::map<std::string, bool>::iterator{};
  if (!f.scan || carried == f.scan->carried.end()) return false;
  Bound& now = f.names.at(u.name.text);
  if (v.poisoned() || now.value.poisoned()) return true;
  Program& p = *f.program;
  const auto replaced = [&](const Val& before, const Val& next) -> Val {
    const Type type = p.type(before.get<TensorRef>()->value);
    const auto value = value_of_type(p, next, type, u.value->span, f, now.span);
    if (!value) return Poison{};
    if (p.graph[*value].op != Op::input && p.user_named.insert(value->id).second)
      p.graph[*value].name = u.name.text;
    return p.ref(*value);
  };
  carried->second = true;
  const List *before = now.value.list(), *next = v.list();
  if (before && (!next || next->items.size() != before->items.size())) {
    report(Diag::element_type_mismatch, u.value->span,
           fmt::format("`{}` is carried as a list of {} tensors, this is {}", u.name.text,
                       before->items.size(), describe(v)),
           "", {{now.span, "it begins here"}});
    return true;
  }
  if (!before) {
    if (const Val r = replaced(now.value, v); !r.poisoned()) now.value = r;
    return true;
  }
  std::vector<Val> items;
  for (std::size_t k = 0; k < before->items.size(); ++k)
    items.push_back(replaced(before->items[k], next->items[k]));
  if (std::none_of(items.begin(), items.end(), [](const Val& i) { return i.poisoned(); }))
    now.value = make_list(std::move(items));
  return true;
}

/// What the program of a scan's body uses from outside.
Val Evaluator::captured(Program& p, Val v) {
  if (const TensorRef* t = v.get<TensorRef>())
    return p.contains(*t) || !p.encloses(*t) ? v : Val(p.ref(p.capture(*t)));
  const List* l = v.list();
  if (!l || l->entries > kMaxCapturedEntries) return v;
  std::vector<Val> items;
  bool changed = false;
  for (const Val& item : l->items) {
    items.push_back(captured(p, item));
    const TensorRef *a = item.get<TensorRef>(), *b = items.back().get<TensorRef>();
    changed = changed || (a && a->program != b->program) || item.list() != items.back().list();
  }
  return changed ? make_list(std::move(items)) : v;
}

}  // namespace dlc::sema
