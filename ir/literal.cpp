#include "ir/literal.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "ir/support/check.h"
#include "ir/support/float16.h"

namespace dlc {

namespace {

double round_float(double v, ElementType t) {
  switch (t) {
    case ElementType::F32:
      return static_cast<float>(v);
    case ElementType::BF16:
      return bf16_to_f32(f32_to_bf16(static_cast<float>(v)));
    case ElementType::F16:
      return f16_to_f32(f32_to_f16(static_cast<float>(v)));
    default:
      return v;
  }
}

bool same_bits(double a, double b) {
  return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b);
}

/// Saturates, since C++ leaves a conversion out of range undefined; NaN becomes 0.
std::int64_t to_integer(double v) {
  if (std::isnan(v)) return 0;
  if (v >= 0x1p63) return INT64_MAX;
  if (v <= -0x1p63) return INT64_MIN;
  return static_cast<std::int64_t>(v);
}

std::int64_t wrapped(std::int64_t v, ElementType t) {
  switch (t) {
    case ElementType::I32:
      return static_cast<std::int32_t>(v);
    case ElementType::U8:
      return static_cast<std::uint8_t>(v);
    case ElementType::Bool:
      return v != 0;
    default:
      return v;
  }
}

}  // namespace

Literal Literal::zeros(ElementType element, std::vector<std::int64_t> shape) {
  Literal l{element, std::move(shape), {}, {}};
  const auto n = static_cast<std::size_t>(l.size());
  if (is_float(element))
    l.f.assign(n, 0.0);
  else
    l.i.assign(n, 0);
  return l;
}

Literal Literal::scalar(ElementType element, double value) {
  Literal l = zeros(element, {});
  l.set(0, value);
  l.round();
  return l;
}

std::int64_t Literal::size() const {
  std::int64_t n = 1;
  for (const std::int64_t d : shape) n *= d;
  return n;
}

void Literal::set(std::int64_t k, double v) {
  if (is_float(element))
    f[static_cast<std::size_t>(k)] = v;
  else
    i[static_cast<std::size_t>(k)] =
        element == ElementType::Bool ? v != 0 : wrapped(to_integer(v), element);
}

void Literal::round() {
  for (double& v : f) v = round_float(v, element);
  wrap();
}

void Literal::wrap() {
  for (std::int64_t& v : i) v = wrapped(v, element);
}

bool Literal::operator==(const Literal& o) const {
  return element == o.element && shape == o.shape && i == o.i &&
         std::equal(f.begin(), f.end(), o.f.begin(), o.f.end(), same_bits);
}

bool Literal::is_uniform() const {
  for (const double v : f)
    if (!same_bits(v, f[0])) return false;
  for (const std::int64_t v : i)
    if (v != i[0]) return false;
  return size() > 0;
}

Type Literal::type() const { return {element, Shape(shape.begin(), shape.end())}; }

}  // namespace dlc
