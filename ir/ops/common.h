#pragma once
// What the definitions of operations share: type rules with messages for users, checked attributes,
// reference loops over literals.
#include <cmath>
#include <functional>

#include "ir/op_def.h"
#include "ir/support/check.h"

namespace dlc::ops {

using Operands = std::span<const Type>;
using Literals = std::span<const Literal>;
using Extents = std::vector<std::int64_t>;
using loop::ExprId;
using loop::KernelBuilder;
using loop::ScalarOp;
using V = std::vector<Value>;
using Index = std::vector<ExprId>;

inline Inferred ok(Type t) { return {std::move(t), {}}; }
template <class... Args>
Inferred wrong(fmt::format_string<Args...> format, Args&&... args) {
  return {std::nullopt, fmt::format(format, std::forward<Args>(args)...)};
}

// ---- Attributes: nullptr / nullopt where missing or of another kind ----
template <class T>
const T* attr(const Attrs& attrs, std::string_view key) {
  const auto at = attrs.find(key);
  return at == attrs.end() ? nullptr : std::get_if<T>(&at->second);
}
std::optional<ElementType> element_attr(const Attrs& attrs);
/// The `axes` attribute: sorted, unique, within the rank; else a message in `error`.
const Extents* axes_attr(const Attrs& attrs, int rank, std::string& error);
/// An axis attribute within [0, rank).
std::optional<std::int64_t> axis_attr(const Attrs& attrs, int rank);
/// Extents are at most this, and so is the number of elements of a tensor of constant shape.
inline constexpr std::int64_t kMaxElements = std::int64_t{1} << 40;
/// No constant dimension is negative, and the tensor is not too large: neither the product of the
/// constant dimensions nor the coefficients of the element count.
bool shape_is_sane(const Shape& shape, std::string& error);

// ---- Type rules ----
/// `count` operands of one type that `accepts` allows; the result has that type or `result`.
Inferred infer_same(Operands operands, std::size_t count, bool (*accepts)(ElementType),
                    std::string_view accepted);
bool is_number(ElementType t);  // everything but bool
bool is_any(ElementType t);
bool is_bool(ElementType t);

Inferred infer_float_unary(Operands o, const Attrs&);
Inferred infer_number_unary(Operands o, const Attrs&);
Inferred infer_number_binary(Operands o, const Attrs&);
Inferred infer_comparison(Operands o, const Attrs&);  // result bool
Inferred infer_logical(Operands o, const Attrs&);

// ---- Reference evaluation ----
/// Elementwise over equal shapes, in f64 or in wrapping i64.
Literal map1(const Type& result, const Literal& a, double (*f)(double),
             std::int64_t (*i)(std::int64_t) = nullptr);
Literal map2(const Type& result, const Literal& a, const Literal& b, double (*f)(double, double),
             std::int64_t (*i)(std::int64_t, std::int64_t) = nullptr);
Extents extents_of(const Type& concrete);
Extents row_major_strides(const Extents& shape);
std::int64_t dot(const Extents& index, const Extents& strides);
/// Steps through all indices of `shape` in row-major order.
void for_each_index(const Extents& shape,
                    const std::function<void(const Extents&, std::int64_t linear)>& f);
/// An empty literal of the type, and element copies whatever the element type.
Literal literal_of(const Type& concrete);
void copy_element(Literal& to, std::int64_t at, const Literal& from, std::int64_t k);

// ---- Gradients ----
Value constant_like(GraphBuilder& b, Value like, double v);  // a splat of like's type
Value sum_to(GraphBuilder& b, Value v, const Type& type);    // sums broadcast axes away

// ---- Samples ----
Type t(ElementType e, Shape shape);
inline constexpr ElementType F32 = ElementType::F32, F64 = ElementType::F64,
                             BF16 = ElementType::BF16, F16 = ElementType::F16,
                             I32 = ElementType::I32, I64 = ElementType::I64, U8 = ElementType::U8,
                             Bool = ElementType::Bool;
std::vector<Sample> unary_samples(double lo, double hi,
                                  std::vector<ElementType> elements = {F32, F64});
std::vector<Sample> binary_samples(double lo, double hi,
                                   std::vector<ElementType> elements = {F32, F64});

}  // namespace dlc::ops
