// Type annotations: `x: f32[..., n]`, `w: f32[n, 2*k + 1]`. A name of a dimension is bound where it
// first appears and must agree everywhere after.
#include <cmath>

#include "frontend/sema/evaluator.h"

namespace dlc::sema {

namespace {

bool is_rest(const ast::Expr& e) { return std::holds_alternative<ast::Ellipsis>(e.node); }

}  // namespace

ElementType Evaluator::element_of(ElementType written) const {
  return written == ElementType::F32 ? default_float_ : written;
}

std::optional<Dim> Evaluator::dim_of(const Val& v, Span span) {
  if (v.poisoned()) return std::nullopt;
  const Dim* d = v.get<Dim>();
  if (!d) {
    report(Diag::bad_dimension, span,
           fmt::format("a dimension is an integer, this is {}", describe(v)),
           v.get<double>() ? "`//` divides integers without remainder" : "");
    return std::nullopt;
  }
  if (d->is_constant() && d->value() < 0) {
    report(Diag::bad_dimension, span, fmt::format("a dimension is negative: {}", d->value()));
    return std::nullopt;
  }
  return *d;
}

/// Whether a name in a type has a meaning already; otherwise the type binds it.
bool Evaluator::names_dimension(const std::string& name, const Frame& f) {
  if (f.dims.contains(name) || f.names.contains(name)) return true;
  const Definition* d = definitions_.find(name, f.from_std);
  return d && std::holds_alternative<ast::Const>(d->item->node);
}

/// A dimension of an annotation whose names are all known.
std::optional<Dim> Evaluator::eval_dim(const ast::Expr& e, Frame& f) {
  return dim_of(eval(e, f), e.span);
}

std::optional<Shape> Evaluator::shape_of(const Val& v, Span span) {
  if (v.poisoned()) return std::nullopt;
  const List* l = v.list();
  if (!l) {
    report(Diag::bad_shape, span,
           fmt::format("a shape is a list of integers, this is {}", describe(v)),
           "for instance [28, 28]");
    return std::nullopt;
  }
  if (l->items.size() > kMaxRank) {
    report(Diag::too_large, span, fmt::format("a tensor has at most {} axes", kMaxRank));
    return std::nullopt;
  }
  Shape shape;
  for (const Val& item : l->items) {
    const auto d = dim_of(item, span);
    if (!d) return std::nullopt;
    shape.push_back(*d);
  }
  return shape;
}

Val Evaluator::shape_value(const Type& type) const {
  std::vector<Val> items;
  for (const Dim& d : type.shape) items.emplace_back(d);
  return make_list(std::move(items));
}

std::optional<std::int64_t> Evaluator::axis_of(const Val& v, int rank, Span span) {
  if (v.poisoned()) return std::nullopt;
  const Dim* d = v.get<Dim>();
  if (!d || !d->is_constant()) {
    report(Diag::bad_axis, span, fmt::format("an axis is an integer, this is {}", describe(v)));
    return std::nullopt;
  }
  const std::int64_t axis = d->value() < 0 ? d->value() + rank : d->value();
  if (axis < 0 || axis >= rank) {
    report(Diag::bad_axis, span,
           rank == 0 ? "a scalar has no axes"
                     : fmt::format("there is no axis {}: the tensor has axes 0 to {}", d->value(),
                                   rank - 1));
    return std::nullopt;
  }
  return axis;
}

std::optional<Type> Evaluator::concrete_type(const ast::TypeExpr& t, Frame& f, bool new_symbols,
                                             std::vector<DimOrigin>* origins) {
  if (!t.element) return std::nullopt;
  if (t.dims.size() > kMaxRank) {
    report(Diag::too_large, t.span, fmt::format("a tensor has at most {} axes", kMaxRank));
    return std::nullopt;
  }
  Type type{element_of(*t.element), {}};
  bool good = true;
  for (const ast::ExprPtr& e : t.dims) {
    if (is_rest(*e)) {
      report(Diag::rest_in_shape, e->span,
             "`...` stands for unknown leading dimensions; here every dimension is fixed",
             "name each dimension");
      good = false;
      continue;
    }
    const auto* name = std::get_if<ast::NameRef>(&e->node);
    const bool known = !name || names_dimension(name->name, f);
    if (!known && new_symbols) {
      f.dims[name->name] = {Dim::symbol(name->name),
                            {e->span, name->name, fmt::format("`{}` is bound here", name->name)}};
    } else if (!known) {
      std::vector<std::string> candidates;
      for (const auto& [n, d] : f.dims) candidates.push_back(n);
      for (const auto& [n, b] : f.names)
        if (b.value.get<Dim>()) candidates.push_back(n);
      const std::string near = nearest(name->name, candidates);
      report(Diag::unbound_dimension, e->span,
             fmt::format("the dimension `{}` is not bound: nothing before gives it a value",
                         name->name),
             near.empty() ? "write an integer, or a name that an input's or argument's type binds"
                          : fmt::format("did you mean `{}`?", near));
      good = false;
      continue;
    }
    const auto d = eval_dim(*e, f);
    good = good && d;
    if (!d) continue;
    type.shape.push_back(*d);
    if (origins) {
      const std::string text(sources_.text(e->span));
      const bool named = name != nullptr;
      origins->push_back({e->span, named ? text : "",
                          text == d->str() ? fmt::format("{} is written here", text)
                                           : fmt::format("`{}` is {} here", text, d->str())});
    }
  }
  if (!good || !within(type, 36, t.span)) return std::nullopt;
  return type;
}

bool Evaluator::within(const Type& type, int log_elements, Span span) {
  // With every symbol 1; every extent before an empty axis counts as well.
  double elements = 1;
  for (const Dim& d : type.shape) {
    double extent = std::abs(static_cast<double>(d.constant()));
    for (const auto& [monomial, coefficient] : d.terms())
      extent += std::abs(static_cast<double>(coefficient));
    elements *= std::max(extent, 1.0);
  }
  if (elements <= std::ldexp(1.0, log_elements)) return true;
  report(Diag::too_large, span,
         fmt::format("{} has more than 2^{} elements", type.str(), log_elements),
         "a tensor of this size fits no memory");
  return false;
}

bool Evaluator::match_dim(const ast::Expr& e, const TensorRef& value, int axis, Span value_span,
                          const std::string& what, const ast::TypeExpr& type, Frame& f) {
  const Program& p = *value.program;
  const Dim& actual = p.type(value.value).shape[static_cast<std::size_t>(axis)];
  const auto* name = std::get_if<ast::NameRef>(&e.node);
  if (name && !names_dimension(name->name, f)) {
    DimOrigin origin{e.span, name->name, fmt::format("`{}` is {} here", name->name, actual.str())};
    if (const DimOrigin& o = this->origin(p, value.value, axis); o.span.known()) {
      origin.span = o.span;
      origin.text = o.text;
    }
    f.dims[name->name] = {actual, origin};
    return true;
  }
  const auto expected = eval_dim(e, f);
  if (!expected) return false;
  if (*expected == actual) return true;
  std::vector<Label> labels = origin_labels(p, value.value, axis);
  if (name)
    if (const auto at = f.dims.find(name->name);
        at != f.dims.end() && at->second.origin.span.known())
      labels.push_back({at->second.origin.span, at->second.origin.text});
  labels.push_back({type.span, fmt::format("declared as `{}`", sources_.text(type.span))});
  const std::string& text = this->origin(p, value.value, axis).text;
  report(
      Diag::shape_mismatch, value_span,
      fmt::format("{} is {}, but axis {} must be {}{}", what, describe_shape(p, value.value), axis,
                  name && !expected->symbols().size() ? fmt::format("`{}` = ", name->name) : "",
                  expected->str()),
      text.find("flattened") != std::string::npos
          ? fmt::format("{}, {} is expected", text, expected->str())
          : "",
      std::move(labels));
  return false;
}

bool Evaluator::match_type(const ast::TypeExpr& t, const TensorRef& value, Span value_span,
                           const std::string& what, Frame& f) {
  if (!t.element) return false;
  const Program& p = *value.program;
  const Type actual = p.type(value.value);
  if (actual.element != element_of(*t.element)) {
    const std::string expected(name(*t.element));
    report(Diag::element_type_mismatch, value_span,
           fmt::format("{} is {}, elements of type {} are expected", what, actual.str(),
                       name(element_of(*t.element))),
           is_float(actual.element) && is_float(*t.element) && !is_16_bit_float(actual.element) &&
                   !is_16_bit_float(*t.element)
               ? "f64 throughout a model: `precision = f64` in the train block, or --precision f64"
               : fmt::format("`{}(...)` converts{}", expected,
                             actual.element == ElementType::U8 && is_float(*t.element)
                                 ? "; pictures are usually scaled as well: `image / 255`"
                                 : ""),
           {{t.span, "declared here"}});
    return false;
  }
  std::size_t rest = t.dims.size();
  for (std::size_t k = 0; k < t.dims.size(); ++k)
    if (is_rest(*t.dims[k])) {
      if (rest < t.dims.size()) {
        report(Diag::rest_in_shape, t.dims[k]->span, "a type has at most one `...`");
        return false;
      }
      rest = k;
    }
  const std::size_t fixed = t.dims.size() - (rest < t.dims.size() ? 1 : 0);
  const auto rank = static_cast<std::size_t>(actual.rank());
  if (rest < t.dims.size() ? rank < fixed : rank != fixed) {
    report(Diag::rank_mismatch, value_span,
           fmt::format("{} is {}, which has {} ax{}s; {}{} {} expected", what,
                       describe_shape(p, value.value), rank, rank == 1 ? "i" : "e",
                       rest < t.dims.size() ? "at least " : "", fixed, fixed == 1 ? "is" : "are"),
           rank > fixed && fixed >= 1 ? "`flatten` makes one axis of all but the first" : "",
           {{t.span, fmt::format("declared as `{}`", sources_.text(t.span))}});
    return false;
  }
  // Plain names are bound before arithmetic over them is checked.
  bool good = true;
  for (const bool names : {true, false})
    for (std::size_t k = 0; k < t.dims.size(); ++k) {
      if (k == rest || std::holds_alternative<ast::NameRef>(t.dims[k]->node) != names) continue;
      const std::size_t axis = k < rest ? k : rank - (t.dims.size() - k);
      good = match_dim(*t.dims[k], value, static_cast<int>(axis), value_span, what, t, f) && good;
    }
  return good;
}

}  // namespace dlc::sema
