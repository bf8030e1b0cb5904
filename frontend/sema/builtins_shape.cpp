// Shapes, views, and tensors made from a shape.
#include <algorithm>
#include <numeric>

#include "frontend/sema/builtins.h"

namespace dlc::sema {

namespace {

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

Val scatter(Evaluator& ev, Frame& f, const Args& a, Span span) {
  Program* p = program_of(ev, f, span);
  const auto t = p ? ev.tensor(*p, a[0].value, a[0].span) : std::nullopt;
  const auto places = t ? ev.tensor(*p, a[1].value, a[1].span, ElementType::I32) : std::nullopt;
  const auto updates =
      places ? ev.tensor(*p, a[2].value, a[2].span, p->type(*t).element) : std::nullopt;
  const auto axis = updates ? ev.axis_of(a[3].value, p->type(*t).rank(), a[3].span) : std::nullopt;
  return axis ? ev.emit(*p, Op::scatter, {*t, *places, *updates}, {{"axis", *axis}}, span)
              : Val(Poison{});
}

Val scatter_add(Evaluator& ev, Frame& f, const Args& a, Span span) {
  Program* p = program_of(ev, f, span);
  const auto places = p ? ev.tensor(*p, a[0].value, a[0].span, ElementType::I32) : std::nullopt;
  const auto updates = places ? ev.tensor(*p, a[1].value, a[1].span) : std::nullopt;
  const auto size = updates ? ev.dim_of(a[2].value, a[2].span) : std::nullopt;
  if (!size) return Poison{};
  // Of the result, which has one axis instead of those of the places.
  const int rank = std::max(p->type(*updates).rank() - p->type(*places).rank() + 1, 1);
  const auto axis = ev.axis_of(a[3].value, rank, a[3].span);
  return axis ? ev.emit(*p, Op::scatter_add, {*places, *updates},
                        {{"axis", *axis}, {"size", Shape{*size}}}, span)
              : Val(Poison{});
}

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

/// A sum of products by letters: `einsum("nij,njk->nik", a, b)`.
Val einsum(Evaluator& ev, Frame& f, const Args& a, Span span) {
  Program* p = program_of(ev, f, span);
  const auto* text = a[0].value.get<std::string>();
  if (p && !text)
    return ev.report(Diag::bad_argument, a[0].span,
                     "the letters of `einsum` are a string: \"nij,njk->nik\"");
  if (!p) return Poison{};
  std::string letters;
  for (const char c : *text)
    if (c != ' ') letters += c;
  const std::size_t comma = letters.find(','), arrow = letters.find("->");
  if (comma == std::string::npos || arrow == std::string::npos || comma > arrow)
    return ev.report(Diag::bad_argument, a[0].span,
                     fmt::format("`{}` is no einsum of two tensors", *text),
                     "a letter for each axis: \"nij,njk->nik\"");
  const std::string lhs = letters.substr(0, comma),
                    rhs = letters.substr(comma + 1, arrow - comma - 1),
                    out = letters.substr(arrow + 2);
  const auto operands = ev.promoted(*p, a[1], a[2], true, span);
  if (!operands) return Poison{};
  Value x = operands->first, y = operands->second;
  // A letter that only one of the three has is summed over beforehand, or wrong.
  const auto sum_own = [&](Value v, std::string& own, const std::string& other) {
    std::vector<std::int64_t> axes;
    std::string kept;
    for (std::size_t k = 0; k < own.size() && k < p->type(v).shape.size(); ++k)
      if (other.find(own[k]) == std::string::npos && out.find(own[k]) == std::string::npos)
        axes.push_back(static_cast<std::int64_t>(k));
      else
        kept += own[k];
    if (axes.empty()) return v;
    own = kept;
    p->b.set_loc(ev.loc(span));
    return p->b.reduce(Op::reduce_sum, v, axes);
  };
  std::string l = lhs, r = rhs;
  if (l.size() == p->type(x).shape.size()) x = sum_own(x, l, rhs);
  if (r.size() == p->type(y).shape.size()) y = sum_own(y, r, lhs);
  return ev.emit(*p, Op::contract, {x, y}, {{"lhs", l}, {"rhs", r}, {"out", out}}, span);
}

Val random_uniform(Evaluator& ev, Frame& f, const Args& a, Span span) {
  Program* p = program_of(ev, f, span);
  const auto shape = p ? ev.shape_of(a[0].value, a[0].span) : std::nullopt;
  if (!shape) return Poison{};
  const ElementType e = p->wanted && is_float(*p->wanted) ? *p->wanted : ev.default_float();
  p->b.set_loc(ev.loc(span));
  const Value seed = p->scalar_input("seed");
  const Value step = p->random_step();
  return ev.emit(
      *p, Op::random_uniform, {seed, step},
      {{"stream", p->next_stream()}, {"shape", *shape}, {"element", std::string(name(e))}}, span);
}

}  // namespace

std::vector<Builtin> shape_builtins() {
  return {
      {"broadcast_to", {"x", "shape"}, "repeats x along new and 1-sized axes", broadcast_to},
      {"concat", {"parts", "axis"}, "a list of tensors one after the other along an axis", concat},
      {"einsum",
       {"letters", "a", "b"},
       "the sum of products over the letters that only the operands have: \"nij,njk->nik\"",
       einsum},
      {"gather",
       {"x", "places", "axis"},
       "x at the places of an integer tensor along an axis",
       gather},
      {"iota", {"n"}, "0, 1, ..., n - 1 as i32[n]", iota},
      {"len", {"list"}, "the number of entries of a static list", len},
      {"pad",
       {"x", "low", "high", "value=0"},
       "a frame around x: entries before and after, per axis",
       pad},
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
      {"scatter",
       {"x", "places", "updates", "axis=0"},
       "x, with updates put at the places of an integer tensor along an axis; of equal places the "
       "last counts",
       scatter},
      {"scatter_add",
       {"places", "updates", "size", "axis=0"},
       "zeros of extent `size` along an axis, with updates added at the places of an integer "
       "tensor",
       scatter_add},
      {"shape", {"x"}, "the dimensions as a static list", shape},
      {"transpose",
       {"x", "axes=none"},
       "the axes in another order; reversed when none is given",
       transpose},
  };
}

}  // namespace dlc::sema
