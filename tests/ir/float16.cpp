// The 16-bit formats against their definition: sign, exponent and mantissa as powers of two.
#include "ir/support/float16.h"

#include <doctest/doctest.h>

#include <cmath>

#include "ir/literal.h"

using namespace dlc;

namespace {

struct Format {
  ElementType element;
  int mantissa_bits, min_exponent;  // of the smallest normal number
  float (*widen)(std::uint16_t);
  std::uint16_t (*narrow)(float);
};
const Format kFormats[] = {{ElementType::BF16, 7, -126, bf16_to_f32, f32_to_bf16},
                           {ElementType::F16, 10, -14, f16_to_f32, f32_to_f16}};

/// The number of a bit pattern; infinity for the largest exponent with mantissa 0, else NaN.
double value_of(std::uint16_t bits, const Format& f) {
  const int mantissa = bits & ((1 << f.mantissa_bits) - 1);
  const int exponent = (bits & 0x7FFF) >> f.mantissa_bits;
  const int top = (0x7FFF >> f.mantissa_bits);
  double v = std::ldexp(mantissa + (exponent > 0 ? 1 << f.mantissa_bits : 0),
                        std::max(exponent - 1, 0) + f.min_exponent - f.mantissa_bits);
  if (exponent == top) v = mantissa ? std::nan("") : HUGE_VAL;
  return bits & 0x8000 ? -v : v;
}

bool same(double a, double b) {
  return (std::isnan(a) && std::isnan(b)) || (a == b && std::signbit(a) == std::signbit(b));
}

}  // namespace

TEST_CASE("every 16-bit pattern widens to its number and back to itself") {
  for (const Format& f : kFormats)
    for (unsigned bits = 0; bits < 0x10000; ++bits) {
      const auto h = static_cast<std::uint16_t>(bits);
      const double want = value_of(h, f);
      const float wide = f.widen(h);
      if (!same(wide, want)) FAIL_CHECK(name(f.element), " ", bits, ": ", wide, ", not ", want);
      const std::uint16_t back = f.narrow(wide);
      const int quiet = 1 << (f.mantissa_bits - 1);
      if (back != (std::isnan(want) ? (h | quiet) : h))
        FAIL_CHECK(name(f.element), " ", bits, " comes back as ", back);
    }
}

TEST_CASE("between two neighbours the nearer one is taken, and the even one of a tie") {
  for (const Format& f : kFormats) {
    const int infinity = 0x7FFF >> f.mantissa_bits << f.mantissa_bits;
    for (int bits = 0; bits < infinity; ++bits) {
      const auto low = static_cast<std::uint16_t>(bits),
                 high = static_cast<std::uint16_t>(bits + 1);
      // The neighbour of the largest number is where the next one would be.
      const double a = value_of(low, f),
                   b = high == infinity ? 2 * a - value_of(static_cast<std::uint16_t>(bits - 1), f)
                                        : value_of(high, f);
      const auto middle = static_cast<float>((a + b) / 2);
      if (static_cast<double>(middle) != (a + b) / 2) continue;  // below f32's last place
      const std::uint16_t even = bits % 2 == 0 ? low : high;
      const std::uint16_t got[] = {f.narrow(std::nextafter(middle, 0.0F)), f.narrow(middle),
                                   f.narrow(std::nextafter(middle, HUGE_VALF)), f.narrow(-middle)};
      if (got[0] != low || got[1] != even || got[2] != high || got[3] != (even | 0x8000))
        FAIL_CHECK(name(f.element), " at ", bits, ": ", got[0], " ", got[1], " ", got[2]);
    }
    CHECK(f.narrow(HUGE_VALF) == infinity);
    CHECK(f.narrow(-3.4e38F) == (0x8000 | infinity));
    CHECK(f.narrow(-0.0F) == 0x8000);
  }
}

TEST_CASE("a literal is rounded by way of f32") {
  CHECK(Literal::scalar(ElementType::BF16, 0.1).f[0] == 0.10009765625);
  CHECK(Literal::scalar(ElementType::F16, 0.1).f[0] == 0.0999755859375);
  CHECK(Literal::scalar(ElementType::F16, 65519).f[0] == 65504);
  CHECK(Literal::scalar(ElementType::F16, 65520).f[0] == HUGE_VAL);
  CHECK(Literal::scalar(ElementType::BF16, 1 + 0x1p-8 + 0x1p-40).f[0] == 1);
}
