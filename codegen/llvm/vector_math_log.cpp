// Logarithms and powers.
//
// log:   x = 2^k (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)). log(1 + f) = f + rest, where
//        rest = f^2 (-1/2 + f P(f)), P of degree 7 (f32; minimax, 2^-27), or in f64 fdlibm's
//        arrangement: s = f/(2 + f), log(1 + f) = 2 artanh(s), rest = s (f^2/2 + R) - f^2/2 with
//        R = z (L1 + L2 z + ...) in z = s^2, of degree 6 (minimax, 2^-58). k ln2 is added in two
//        parts.
// log2:  the same f and rest, times log2(e) with the product's low part; exact for powers of two.
// log1p: k of 1 + x; then f = x 2^-k + (2^-k - 1) in one fma: what 1 + x loses is not lost.
// pow:   e^(y log|x|). For f32 in f64, to 2^-44. For f64 the logarithm is a sum of two f64: s is
//        corrected by its residual, the series 2s (1 + z/3 + z^2 P(z)) is summed in pairs down to
//        the term in z, and P is of degree 8 (minimax, 2^-80). About 2^-65 of the logarithm is
//        lost, at most 0.3 units of the largest powers.
#include <llvm/IR/Intrinsics.h>

#include <cmath>

#include "codegen/llvm/vector_math.h"

namespace dlc {

using llvm::Value;

namespace {

/// log(1 + f) = s (2 + z (c[0] + c[1] z + ...)): to 2^-58.
constexpr double kArtanh[] = {0x1.5555555555592p-1, 0x1.999999997fdbcp-2, 0x1.24924941f0fb3p-2,
                              0x1.c71c520974956p-3, 0x1.74663ee58004ap-3, 0x1.39a1bad677015p-3,
                              0x1.2f0563e28e510p-3};

struct Layout {
  std::uint64_t mantissa, root;  // bits of the mantissa; of sqrt(1/2)
  double scale_up, tiny;         // denormals times 2^mantissa are normal
};
Layout layout(bool f32) {
  return f32 ? Layout{23, 0x3f3504f3, 0x1p23, 0x1p-126}
             : Layout{52, 0x3fe6a09e667f3bcd, 0x1p52, 0x1p-1022};
}

}  // namespace

VectorMath::Split VectorMath::split(Value* x) {
  const Layout l = layout(is_f32(x));
  Value* is_small = b_.CreateFCmpOLT(x, constant(x, l.tiny));
  Value* scaled = b_.CreateSelect(is_small, b_.CreateFMul(x, constant(x, l.scale_up)), x);
  // Subtracting the bits of sqrt(1/2) makes the exponent field count from there.
  Value* k = b_.CreateAShr(b_.CreateSub(bits(scaled), whole(x, l.root)), whole(x, l.mantissa));
  Value* m = b_.CreateBitCast(b_.CreateSub(bits(scaled), b_.CreateShl(k, whole(x, l.mantissa))),
                              x->getType());
  k = b_.CreateSub(k, b_.CreateSelect(is_small, whole(x, l.mantissa), whole(x, 0)));
  return {to_float(k, x), b_.CreateFSub(m, constant(x, 1))};
}

Value* VectorMath::log_rest(Value* f) {
  Value* square = b_.CreateFMul(f, f);
  if (is_f32(f)) {
    static constexpr double kF32[] = {-0.5,           0x1.55554ap-2,  -0x1.00022p-2,
                                      0x1.99a596p-3,  -0x1.54788ep-3, 0x1.226e4p-3,
                                      -0x1.0ce05ep-3, 0x1.07d122p-3,  -0x1.41eeeap-4};
    return b_.CreateFMul(square, polynomial(f, kF32));
  }
  Value* s = b_.CreateFDiv(f, b_.CreateFAdd(f, constant(f, 2)));
  Value* z = b_.CreateFMul(s, s);
  Value* half = b_.CreateFMul(square, constant(f, 0.5));
  return fma(s, fma(z, polynomial(z, kArtanh), half), b_.CreateFNeg(half));
}

Value* VectorMath::log_of(Split s) {
  const bool f32 = is_f32(s.fraction);
  // The high part of ln2 times the exponent is exact.
  Value* high = constant(s.fraction, f32 ? 0x1.62e4p-1 : 0x1.62e42fefa38p-1);
  Value* low = constant(s.fraction, f32 ? 0x1.7f7d1cp-20 : 0x1.ef35793c7673p-45);
  Value* rest = fma(s.exponent, low, log_rest(s.fraction));
  return fma(s.exponent, high, b_.CreateFAdd(s.fraction, rest));
}

/// `result` but where x is infinite, 0, negative or NaN.
Value* VectorMath::log_edges(Value* x, Value* result) {
  result = b_.CreateSelect(b_.CreateFCmpOEQ(x, constant(x, HUGE_VAL)), x, result);
  result = b_.CreateSelect(b_.CreateFCmpOEQ(x, constant(x, 0)), constant(x, -HUGE_VAL), result);
  Value* bad = b_.CreateFCmpULT(x, constant(x, 0));  // negative or NaN
  return b_.CreateSelect(bad, constant(x, std::nan("")), result);
}

Value* VectorMath::log(Value* x) { return log_edges(x, log_of(split(x))); }

Value* VectorMath::log2(Value* x) {
  const bool f32 = is_f32(x);
  const Split s = split(x);
  Value* high = constant(x, f32 ? 0x1.715476p0 : 0x1.71547652b82fep0);
  Value* low = constant(x, f32 ? 0x1.4ae0cp-26 : 0x1.777d0ffda0d24p-56);
  Value* product = b_.CreateFMul(s.fraction, high);
  Value* lost = fma(s.fraction, high, b_.CreateFNeg(product));
  Value* rest = fma(log_rest(s.fraction), high, fma(s.fraction, low, lost));
  Value* sum = b_.CreateFAdd(s.exponent, product);
  Value* rounding = b_.CreateFSub(product, b_.CreateFSub(sum, s.exponent));
  return log_edges(x, b_.CreateFAdd(sum, b_.CreateFAdd(rounding, rest)));
}

Value* VectorMath::log1p(Value* x) {
  const Layout l = layout(is_f32(x));
  Value* one = constant(x, 1);
  Value* u = b_.CreateFAdd(x, one);
  Value* k = b_.CreateAShr(b_.CreateSub(bits(u), whole(x, l.root)), whole(x, l.mantissa));
  // 2^-k through 2^(2-k): of the largest x it is a denormal.
  Value* scale = b_.CreateFMul(power_of_two(b_.CreateSub(whole(x, 2), k), x), constant(x, 0.25));
  const Split s{to_float(k, x), fma(x, scale, b_.CreateFSub(scale, one))};
  Value* result = log_of(s);
  result = b_.CreateSelect(is_below(x, is_f32(x) ? 0x1p-26 : 0x1p-55), x, result);
  result = b_.CreateSelect(b_.CreateFCmpOEQ(x, constant(x, HUGE_VAL)), x, result);
  result = b_.CreateSelect(b_.CreateFCmpOEQ(x, constant(x, -1)), constant(x, -HUGE_VAL), result);
  Value* bad = b_.CreateFCmpULT(x, constant(x, -1));  // less or NaN
  return b_.CreateSelect(bad, constant(x, std::nan("")), result);
}

/// Of an f64 x > 0, finite.
VectorMath::Double VectorMath::log_double(Value* x) {
  const Split parts = split(x);
  Value *f = parts.fraction, *k = parts.exponent, *two = constant(x, 2);
  const auto add = [&](Value* a, Value* b) { return b_.CreateFAdd(a, b); };
  const auto sub = [&](Value* a, Value* b) { return b_.CreateFSub(a, b); };
  const auto mul = [&](Value* a, Value* b) { return b_.CreateFMul(a, b); };
  const auto neg = [&](Value* a) { return b_.CreateFNeg(a); };
  // s + s_low = f / (2 + f)
  Value *g = add(f, two), *g_low = add(sub(two, g), f);
  Value* inverse = b_.CreateFDiv(constant(x, 1), g);
  Value* s = mul(f, inverse);
  Value* s_low = mul(fma(neg(s), g_low, fma(neg(s), g, f)), inverse);
  // z + z_low = s^2
  Value* z = mul(s, s);
  Value* z_low = fma(add(s, s), s_low, fma(s, s, neg(z)));
  // a + a_low = 2/3 + z P(z), the last term below 1/50 of the first
  static constexpr double kTail[] = {
      0x1.999999999999ap-2, 0x1.249249249246fp-2, 0x1.c71c71c72274fp-3,
      0x1.745d174180435p-3, 0x1.3b13b3114cae6p-3, 0x1.111094633ac81p-3,
      0x1.e20b7cc07728cp-4, 0x1.aaec1a3bcaf8bp-4, 0x1.c31ab14251d6dp-4};
  Value* third = constant(x, 0x1.5555555555555p-1);
  Value* tail = mul(z, polynomial(z, kTail));
  Value* a = add(third, tail);
  Value* a_low = add(add(sub(third, a), tail), constant(x, 0x1.5555555555555p-55));
  // d + d_low = 2 + z (a + a_low)
  Value* b = mul(a, z);
  Value* b_low = fma(a, z_low, fma(a_low, z, fma(a, z, neg(b))));
  Value *d = add(two, b), *d_low = add(add(sub(two, d), b), b_low);
  // log(1 + f) = (s + s_low) (d + d_low)
  Value* m = mul(s, d);
  Value* m_low = fma(s, d_low, fma(s_low, d, fma(s, d, neg(m))));
  // + k ln2
  Value* k_high = mul(k, constant(x, 0x1.62e42fefa38p-1));  // exact
  Value* sum = add(k_high, m);
  Value* rest = fma(k, constant(x, 0x1.ef35793c7673p-45), m_low);
  rest = add(rest, sub(m, sub(sum, k_high)));
  Value* high = add(sum, rest);
  return {high, sub(rest, sub(high, sum))};
}

Value* VectorMath::pow_magnitude(Value* x, Value* y) {
  const Double l = log_double(x);
  Value *zero = constant(x, 0), *infinity = constant(x, HUGE_VAL);
  Value* high = b_.CreateSelect(b_.CreateFCmpOEQ(x, infinity), infinity, l.high);
  high = b_.CreateSelect(b_.CreateFCmpOEQ(x, zero), constant(x, -HUGE_VAL), high);
  Value* product = b_.CreateFMul(y, high);
  Value* low = fma(y, l.low, fma(y, high, b_.CreateFNeg(product)));
  // Beyond the range the low part means nothing, and may be NaN.
  Value* is_usual = is_below(product, 746);
  low = b_.CreateSelect(is_usual, low, zero);
  return scale(exp_parts(at_least(at_most(product, 710), -746), low));
}

Value* VectorMath::pow_magnitude_f32(Value* x, Value* y) {
  const Split parts = split(x);
  Value* f = parts.fraction;
  Value* s = b_.CreateFDiv(f, b_.CreateFAdd(f, constant(x, 2)));
  Value* z = b_.CreateFMul(s, s);
  static constexpr double kArtanh44[] = {0x1.555555561e29dp-1, 0x1.999996a99757fp-2,
                                         0x1.249411cad20b3p-2, 0x1.c62b2131bf791p-3,
                                         0x1.9114cd1d9b94ep-3};
  Value* m = b_.CreateFMul(s, fma(z, polynomial(z, kArtanh44), constant(x, 2)));
  Value* l = fma(m, constant(x, 0x1.71547652b82fep0), parts.exponent);
  l = b_.CreateSelect(b_.CreateFCmpOEQ(x, constant(x, HUGE_VAL)), x, l);
  l = b_.CreateSelect(b_.CreateFCmpOEQ(x, constant(x, 0)), constant(x, -HUGE_VAL), l);
  Value* product = at_least(at_most(b_.CreateFMul(y, l), 200), -200);
  const Rounded n = round_product(product, 1);
  Value* r = b_.CreateFSub(product, n.number);
  static constexpr double kExp2[] = {
      // degree 6: 2^-32
      0x1.62e4300b9e076p-1,  0x1.ebfbe0456fc71p-3,  0x1.c6b0551d24b12p-5, 0x1.3b2a1bf511017p-7,
      0x1.5dc0511ec7a1cp-10, 0x1.443f96c9cad9ep-13, 0x1.c0488f0b70a9cp-17};
  Value* power = fma(r, polynomial(r, kExp2), constant(x, 1));
  return b_.CreateFMul(power, power_of_two(n.integer, x));
}

/// C's special cases around |x|^y.
Value* VectorMath::pow_edges(Value* x, Value* y, Value* magnitude) {
  Value *zero = constant(x, 0), *one = constant(x, 1), *nan = constant(x, std::nan(""));
  const auto is_whole = [&](Value* v) {
    return b_.CreateFCmpOEQ(b_.CreateUnaryIntrinsic(llvm::Intrinsic::floor, v), v);
  };
  Value* result = b_.CreateSelect(b_.CreateFCmpOEQ(abs(x), one), one, magnitude);
  Value* y_is_whole = is_whole(y);  // infinities are, and even
  Value* is_odd =
      b_.CreateAnd(y_is_whole, b_.CreateNot(is_whole(b_.CreateFMul(y, constant(y, 0.5)))));
  Value* has_sign = b_.CreateICmpSLT(bits(x), whole(x, 0));
  result = b_.CreateSelect(b_.CreateAnd(has_sign, is_odd), b_.CreateFNeg(result), result);
  Value* is_negative = b_.CreateAnd(b_.CreateFCmpOLT(x, zero), is_below(x, HUGE_VAL));
  result = b_.CreateSelect(b_.CreateAnd(is_negative, b_.CreateNot(y_is_whole)), nan, result);
  result = b_.CreateSelect(b_.CreateFCmpUNO(x, y), nan, result);
  Value* is_one = b_.CreateOr(b_.CreateFCmpOEQ(x, one), b_.CreateFCmpOEQ(y, zero));
  return b_.CreateSelect(is_one, one, result);
}

Value* VectorMath::pow(Value* x, Value* y) {
  if (!is_f32(x)) return pow_edges(x, y, pow_magnitude(abs(x), y));
  Value *wide_x = widen(x), *wide_y = widen(y);
  return narrow(pow_edges(wide_x, wide_y, pow_magnitude_f32(abs(wide_x), wide_y)));
}

}  // namespace dlc
