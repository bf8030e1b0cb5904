// x[...]: of tensors (integers, slices, `...`, an integer tensor), of lists, of tables.
#include <algorithm>

#include "frontend/sema/evaluator.h"

namespace dlc::sema {

namespace {

bool is_rest(const ast::IndexItem& item) {
  return !item.is_slice && item.value && std::holds_alternative<ast::Ellipsis>(item.value->node);
}

}  // namespace

Val Evaluator::index(const ast::Index& e, Span span, Frame& f) {
  const Val object = eval(*e.object, f);
  if (object.poisoned()) return Poison{};
  if (const auto* t = object.get<TensorRef>()) return index_tensor(*t, e, span, f);
  if (const List* l = object.list()) return index_list(*l, e, span, f);
  if (const auto* t = object.get<std::shared_ptr<const Table>>())
    return index_table(**t, e, span, f);
  return report(Diag::not_indexable, span, fmt::format("{} has no elements", describe(object)),
                object.function() ? "a call has round brackets: f(x)" : "");
}

Val Evaluator::index_table(const Table& t, const ast::Index& e, Span span, Frame& f) {
  const auto wrong = [&](Span where) {
    return report(Diag::bad_column, where, "columns of a table are chosen by name",
                  "`table[\"price\"]`, or several as `table[[\"area\", \"year\"]]`");
  };
  if (!t.options.empty())
    return report(
        Diag::bad_column, span, "columns are chosen from the table itself",
        "`numeric(...)` and `categorical(...)` take all of a kind; `skip` leaves some out");
  if (e.items.size() != 1 || e.items[0].is_slice) return wrong(span);
  const Val v = eval(*e.items[0].value, f);
  if (v.poisoned()) return Poison{};
  std::vector<std::string> columns;
  if (const auto* s = v.get<std::string>()) {
    columns.push_back(*s);
  } else if (const List* l = v.list()) {
    for (const Val& item : l->items) {
      const auto* s = item.get<std::string>();
      if (!s) return wrong(e.items[0].span);
      columns.push_back(*s);
    }
    if (columns.empty()) return wrong(e.items[0].span);
  } else {
    return wrong(e.items[0].span);
  }
  const bool one = v.get<std::string>() != nullptr;
  const Val all = data_file(t.reader, t.paths, std::move(columns), span, *f.program);
  const auto* ref = all.get<TensorRef>();
  if (!ref || !one) return all;
  // One name gives a vector, a list of names a matrix.
  return emit(*ref->program, Op::reshape, {ref->value},
              {{"shape", Shape{ref->program->type(ref->value).shape[0]}}}, span);
}

Val Evaluator::index_list(const List& l, const ast::Index& e, Span span, Frame& f) {
  const auto size = static_cast<std::int64_t>(l.items.size());
  if (e.items.size() != 1)
    return report(Diag::bad_index, span, "a list has one index",
                  "inner lists are taken one by one: l[0][1]");
  const ast::IndexItem& item = e.items[0];
  if (!item.is_slice) {
    // A list of indices chooses several: shape(x)[[0, 2]].
    const Val v = eval(*item.value, f);
    std::vector<Val> chosen;
    for (const Val& i : v.list() ? v.list()->items : std::vector<Val>{v}) {
      if (i.poisoned()) return Poison{};
      const Dim* d = i.get<Dim>();
      if (!d || !d->is_constant())
        return report(
            Diag::not_static, item.span,
            fmt::format(
                "the index of a list must be an integer that is known while compiling, this is {}",
                describe(i)));
      const std::int64_t k = d->value() < 0 ? d->value() + size : d->value();
      if (k < 0 || k >= size)
        return report(
            Diag::index_out_of_range, item.span,
            fmt::format("the index {} is outside: the list has {} entries", d->value(), size));
      chosen.push_back(l.items[static_cast<std::size_t>(k)]);
    }
    return v.list() ? make_list(std::move(chosen)) : chosen[0];
  }
  std::int64_t begin = 0, end = size, step = 1;
  if (item.step) {
    const auto s = eval_int(*item.step, f, "the step of a slice");
    if (!s) return Poison{};
    if (*s < 1) return report(Diag::bad_index, item.span, "the step of a slice is at least 1");
    step = *s;
  }
  for (const auto& [expr, to] :
       {std::pair(item.begin.get(), &begin), std::pair(item.end.get(), &end)}) {
    if (!expr) continue;
    const auto v = eval_int(*expr, f, "the bound of a slice");
    if (!v) return Poison{};
    *to = std::clamp<std::int64_t>(*v < 0 ? *v + size : *v, 0, size);
  }
  std::vector<Val> items;
  for (std::int64_t k = begin; k < end; k += step) {
    items.push_back(l.items[static_cast<std::size_t>(k)]);
    if (step > size) break;
  }
  return make_list(std::move(items));
}

/// A list of places along an axis, each from the start and inside; other entries are left to
/// tensor().
Val Evaluator::places_of(const Val& v, const TensorRef& t, std::size_t axis, Span span) {
  if (const List* l = v.list()) {
    std::vector<Val> items;
    for (const Val& item : l->items) {
      items.push_back(places_of(item, t, axis, span));
      if (items.back().poisoned()) return Poison{};
    }
    return list_of(std::move(items), span);
  }
  const Dim* d = v.get<Dim>();
  if (!d || !d->is_constant()) return v;
  const Dim& size = t.program->type(t.value).shape[axis];
  const Dim at = d->value() < 0 ? size + *d : *d;
  const bool inside = at.is_constant() && at.value() >= 0 && size.provably_ge(at + Dim(1));
  if (inside || (!size.is_constant() && d->value() >= 0)) return at;
  return report(Diag::index_out_of_range, span,
                fmt::format("the index {} is outside: axis {} of {} has extent {}", d->str(), axis,
                            describe_shape(*t.program, t.value), size.str()),
                "", origin_labels(*t.program, t.value, static_cast<int>(axis)));
}

Val Evaluator::index_tensor(const TensorRef& t, const ast::Index& e, Span span, Frame& f) {
  Program& p = *t.program;
  const Type type = p.type(t.value);
  const auto rank = static_cast<std::size_t>(type.rank());
  const auto rests =
      static_cast<std::size_t>(std::count_if(e.items.begin(), e.items.end(), is_rest));
  if (rests > 1) return report(Diag::bad_index, span, "an index has at most one `...`");
  if (e.items.size() - rests > rank)
    return report(Diag::too_many_indices, span,
                  fmt::format("{} indices for {}, which has {} ax{}s", e.items.size() - rests,
                              describe_shape(p, t.value), rank, rank == 1 ? "i" : "e"));
  std::vector<std::int64_t> begin(rank, 0), step(rank, 1);
  Shape extent = type.shape;
  std::vector<bool> dropped(rank, false);
  std::optional<std::pair<std::size_t, Value>> places;  // an axis indexed by an integer tensor
  std::size_t axis = 0;
  for (const ast::IndexItem& item : e.items) {
    if (is_rest(item)) {
      axis += rank - (e.items.size() - 1);
      continue;
    }
    const Dim size = type.shape[axis];
    // The value of a bound: from the end when negative. Fails where a symbolic size would be
    // needed.
    const auto bound = [&](const ast::Expr& x) -> std::optional<Dim> {
      const Val v = eval(x, f);
      if (v.poisoned()) return std::nullopt;
      const Dim* d = v.get<Dim>();
      if (!d) {
        report(Diag::bad_index, x.span,
               fmt::format("an index is an integer, this is {}", describe(v)));
        return std::nullopt;
      }
      return d->is_constant() && d->value() < 0 ? size + *d : *d;
    };
    if (!item.is_slice) {
      const Val v = eval(*item.value, f);
      if (v.poisoned()) return Poison{};
      if (v.get<TensorRef>() || v.list()) {
        const auto index =
            tensor(p, v.list() ? places_of(v, t, axis, item.span) : v, item.span, ElementType::I32);
        if (!index) return Poison{};
        if (!is_integer(p.type(*index).element))
          return report(
              Diag::bad_index, item.span,
              fmt::format("elements are chosen by integers, this is {}", p.type(*index).str()),
              p.type(*index).element == ElementType::Bool
                  ? "`where(mask, x, 0)` keeps the shape and chooses by a condition"
                  : "");
        if (places)
          return report(Diag::bad_index, item.span,
                        "one axis at a time may be indexed by a tensor");
        places = {axis, *index};
        ++axis;
        continue;
      }
      const Dim* d = v.get<Dim>();
      if (!d)
        return report(Diag::bad_index, item.span,
                      fmt::format("an index is an integer, this is {}", describe(v)));
      const Dim at = d->is_constant() && d->value() < 0 ? size + *d : *d;
      if (!at.is_constant())
        return report(
            Diag::bad_index, item.span,
            fmt::format("the place {} along an axis of extent {} is not known while compiling",
                        at.str(), size.str()));
      if (at.value() < 0 || !(size.provably_ge(at + Dim(1))))
        return report(Diag::index_out_of_range, item.span,
                      fmt::format("the index {} is outside: axis {} of {} has extent {}", d->str(),
                                  axis, describe_shape(p, t.value), size.str()),
                      "", origin_labels(p, t.value, static_cast<int>(axis)));
      begin[axis] = at.value();
      extent[axis] = Dim(1);
      dropped[axis++] = true;
      continue;
    }
    Dim from(0), to = size;
    std::int64_t by = 1;
    if (item.begin) {
      const auto b = bound(*item.begin);
      if (!b) return Poison{};
      from = *b;
    }
    if (item.end) {
      const auto b = bound(*item.end);
      if (!b) return Poison{};
      to = *b;
    }
    if (item.step) {
      const auto s = eval_int(*item.step, f, "the step of a slice");
      if (!s) return Poison{};
      if (*s < 1)
        return report(Diag::bad_index, item.span, "the step of a slice is at least 1",
                      "`reverse(x, axis: 0)` reads backwards");
      by = *s;
    }
    if (!from.is_constant() || from.value() < 0 || !to.provably_ge(from) || !size.provably_ge(to))
      return report(
          Diag::index_out_of_range, item.span,
          fmt::format("the slice from {} to {} does not lie in axis {} of {}, which has extent {}",
                      from.str(), to.str(), axis, describe_shape(p, t.value), size.str()),
          "", origin_labels(p, t.value, static_cast<int>(axis)));
    const Dim length = to - from;
    if (by > 1 && !length.is_constant())
      return report(Diag::bad_index, item.span,
                    fmt::format("a step needs a length that is known while compiling, {} is not",
                                length.str()));
    begin[axis] = from.value();
    step[axis] = by;
    extent[axis] = by == 1               ? length
                   : length.value() == 0 ? Dim(0)
                                         : Dim((length.value() - 1) / by + 1);
    ++axis;
  }
  Val result = t;
  if (!(extent == type.shape))
    result =
        emit(p, Op::slice, {t.value}, {{"begin", begin}, {"step", step}, {"shape", extent}}, span);
  // The gather comes before axes are dropped, so that it still knows its axis by number.
  if (const auto* r = result.get<TensorRef>(); r && places)
    result = emit(p, Op::gather, {r->value, places->second},
                  {{"axis", static_cast<std::int64_t>(places->first)}}, span);
  const auto* r = result.get<TensorRef>();
  if (!r || std::find(dropped.begin(), dropped.end(), true) == dropped.end()) return result;
  Shape kept;
  for (std::size_t k = 0; k < rank; ++k) {
    if (places && places->first == k) {
      const Shape& index = p.type(places->second).shape;
      kept.insert(kept.end(), index.begin(), index.end());
    } else if (!dropped[k]) {
      kept.push_back(extent[k]);
    }
  }
  return emit(p, Op::reshape, {r->value}, {{"shape", kept}}, span);
}

}  // namespace dlc::sema
