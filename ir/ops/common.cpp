#include "ir/ops/common.h"

#include <algorithm>
#include <numeric>

namespace dlc::ops {

std::optional<ElementType> element_attr(const Attrs& attrs) {
  const std::string* text = attr<std::string>(attrs, "element");
  return text ? parse_element_type(*text) : std::nullopt;
}

const Extents* axes_attr(const Attrs& attrs, int rank, std::string& error) {
  const Extents* axes = attr<Extents>(attrs, "axes");
  if (!axes) {
    error = "the attribute `axes` is missing";
    return nullptr;
  }
  for (std::size_t k = 0; k < axes->size(); ++k) {
    if ((*axes)[k] < 0 || (*axes)[k] >= rank) {
      error = fmt::format("axis {} is not an axis of an operand of rank {}", (*axes)[k], rank);
      return nullptr;
    }
    if (k > 0 && (*axes)[k] <= (*axes)[k - 1]) {
      error = "the axes are not in increasing order";
      return nullptr;
    }
  }
  return axes;
}

std::optional<std::int64_t> axis_attr(const Attrs& attrs, int rank) {
  const std::int64_t* axis = attr<std::int64_t>(attrs, "axis");
  if (!axis || *axis < 0 || *axis >= rank) return std::nullopt;
  return *axis;
}

bool shape_is_sane(const Shape& shape, std::string& error) {
  std::int64_t count = 1;
  for (const Dim& d : shape) {
    if (d.is_constant() && d.value() < 0) {
      error = fmt::format("a dimension is negative: {}", d.value());
      return false;
    }
    // With every symbol 1 an extent is at most the sum of its coefficients.
    const auto size = [](std::int64_t v) {
      return std::abs(std::clamp(v, -kMaxElements - 1, kMaxElements + 1));
    };
    std::int64_t largest = size(d.constant());
    for (const auto& [monomial, coefficient] : d.terms())
      largest = std::min(largest + size(coefficient), kMaxElements + 1);
    if (largest > kMaxElements || (largest > 0 && count > kMaxElements / largest)) {
      error = "the tensor is too large: it has more than 2^40 elements";
      return false;
    }
    count *= std::max<std::int64_t>(largest, 1);
  }
  return true;
}

bool is_number(ElementType t) { return t != Bool; }
bool is_any(ElementType) { return true; }
bool is_bool(ElementType t) { return t == Bool; }

Inferred infer_same(Operands operands, std::size_t count, bool (*accepts)(ElementType),
                    std::string_view accepted) {
  if (operands.size() != count)
    return wrong("{} operand(s) expected, {} given", count, operands.size());
  for (const Type& o : operands) {
    if (!(o == operands[0]))
      return wrong("the operands are {} and {}; they must be equal", operands[0].str(), o.str());
    if (!accepts(o.element)) return wrong("an operand is {}; {} expected", o.str(), accepted);
  }
  return ok(operands[0]);
}

Inferred infer_float_unary(Operands o, const Attrs&) {
  return infer_same(o, 1, is_float, "floats are");
}
Inferred infer_number_unary(Operands o, const Attrs&) {
  return infer_same(o, 1, is_number, "numbers are");
}
Inferred infer_number_binary(Operands o, const Attrs&) {
  return infer_same(o, 2, is_number, "numbers are");
}
Inferred infer_logical(Operands o, const Attrs&) { return infer_same(o, 2, is_bool, "bools are"); }
Inferred infer_comparison(Operands o, const Attrs&) {
  Inferred r = infer_same(o, 2, is_any, "");
  if (r.type) r.type->element = Bool;
  return r;
}

Literal literal_of(const Type& concrete) {
  return Literal::zeros(concrete.element, extents_of(concrete));
}

void copy_element(Literal& to, std::int64_t at, const Literal& from, std::int64_t k) {
  if (is_float(to.element))
    to.f[static_cast<std::size_t>(at)] = from.f[static_cast<std::size_t>(k)];
  else
    to.i[static_cast<std::size_t>(at)] = from.i[static_cast<std::size_t>(k)];
}

Literal map1(const Type& result, const Literal& a, double (*f)(double),
             std::int64_t (*i)(std::int64_t)) {
  Literal r = literal_of(result);
  for (std::size_t k = 0; k < r.f.size(); ++k) r.f[k] = f(a.f[k]);
  if (!r.i.empty()) DLC_CHECK(i, "an operation on floats was given integers");
  for (std::size_t k = 0; k < r.i.size(); ++k) r.i[k] = i(a.i[k]);
  r.wrap();
  return r;
}

Literal map2(const Type& result, const Literal& a, const Literal& b, double (*f)(double, double),
             std::int64_t (*i)(std::int64_t, std::int64_t)) {
  Literal r = literal_of(result);
  const std::int64_t n = r.size();
  for (std::int64_t k = 0; k < n; ++k) {
    const auto at = static_cast<std::size_t>(k);
    if (is_float(a.element)) {
      const double v = f(a.f[at], b.f[at]);
      if (is_float(result.element))
        r.f[at] = v;
      else
        r.i[at] = v != 0;
    } else {
      r.i[at] = i(a.i[at], b.i[at]);
    }
  }
  r.wrap();
  return r;
}

Extents extents_of(const Type& concrete) {
  Extents e;
  for (const Dim& d : concrete.shape) e.push_back(d.value());
  return e;
}

Extents row_major_strides(const Extents& shape) {
  Extents s(shape.size(), 1);
  for (std::size_t k = shape.size(); k-- > 1;) s[k - 1] = s[k] * shape[k];
  return s;
}

std::int64_t dot(const Extents& index, const Extents& strides) {
  return std::inner_product(index.begin(), index.end(), strides.begin(), std::int64_t{0});
}

void for_each_index(const Extents& shape,
                    const std::function<void(const Extents&, std::int64_t)>& f) {
  Extents index(shape.size(), 0);
  for (const std::int64_t d : shape)
    if (d == 0) return;
  for (std::int64_t linear = 0;; ++linear) {
    f(index, linear);
    std::size_t k = shape.size();
    while (k > 0 && ++index[k - 1] == shape[k - 1]) index[--k] = 0;
    if (k == 0) return;
  }
}

Value constant_like(GraphBuilder& b, Value like, double v) {
  return b.splat(Type(b.type(like)), v);
}
Value sum_to(GraphBuilder& b, Value v, const Type& type) {
  return b.sum_to_trailing(v, type.shape);
}

Type t(ElementType e, Shape shape) { return {e, std::move(shape)}; }

std::vector<Sample> unary_samples(double lo, double hi, std::vector<ElementType> elements) {
  std::vector<Sample> samples;
  for (const ElementType e : elements) {
    samples.push_back({{t(e, {})}, {}, lo, hi});
    samples.push_back({{t(e, {7})}, {}, lo, hi});
    samples.push_back({{t(e, {Dim::symbol("N"), 1, 19})}, {}, lo, hi});
  }
  return samples;
}

std::vector<Sample> binary_samples(double lo, double hi, std::vector<ElementType> elements) {
  std::vector<Sample> samples = unary_samples(lo, hi, std::move(elements));
  for (Sample& s : samples) s.operands.push_back(s.operands[0]);
  return samples;
}

}  // namespace dlc::ops
