// Arithmetic that C++ knows: elementwise functions, reductions, choices, conversions, gradients.
#include <cmath>

#include "frontend/sema/builtins.h"

namespace dlc::sema {

namespace {

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

double rsqrt_of(double x) { return 1 / std::sqrt(x); }

double sigmoid_of(double x) { return 1 / (1 + std::exp(-x)); }

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
  const bool* keepdims = a[3].value.get<bool>();
  if (!is_none(a[2]) || !keepdims || *keepdims)
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
  const auto choices =
      ev.promoted(*p, a[1], a[2], false, span, p->wanted.value_or(ev.default_float()));
  if (!choices) return Poison{};
  const auto [x, y] = *choices;
  if (p->type(x).element != p->type(y).element)
    return ev.report(
        Diag::bad_operands, span,
        fmt::format("`where` chooses between {} and {}", p->type(x).str(), p->type(y).str()));
  const auto values = ev.broadcast(*p, x, a[1].span, y, a[2].span, span);
  if (!values) return Poison{};
  const auto first = ev.broadcast(*p, *cond, a[0].span, values->first, a[1].span, span);
  if (!first) return Poison{};
  const auto second = ev.broadcast(*p, values->second, a[2].span, first->first, a[0].span, span);
  if (!second) return Poison{};
  return ev.emit(*p, Op::select, {first->first, first->second, second->first}, {}, span);
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
  // The check looks at all nodes before y, which a loop of gradients may do without end.
  if (!ev.charge(1 + y->id, span)) return Poison{};
  if (!ev.check_gradient(*p, *y, *x, span, "the gradient")) return Poison{};
  return ev.emit(*p, Op::grad, {*y, *x}, {}, span);
}

Val stop_gradient(Evaluator& ev, Frame& f, const Args& a, Span span) {
  Program* p = program_of(ev, f, span);
  const auto t = p ? ev.tensor(*p, a[0].value, a[0].span) : std::nullopt;
  return t ? ev.emit(*p, Op::stop_gradient, {*t}, {}, span) : Val(Poison{});
}

#define DLC_ELEMENTWISE(name, doc, f) \
  { #name, {"x" }, doc, elementwise < Op::name, f> }

}  // namespace

std::vector<Builtin> math_builtins() {
  return {
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
      {"bf16",
       {"x"},
       "converts: 8 bits of precision, the range of f32",
       convert<ElementType::BF16>},
      {"bool", {"x"}, "converts: x != 0", convert<ElementType::Bool>},
      DLC_ELEMENTWISE(cbrt, "the cube root", std::cbrt),
      DLC_ELEMENTWISE(ceil, "the integer above", std::ceil),
      DLC_ELEMENTWISE(cos, "cosine", std::cos),
      DLC_ELEMENTWISE(erf, "the error function", std::erf),
      DLC_ELEMENTWISE(erfc, "1 - erf(x), exact for large x", std::erfc),
      DLC_ELEMENTWISE(exp, "e^x", std::exp),
      DLC_ELEMENTWISE(exp2, "2^x", std::exp2),
      DLC_ELEMENTWISE(expm1, "e^x - 1, exact near 0", std::expm1),
      {"f16",
       {"x"},
       "converts: 11 bits of precision, numbers from 6e-8 to 65504",
       convert<ElementType::F16>},
      {"f32", {"x"}, "converts", convert<ElementType::F32>},
      {"f64", {"x"}, "converts", convert<ElementType::F64>},
      DLC_ELEMENTWISE(floor, "the integer below", std::floor),
      {"grad", {"y", "x"}, "the gradient of the sum of y with respect to x; of any order", grad},
      {"i32", {"x"}, "converts: truncates and saturates", convert<ElementType::I32>},
      {"i64", {"x"}, "converts: truncates and saturates", convert<ElementType::I64>},
      DLC_ELEMENTWISE(log, "the natural logarithm", std::log),
      DLC_ELEMENTWISE(log1p, "log(1 + x), exact near 0", std::log1p),
      DLC_ELEMENTWISE(log2, "the logarithm to base 2", std::log2),
      {"max",
       {"x", "y=none", "axis=none", "keepdims=false"},
       "the larger of each two elements; or the largest along axes",
       extremum<Op::max, Op::reduce_max>},
      {"min",
       {"x", "y=none", "axis=none", "keepdims=false"},
       "the smaller of each two elements; or the smallest along axes",
       extremum<Op::min, Op::reduce_min>},
      {"prod",
       {"x", "axis=none", "keepdims=false"},
       "the product over all or some axes",
       reduction<Op::reduce_prod>},
      DLC_ELEMENTWISE(round, "to the nearest integer, halves to even", std::nearbyint),
      DLC_ELEMENTWISE(rsqrt, "1 / sqrt(x)", rsqrt_of),
      DLC_ELEMENTWISE(sigmoid, "1 / (1 + e^-x)", sigmoid_of),
      DLC_ELEMENTWISE(sign, "-1, 0 or 1", sign_of),
      DLC_ELEMENTWISE(sin, "sine", std::sin),
      DLC_ELEMENTWISE(sqrt, "the square root", std::sqrt),
      {"stop_gradient", {"x"}, "x, but a constant for gradients", stop_gradient},
      {"sum",
       {"x", "axis=none", "keepdims=false"},
       "the sum over all or some axes",
       reduction<Op::reduce_sum>},
      DLC_ELEMENTWISE(tanh, "the hyperbolic tangent", std::tanh),
      {"u8", {"x"}, "converts: truncates and saturates", convert<ElementType::U8>},
      {"where", {"condition", "x", "y"}, "x where the condition holds, else y", where},
  };
}

#undef DLC_ELEMENTWISE

}  // namespace dlc::sema
