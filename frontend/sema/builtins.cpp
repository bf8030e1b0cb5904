// The functions that C++ knows: primitives, questions about shapes, conversions, files. What can be
// said in the language itself is in frontend/std.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "frontend/sema/evaluator.h"

namespace dlc::sema {

namespace {

using Args = std::vector<Bound>;

Program* program_of(Evaluator& ev, Frame& f, Span span) {
  if (!f.program)
    ev.report(Diag::not_static, span, "a tensor in a static place",
              "a const holds numbers, strings and lists");
  return f.program;
}

bool is_none(const Bound& b) { return b.value.get<None>() != nullptr; }

/// A bool argument; nullopt after a report.
std::optional<bool> flag(Evaluator& ev, const Bound& b, const char* name, bool otherwise) {
  if (is_none(b)) return otherwise;
  if (const bool* v = b.value.get<bool>()) return *v;
  ev.report(Diag::bad_argument, b.span,
            fmt::format("`{}` is true or false, this is {}", name, describe(b.value)));
  return std::nullopt;
}

// ---- Elementwise functions of one argument ----

template <Op op, double (*f)(double)>
Val elementwise(Evaluator& ev, Frame& frame, const Args& a, Span span) {
  if (const auto x = number(a[0].value); x && f) return f(*x);
  Program* p = program_of(ev, frame, span);
  if (!p) return Poison{};
  const auto t = ev.tensor(*p, a[0].value, a[0].span, ev.default_float());
  if (!t) return Poison{};
  Value v = *t;
  const ElementType e = p->type(v).element;
  constexpr bool kKeepsIntegers = op == Op::abs || op == Op::sign;
  if (e == ElementType::Bool)
    return ev.report(Diag::bad_operands, span,
                     fmt::format("numbers are expected, this is {}", p->type(v).str()),
                     "`f32(condition)` makes numbers 0 and 1 of a condition");
  if (!is_float(e) && !kKeepsIntegers) v = ev.converted(*p, v, ev.default_float());
  return ev.emit(*p, op, {v}, {}, span);
}

double sign_of(double x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }
double sigmoid_of(double x) { return 1 / (1 + std::exp(-x)); }

// ---- Reductions ----

/// The axes named by an integer, a list of integers or none (all); nullopt after a report.
std::optional<std::vector<std::int64_t>> axes_of(Evaluator& ev, const Bound& b, int rank) {
  std::vector<std::int64_t> axes;
  if (is_none(b)) {
    axes.resize(static_cast<std::size_t>(rank));
    std::iota(axes.begin(), axes.end(), 0);
    return axes;
  }
  std::vector<Val> items{b.value};
  if (const List* l = b.value.list()) items = l->items;
  for (const Val& item : items) {
    const auto axis = ev.axis_of(item, rank, b.span);
    if (!axis) return std::nullopt;
    axes.push_back(*axis);
  }
  std::sort(axes.begin(), axes.end());
  if (std::adjacent_find(axes.begin(), axes.end()) != axes.end()) {
    ev.report(Diag::bad_axis, b.span, "an axis is named twice");
    return std::nullopt;
  }
  return axes;
}

Val reduce(Evaluator& ev, Frame& f, Op op, const Bound& x, const Bound& axis, const Bound& keepdims,
           Span span) {
  // Static numbers and lists are folded while compiling: prod(shape(x)).
  if (is_static_number(x.value) && is_none(axis)) return x.value;
  if (const List* l = x.value.list(); l && is_none(axis) && !l->items.empty()) {
    Val total = l->items[0];
    bool plain = is_static_number(total);
    for (std::size_t k = 1; k < l->items.size() && plain; ++k) {
      plain = is_static_number(l->items[k]);
      if (!plain) break;
      const Bound a{total, x.span}, b{l->items[k], x.span};
      if (op == Op::reduce_sum || op == Op::reduce_prod) {
        total = ev.binary(op == Op::reduce_sum ? "+" : "*", a, b, span, span, f);
      } else {
        const Val less = ev.binary("<", b, a, span, span, f);
        if (less.poisoned()) return Poison{};
        if (*less.get<bool>() == (op == Op::reduce_min)) total = l->items[k];
      }
    }
    if (plain) return total;
  }
  Program* p = program_of(ev, f, span);
  if (!p) return Poison{};
  const auto t = ev.tensor(*p, x.value, x.span);
  if (!t) return Poison{};
  Value v = *t;
  const auto axes = axes_of(ev, axis, p->type(v).rank());
  const auto keep = flag(ev, keepdims, "keepdims", false);
  if (!axes || !keep) return Poison{};
  // Sums of conditions count; small integers would wrap.
  const ElementType e = p->type(v).element;
  if (e == ElementType::Bool ||
      (e == ElementType::U8 && (op == Op::reduce_sum || op == Op::reduce_prod)))
    v = ev.converted(*p, v, ElementType::I32);
  if (axes->empty()) return p->ref(v);
  Shape kept = p->type(v).shape;
  for (const std::int64_t a : *axes) kept[static_cast<std::size_t>(a)] = Dim(1);
  const Val r = ev.emit(*p, op, {v}, {{"axes", *axes}}, span);
  const auto* ref = r.get<TensorRef>();
  if (!ref || !*keep) return r;
  return ev.emit(*p, Op::reshape, {ref->value}, {{"shape", kept}}, span);
}

template <Op op>
Val reduction(Evaluator& ev, Frame& f, const Args& a, Span span) {
  return reduce(ev, f, op, a[0], a[1], a[2], span);
}

/// max(x, axis: 1) reduces; max(x, y) takes the larger of each two elements.
template <Op pairwise, Op reducing>
Val extremum(Evaluator& ev, Frame& f, const Args& a, Span span) {
  if (is_none(a[1])) return reduce(ev, f, reducing, a[0], a[2], a[3], span);
  if (!is_none(a[2]) || !is_none(a[3]))
    return ev.report(
        Diag::bad_argument, a[2].span,
        "with two values the result is elementwise; `axis` belongs to the reduction of one",
        "name the axis when one tensor is reduced: max(x, axis: 1)");
  if (const auto x = number(a[0].value), y = number(a[1].value); x && y)
    return (*x < *y) == (pairwise == Op::max) ? a[1].value : a[0].value;
  Program* p = program_of(ev, f, span);
  if (!p) return Poison{};
  const auto both = ev.promoted(*p, a[0], a[1], false, span);
  const auto l =
      both ? ev.broadcast(*p, both->first, a[0].span, both->second, a[1].span, span) : std::nullopt;
  if (!l) return Poison{};
  return ev.emit(*p, pairwise, {l->first, l->second}, {}, span);
}

template <Op op>
Val arg_extremum(Evaluator& ev, Frame& f, const Args& a, Span span) {
  Program* p = program_of(ev, f, span);
  const auto t = p ? ev.tensor(*p, a[0].value, a[0].span) : std::nullopt;
  if (!t) return Poison{};
  const auto axis = ev.axis_of(a[1].value, p->type(*t).rank(), a[1].span);
  if (!axis) return Poison{};
  return ev.emit(*p, op, {*t}, {{"axis", *axis}}, span);
}

// ---- Shapes and views ----

Val shape(Evaluator& ev, Frame& f, const Args& a, Span span) {
  Program* p = program_of(ev, f, span);
  const auto t = p ? ev.tensor(*p, a[0].value, a[0].span) : std::nullopt;
  return t ? ev.shape_value(p->type(*t)) : Val(Poison{});
}

Val rank(Evaluator& ev, Frame& f, const Args& a, Span span) {
  Program* p = program_of(ev, f, span);
  const auto t = p ? ev.tensor(*p, a[0].value, a[0].span) : std::nullopt;
  return t ? Val(Dim(p->type(*t).rank())) : Val(Poison{});
}

Val len(Evaluator& ev, Frame&, const Args& a, Span) {
  if (const List* l = a[0].value.list()) return Dim(static_cast<std::int64_t>(l->items.size()));
  return ev.report(
      Diag::bad_argument, a[0].span,
      fmt::format("`len` counts the entries of a list, this is {}", describe(a[0].value)),
      a[0].value.get<TensorRef>() ? "`shape(x)` is the list of a tensor's dimensions" : "");
}

Val reshape(Evaluator& ev, Frame& f, const Args& a, Span span) {
  Program* p = program_of(ev, f, span);
  const auto t = p ? ev.tensor(*p, a[0].value, a[0].span) : std::nullopt;
  if (!t) return Poison{};
  // One entry may be -1: what is left.
  Val wanted = a[1].value;
  if (const List* l = wanted.list()) {
    Dim known(1);
    int open = -1;
    for (std::size_t k = 0; k < l->items.size(); ++k) {
      const Dim* d = l->items[k].get<Dim>();
      if (d && *d == Dim(-1)) {
        if (open >= 0)
          return ev.report(Diag::bad_shape, a[1].span, "only one entry of a shape may be -1");
        open = static_cast<int>(k);
      } else if (d) {
        known = known * *d;
      }
    }
    if (open >= 0) {
      const Dim total = element_count(p->type(*t).shape);
      const auto rest = known == Dim(0) ? std::nullopt : total.exact_div(known);
      if (!rest)
        return ev.report(Diag::reshape_mismatch, a[1].span,
                         fmt::format("{} has {} elements, which {} does not divide",
                                     ev.describe_shape(*p, *t), total.str(), known.str()));
      std::vector<Val> items = l->items;
      items[static_cast<std::size_t>(open)] = *rest;
      wanted = make_list(std::move(items));
    }
  }
  const auto shape = ev.shape_of(wanted, a[1].span);
  if (!shape) return Poison{};
  const Dim from = element_count(p->type(*t).shape), to = element_count(*shape);
  if (!(from == to))
    return ev.report(Diag::reshape_mismatch, span,
                     fmt::format("{} has {} elements, the shape [{}] has {}",
                                 ev.describe_shape(*p, *t), from.str(),
                                 fmt::join(
                                     [&] {
                                       std::vector<std::string> out;
                                       for (const Dim& d : *shape) out.push_back(d.str());
                                       return out;
                                     }(),
                                     ", "),
                                 to.str()),
                     "a reshape keeps all elements; one entry may be -1 for what is left",
                     ev.origin_labels(*p, *t, p->type(*t).rank() - 1));
  if (*shape == p->type(*t).shape) return p->ref(*t);
  return ev.emit(*p, Op::reshape, {*t}, {{"shape", *shape}}, span);
}

Val transpose(Evaluator& ev, Frame& f, const Args& a, Span span) {
  Program* p = program_of(ev, f, span);
  const auto t = p ? ev.tensor(*p, a[0].value, a[0].span) : std::nullopt;
  if (!t) return Poison{};
  const int rank = p->type(*t).rank();
  std::vector<std::int64_t> perm;
  if (is_none(a[1])) {
    for (int k = rank; k-- > 0;) perm.push_back(k);
  } else {
    const List* l = a[1].value.list();
    if (!l || static_cast<int>(l->items.size()) != rank)
      return ev.report(Diag::bad_argument, a[1].span,
                       fmt::format("`axes` lists all {} axes of {} in their new order", rank,
                                   ev.describe_shape(*p, *t)));
    for (const Val& item : l->items) {
      const auto axis = ev.axis_of(item, rank, a[1].span);
      if (!axis) return Poison{};
      perm.push_back(*axis);
    }
    std::vector<std::int64_t> sorted = perm;
    std::sort(sorted.begin(), sorted.end());
    if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end())
      return ev.report(Diag::bad_axis, a[1].span, "an axis is named twice");
  }
  if (std::is_sorted(perm.begin(), perm.end())) return p->ref(*t);
  return ev.emit(*p, Op::transpose, {*t}, {{"perm", perm}}, span);
}

Val broadcast_to(Evaluator& ev, Frame& f, const Args& a, Span span) {
  Program* p = program_of(ev, f, span);
  const auto t = p ? ev.tensor(*p, a[0].value, a[0].span, p->wanted.value_or(ev.default_float()))
                   : std::nullopt;
  const auto shape = t ? ev.shape_of(a[1].value, a[1].span) : std::nullopt;
  if (!shape) return Poison{};
  const Shape& from = p->type(*t).shape;
  bool good = from.size() <= shape->size();
  for (std::size_t k = 0; good && k < from.size(); ++k)
    good = from[k] == Dim(1) || from[k] == (*shape)[shape->size() - from.size() + k];
  if (!good)
    return ev.report(Diag::broadcast_mismatch, span,
                     fmt::format("{} does not stretch to {}", ev.describe_shape(*p, *t),
                                 Type{p->type(*t).element, *shape}.str()),
                     "axes are compared from the last; they must be equal, or 1 in the tensor");
  if (from == *shape) return p->ref(*t);
  std::vector<std::int64_t> dims(from.size());
  std::iota(dims.begin(), dims.end(), static_cast<std::int64_t>(shape->size() - from.size()));
  return ev.emit(*p, Op::broadcast, {*t}, {{"shape", *shape}, {"dims", dims}}, span);
}

Val concat(Evaluator& ev, Frame& f, const Args& a, Span span) {
  Program* p = program_of(ev, f, span);
  if (!p) return Poison{};
  const List* l = a[0].value.list();
  if (!l || l->items.empty())
    return ev.report(Diag::bad_argument, a[0].span, "`concat` joins a list of tensors",
                     "for instance concat([x, y], axis: 1)");
  std::vector<Value> parts;
  for (const Val& item : l->items) {
    const auto t = ev.tensor(*p, item, a[0].span);
    if (!t) return Poison{};
    parts.push_back(*t);
  }
  const auto axis = ev.axis_of(a[1].value, p->type(parts[0]).rank(), a[1].span);
  if (!axis) return Poison{};
  if (parts.size() == 1) return p->ref(parts[0]);
  return ev.emit(*p, Op::concat, parts, {{"axis", *axis}}, span);
}

Val pad(Evaluator& ev, Frame& f, const Args& a, Span span) {
  Program* p = program_of(ev, f, span);
  const auto t = p ? ev.tensor(*p, a[0].value, a[0].span) : std::nullopt;
  const auto low = t ? ev.shape_of(a[1].value, a[1].span) : std::nullopt;
  const auto high = low ? ev.shape_of(a[2].value, a[2].span) : std::nullopt;
  if (!high) return Poison{};
  const Val fill = is_none(a[3]) ? Val(Dim(0)) : a[3].value;
  const auto value = ev.tensor(*p, fill, a[3].span, p->type(*t).element);
  if (!value) return Poison{};
  return ev.emit(*p, Op::pad, {*t, *value}, {{"low", *low}, {"high", *high}}, span);
}

Val reverse(Evaluator& ev, Frame& f, const Args& a, Span span) {
  Program* p = program_of(ev, f, span);
  const auto t = p ? ev.tensor(*p, a[0].value, a[0].span) : std::nullopt;
  const auto axes = t ? axes_of(ev, a[1], p->type(*t).rank()) : std::nullopt;
  return axes ? ev.emit(*p, Op::reverse, {*t}, {{"axes", *axes}}, span) : Val(Poison{});
}

Val gather(Evaluator& ev, Frame& f, const Args& a, Span span) {
  Program* p = program_of(ev, f, span);
  const auto t = p ? ev.tensor(*p, a[0].value, a[0].span) : std::nullopt;
  const auto places = t ? ev.tensor(*p, a[1].value, a[1].span, ElementType::I32) : std::nullopt;
  const auto axis = places ? ev.axis_of(a[2].value, p->type(*t).rank(), a[2].span) : std::nullopt;
  return axis ? ev.emit(*p, Op::gather, {*t, *places}, {{"axis", *axis}}, span) : Val(Poison{});
}

Val where(Evaluator& ev, Frame& f, const Args& a, Span span) {
  if (const bool* c = a[0].value.get<bool>()) return *c ? a[1].value : a[2].value;
  Program* p = program_of(ev, f, span);
  const auto cond = p ? ev.tensor(*p, a[0].value, a[0].span) : std::nullopt;
  if (!cond) return Poison{};
  if (p->type(*cond).element != ElementType::Bool)
    return ev.report(
        Diag::bad_condition, a[0].span,
        fmt::format("the condition of `where` is bool, this is {}", p->type(*cond).str()),
        "compare first: `x > 0`");
  // The two choices as an operator would promote them; numbers alone become floats.
  const auto element = [&](const Val& v) -> std::optional<ElementType> {
    const auto* t = v.get<TensorRef>();
    return t ? std::optional(p->type(t->value).element) : std::nullopt;
  };
  const auto ex = element(a[1].value), ey = element(a[2].value);
  const ElementType otherwise = p->wanted.value_or(ev.default_float());
  const auto x = ev.tensor(*p, a[1].value, a[1].span, ey ? ey : otherwise);
  const auto y = ev.tensor(*p, a[2].value, a[2].span, ex ? ex : otherwise);
  if (!x || !y) return Poison{};
  Value l = *x, r = *y;
  const ElementType tx = p->type(l).element, ty = p->type(r).element;
  if (tx != ty) {
    if (tx == ElementType::Bool || ty == ElementType::Bool)
      return ev.report(
          Diag::bad_operands, span,
          fmt::format("`where` chooses between {} and {}", p->type(l).str(), p->type(r).str()));
    const bool left = is_float(tx) && (!is_float(ty) || size_in_bytes(tx) >= size_in_bytes(ty));
    const bool wider = !is_float(tx) && !is_float(ty) && size_in_bytes(tx) >= size_in_bytes(ty);
    const ElementType common = left || wider ? tx : ty;
    l = ev.converted(*p, l, common);
    r = ev.converted(*p, r, common);
  }
  const auto values = ev.broadcast(*p, l, a[1].span, r, a[2].span, span);
  if (!values) return Poison{};
  const auto first = ev.broadcast(*p, *cond, a[0].span, values->first, a[1].span, span);
  if (!first) return Poison{};
  const auto second = ev.broadcast(*p, values->second, a[2].span, first->first, a[0].span, span);
  if (!second) return Poison{};
  return ev.emit(*p, Op::select, {first->first, first->second, second->first}, {}, span);
}

// ---- Sources ----

Val iota(Evaluator& ev, Frame& f, const Args& a, Span span) {
  Program* p = program_of(ev, f, span);
  const auto n = p ? ev.dim_of(a[0].value, a[0].span) : std::nullopt;
  if (!n) return Poison{};
  ElementType e = p->wanted.value_or(ElementType::I32);
  if (e == ElementType::Bool) e = ElementType::I32;
  return ev.emit(
      *p, Op::iota, {},
      {{"shape", Shape{*n}}, {"axis", std::int64_t{0}}, {"element", std::string(name(e))}}, span);
}

Val random_uniform(Evaluator& ev, Frame& f, const Args& a, Span span) {
  Program* p = program_of(ev, f, span);
  const auto shape = p ? ev.shape_of(a[0].value, a[0].span) : std::nullopt;
  if (!shape) return Poison{};
  const ElementType e = p->wanted && is_float(*p->wanted) ? *p->wanted : ev.default_float();
  p->b.set_loc(ev.loc(span));
  const Value seed = p->scalar_input("seed");
  // What is computed once, before training, has no step.
  const Value step = p->training ? p->scalar_input("step") : p->b.scalar(ElementType::I64, 0);
  return ev.emit(
      *p, Op::random_uniform, {seed, step},
      {{"stream", p->next_stream()}, {"shape", *shape}, {"element", std::string(name(e))}}, span);
}

template <ElementType to>
Val convert(Evaluator& ev, Frame& f, const Args& a, Span span) {
  Program* p = program_of(ev, f, span);
  const ElementType t = to == ElementType::F32 ? ev.default_float() : to;
  const auto v = p ? ev.tensor(*p, a[0].value, a[0].span, t) : std::nullopt;
  if (!v) return Poison{};
  if (p->type(*v).element == t) return p->ref(*v);
  return ev.emit(*p, Op::convert, {*v}, {{"element", std::string(name(t))}}, span);
}

/// A float as it is, anything else as the default float: what means and divisions start from.
Val as_float(Evaluator& ev, Frame& f, const Args& a, Span span) {
  if (const auto x = number(a[0].value)) return *x;
  Program* p = program_of(ev, f, span);
  const auto v = p ? ev.tensor(*p, a[0].value, a[0].span, ev.default_float()) : std::nullopt;
  if (!v) return Poison{};
  return p->ref(is_float(p->type(*v).element) ? *v : ev.converted(*p, *v, ev.default_float()));
}

// ---- Gradients ----

Val grad(Evaluator& ev, Frame& f, const Args& a, Span span) {
  Program* p = program_of(ev, f, span);
  const auto y = p ? ev.tensor(*p, a[0].value, a[0].span) : std::nullopt;
  const auto x = y ? ev.tensor(*p, a[1].value, a[1].span) : std::nullopt;
  if (!x) return Poison{};
  for (const auto& [v, where] : {std::pair(*y, a[0].span), std::pair(*x, a[1].span)})
    if (!is_float(p->type(v).element))
      return ev.report(Diag::not_differentiable, where,
                       fmt::format("a gradient is of floats with respect to floats, this is {}",
                                   p->type(v).str()));
  if (!ev.check_gradient(*p, *y, *x, span, "the gradient")) return Poison{};
  return ev.emit(*p, Op::grad, {*y, *x}, {}, span);
}

Val stop_gradient(Evaluator& ev, Frame& f, const Args& a, Span span) {
  Program* p = program_of(ev, f, span);
  const auto t = p ? ev.tensor(*p, a[0].value, a[0].span) : std::nullopt;
  return t ? ev.emit(*p, Op::stop_gradient, {*t}, {}, span) : Val(Poison{});
}

// ---- Static helpers, data ----

Val assert_that(Evaluator& ev, Frame&, const Args& a, Span span) {
  const bool* c = a[0].value.get<bool>();
  const std::string* text = a[1].value.get<std::string>();
  if (!c || !text)
    return ev.report(Diag::bad_argument, span,
                     "`assert` takes a condition and a message, both known while compiling");
  if (!*c) return ev.report(Diag::failed_assertion, span, *text);
  return None{};
}

Val integer(Evaluator& ev, Frame&, const Args& a, Span) {
  if (a[0].value.get<Dim>()) return a[0].value;
  if (const double* d = a[0].value.get<double>(); d && std::abs(*d) < 0x1p62)
    return Dim(static_cast<std::int64_t>(*d));
  return ev.report(
      Diag::bad_argument, a[0].span,
      fmt::format("`int` makes a static integer of a number, this is {}", describe(a[0].value)),
      a[0].value.get<TensorRef>() ? "`i32(x)` converts a tensor" : "");
}

std::optional<std::string> path_of(Evaluator& ev, Frame& f, const Bound& b, Span span,
                                   const char* reader) {
  if (f.place != Place::Data) {
    ev.report(Diag::misplaced_statement, span,
              fmt::format("`{}` reads a file; it belongs into a data block", reader));
    return std::nullopt;
  }
  if (const auto* s = b.value.get<std::string>()) return *s;
  ev.report(Diag::bad_argument, b.span,
            fmt::format("the path of a file is a string, this is {}", describe(b.value)));
  return std::nullopt;
}

Val idx(Evaluator& ev, Frame& f, const Args& a, Span span) {
  const auto path = path_of(ev, f, a[0], span, "idx");
  return path ? ev.data_file("idx", *path, {}, a[0].span, f) : Val(Poison{});
}
Val npy(Evaluator& ev, Frame& f, const Args& a, Span span) {
  const auto path = path_of(ev, f, a[0], span, "npy");
  return path ? ev.data_file("npy", *path, {}, a[0].span, f) : Val(Poison{});
}
Val csv(Evaluator& ev, Frame& f, const Args& a, Span span) {
  const auto path = path_of(ev, f, a[0], span, "csv");
  return path ? Val(std::make_shared<const Table>(Table{"csv", *path, a[0].span})) : Val(Poison{});
}
Val tsv(Evaluator& ev, Frame& f, const Args& a, Span span) {
  const auto path = path_of(ev, f, a[0], span, "tsv");
  return path ? Val(std::make_shared<const Table>(Table{"tsv", *path, a[0].span})) : Val(Poison{});
}

Val split(Evaluator& ev, Frame& f, const Args& a, Span span) {
  if (f.place != Place::Data)
    return ev.report(Diag::misplaced_statement, span, "`split` belongs into a data block");
  const auto part = number(a[0].value);
  if (!part || *part <= 0 || *part >= 1)
    return ev.report(Diag::bad_argument, a[0].span, "the test part is a number between 0 and 1",
                     "for instance split(test: 0.2)");
  if (ev.split_test && *ev.split_test != *part)
    return ev.report(Diag::duplicate_definition, span, "the data are split already");
  ev.split_test = *part;
  return None{};
}

#define DLC_ELEMENTWISE(name, doc, f) \
  { #name, {"x" }, doc, elementwise < Op::name, f> }

}  // namespace

const std::vector<Builtin>& builtins() {
  static const std::vector<Builtin> all = {
      DLC_ELEMENTWISE(abs, "|x|", std::abs),
      {"argmax",
       {"x", "axis"},
       "the place of the largest element along an axis, i32; the first of equals",
       arg_extremum<Op::argmax>},
      {"argmin",
       {"x", "axis"},
       "the place of the smallest element along an axis, i32; the first of equals",
       arg_extremum<Op::argmin>},
      {"as_float", {"x"}, "a float tensor as it is, anything else converted to f32", as_float},
      {"assert",
       {"condition", "message"},
       "an error with the message unless the static condition holds",
       assert_that},
      {"bool", {"x"}, "converts: x != 0", convert<ElementType::Bool>},
      {"broadcast_to", {"x", "shape"}, "repeats x along new and 1-sized axes", broadcast_to},
      DLC_ELEMENTWISE(ceil, "the integer above", std::ceil),
      {"concat", {"parts", "axis"}, "a list of tensors one after the other along an axis", concat},
      DLC_ELEMENTWISE(cos, "cosine", std::cos),
      {"csv",
       {"path"},
       "a table of comma-separated values; columns are chosen by table[\"name\"]",
       csv},
      DLC_ELEMENTWISE(erf, "the error function", std::erf),
      DLC_ELEMENTWISE(exp, "e^x", std::exp),
      DLC_ELEMENTWISE(expm1, "e^x - 1, exact near 0", std::expm1),
      {"f32", {"x"}, "converts", convert<ElementType::F32>},
      {"f64", {"x"}, "converts", convert<ElementType::F64>},
      DLC_ELEMENTWISE(floor, "the integer below", std::floor),
      {"gather",
       {"x", "places", "axis"},
       "x at the places of an integer tensor along an axis",
       gather},
      {"grad", {"y", "x"}, "the gradient of the sum of y with respect to x; of any order", grad},
      {"i32", {"x"}, "converts: truncates and saturates", convert<ElementType::I32>},
      {"i64", {"x"}, "converts: truncates and saturates", convert<ElementType::I64>},
      {"idx", {"path"}, "the array of an IDX file, plain or gz", idx},
      {"int", {"x"}, "a static number as an integer, truncated", integer},
      {"iota", {"n"}, "0, 1, ..., n - 1 as i32[n]", iota},
      {"len", {"list"}, "the number of entries of a static list", len},
      DLC_ELEMENTWISE(log, "the natural logarithm", std::log),
      DLC_ELEMENTWISE(log1p, "log(1 + x), exact near 0", std::log1p),
      {"max",
       {"x", "y=none", "axis=none", "keepdims=false"},
       "the larger of each two elements; or the largest along axes",
       extremum<Op::max, Op::reduce_max>},
      {"min",
       {"x", "y=none", "axis=none", "keepdims=false"},
       "the smaller of each two elements; or the smallest along axes",
       extremum<Op::min, Op::reduce_min>},
      {"npy", {"path"}, "the array of a NumPy file", npy},
      {"pad",
       {"x", "low", "high", "value=0"},
       "a frame around x: entries before and after, per axis",
       pad},
      {"prod",
       {"x", "axis=none", "keepdims=false"},
       "the product over all or some axes",
       reduction<Op::reduce_prod>},
      {"random_uniform",
       {"shape"},
       "uniform on [0, 1), from the seed, the step and the place alone",
       random_uniform},
      {"rank", {"x"}, "the number of axes", rank},
      {"reshape",
       {"x", "shape"},
       "the same elements under another shape; one entry may be -1",
       reshape},
      {"reverse", {"x", "axis"}, "reads axes backwards", reverse},
      DLC_ELEMENTWISE(round, "to the nearest integer, halves to even", std::nearbyint),
      {"shape", {"x"}, "the dimensions as a static list", shape},
      DLC_ELEMENTWISE(sigmoid, "1 / (1 + e^-x)", sigmoid_of),
      DLC_ELEMENTWISE(sign, "-1, 0 or 1", sign_of),
      DLC_ELEMENTWISE(sin, "sine", std::sin),
      {"split", {"test"}, "in a data block: the last part of the rows is for testing", split},
      DLC_ELEMENTWISE(sqrt, "the square root", std::sqrt),
      {"stop_gradient", {"x"}, "x, but a constant for gradients", stop_gradient},
      {"sum",
       {"x", "axis=none", "keepdims=false"},
       "the sum over all or some axes",
       reduction<Op::reduce_sum>},
      DLC_ELEMENTWISE(tanh, "the hyperbolic tangent", std::tanh),
      {"transpose",
       {"x", "axes=none"},
       "the axes in another order; reversed when none is given",
       transpose},
      {"tsv", {"path"}, "a table of tab-separated values", tsv},
      {"u8", {"x"}, "converts: truncates and saturates", convert<ElementType::U8>},
      {"where", {"condition", "x", "y"}, "x where the condition holds, else y", where},
  };
  return all;
}

#undef DLC_ELEMENTWISE

const Builtin* find_builtin(const std::string& name) {
  for (const Builtin& b : builtins())
    if (name == b.name) return &b;
  return nullptr;
}

}  // namespace dlc::sema
