// Exponentials and what is made of them. The polynomials are minimax in the weight of the result's
// relative error (Remez exchange in 60 digits, then rounded to the type).
//
// exp:     x = n ln2 + r with |r| <= ln2/2; e^r = 1 + r (1 + r Q(r)), Q of degree 4 (f32, error
//          2^-28) or 11 (f64, 2^-70); 2^n by exponent bits, in two factors so that denormal results
//          and the largest ones come out right.
// exp2:    x = n + r with |r| <= 1/2, both exact; 2^r = 1 + r P(r), P of degree 5 (2^-28.5), 12
//          (2^-68).
// expm1:   the reduction of exp with what its rounding loses in `low`; e^r - 1 = r + r^2 Q(r) +
// low,
//          Q of degree 5 (2^-32), 11 (2^-68); 2^n (e^r - 1) + (2^n - 1) in one fma, halved so that
//          2^128 does not arise.
// tanh:    x + x^3 P(x^2) below 0.625, P of degree 4 (2^-28), 12 (2^-66); 1 - 2/(e^2x + 1) above.
// sigmoid: 1/(1 + e^-x), or e^x/(1 + e^x) for x < 0, where no e^|x| overflows.
#include <cmath>

#include "codegen/llvm/vector_math.h"

namespace dlc {

using llvm::Value;

/// e^(x + low) for x where the exponent stays within twice the range of normal numbers.
VectorMath::Scaled VectorMath::exp_parts(Value* x, Value* low) {
  const bool f32 = is_f32(x);
  const Rounded n = round_product(x, 0x1.71547652b82fep0);
  // The high part of ln2 times n is exact.
  Value* r = fma(n.number, constant(x, f32 ? -0x1.62e4p-1 : -0x1.62e42fefa38p-1), x);
  r = fma(n.number, constant(x, f32 ? -0x1.7f7d1cp-20 : -0x1.ef35793c7673p-45), r);
  static constexpr double kF32[] = {0x1.fffffcp-2, 0x1.55549p-3, 0x1.5558fcp-5, 0x1.123b7ep-7,
                                    0x1.6a21bcp-10};
  static constexpr double kF64[] = {
      0.5,
      0x1.5555555555555p-3,
      0x1.555555555555bp-5,
      0x1.11111111110ebp-7,
      0x1.6c16c16c14189p-10,
      0x1.a01a01a02cc71p-13,
      0x1.a01a01b0f78e0p-16,
      0x1.71de3a130a32bp-19,
      0x1.27e4c5df54636p-22,
      0x1.ae6523dc8eeefp-26,
      0x1.1f9436a3dd950p-29,
      0x1.607bdb2c4894ap-33,
  };
  Value* q = f32 ? polynomial(r, kF32) : polynomial(r, kF64);
  Value *one = constant(x, 1), *slope = fma(r, q, one);
  if (!low) return {fma(r, slope, one), n.integer};
  // e^(r + low) = e^r + low e^r
  Value* excess = b_.CreateFMul(r, slope);
  excess = fma(low, b_.CreateFAdd(one, excess), excess);
  return {b_.CreateFAdd(one, excess), n.integer};
}

Value* VectorMath::scale(Scaled s) {
  Value* half = b_.CreateAShr(s.exponent, whole(s.exponent, 1));
  Value* rest = b_.CreateSub(s.exponent, half);
  return b_.CreateFMul(b_.CreateFMul(s.mantissa, power_of_two(half, s.mantissa)),
                       power_of_two(rest, s.mantissa));
}

/// Beyond the upper bound the result is infinity. At the lower one both factors of scale() are zero
/// by their bits: a product that is too small to be kept would take the processor hundreds of
/// cycles, and what an attention mask hides are many of those.
Value* VectorMath::exp(Value* x) {
  const bool f32 = is_f32(x);
  return scale(exp_parts(at_least(at_most(x, f32 ? 89 : 710), f32 ? -176 : -1418)));
}

Value* VectorMath::exp2(Value* x) {
  const bool f32 = is_f32(x);
  Value* clamped = at_least(at_most(x, f32 ? 128 : 1024), f32 ? -254 : -2046);
  const Rounded n = round_product(clamped, 1);
  Value* r = b_.CreateFSub(clamped, n.number);
  static constexpr double kF32[] = {0x1.62e432p-1, 0x1.ebfbe2p-3,  0x1.c6ae72p-5,
                                    0x1.3b270ep-7, 0x1.5f7276p-10, 0x1.470ae6p-13};
  static constexpr double kF64[] = {
      0x1.62e42fefa39efp-1,  0x1.ebfbdff82c58fp-3,  0x1.c6b08d704a0c1p-5,  0x1.3b2ab6fba4e7bp-7,
      0x1.5d87fe78a6246p-10, 0x1.430912f86ac77p-13, 0x1.ffcbfc5aa814cp-17, 0x1.62c02245f98c3p-20,
      0x1.b525362d220b5p-24, 0x1.e4cf03da4daa7p-28, 0x1.e8e1449c75d8ep-32, 0x1.c4b5828820a4bp-36,
      0x1.66166e744dbb3p-40,
  };
  Value* p = f32 ? polynomial(r, kF32) : polynomial(r, kF64);
  return scale({fma(r, p, constant(x, 1)), n.integer});
}

Value* VectorMath::expm1(Value* x) {
  const bool f32 = is_f32(x);
  Value* clamped = at_least(at_most(x, f32 ? 89 : 710), f32 ? -20 : -40);
  const Rounded n = round_product(clamped, 0x1.71547652b82fep0);
  Value* high = fma(n.number, constant(x, f32 ? -0x1.62e4p-1 : -0x1.62e42fefa38p-1), clamped);
  Value* lost = b_.CreateFMul(n.number, constant(x, f32 ? 0x1.7f7d1cp-20 : 0x1.ef35793c7673p-45));
  Value* r = b_.CreateFSub(high, lost);
  Value* low = b_.CreateFSub(b_.CreateFSub(high, r), lost);
  low = fma(low, r, low);
  static constexpr double kF32[] = {0.5,           0x1.555556p-3,  0x1.5554acp-5,
                                    0x1.11108ep-7, 0x1.6d766ep-10, 0x1.a1a3b2p-13};
  static constexpr double kF64[] = {
      0.5,
      0x1.5555555555555p-3,
      0x1.5555555555559p-5,
      0x1.1111111111114p-7,
      0x1.6c16c16c14cddp-10,
      0x1.a01a01a017c37p-13,
      0x1.a01a01adf7c17p-16,
      0x1.71de3a61b7bfdp-19,
      0x1.27e4cb9a97efap-22,
      0x1.ae6411357d4a0p-26,
      0x1.1f8c17db6108cp-29,
      0x1.61e6d1fb694bbp-33,
  };
  Value* q = f32 ? polynomial(r, kF32) : polynomial(r, kF64);
  Value* p = b_.CreateFAdd(r, fma(b_.CreateFMul(r, r), q, low));
  Value* scale = power_of_two(b_.CreateSub(n.integer, whole(n.integer, 1)), x);
  Value* half = fma(scale, p, b_.CreateFSub(scale, constant(x, 0.5)));
  // Halves of the smallest would lose bits, and -0 its sign.
  return b_.CreateSelect(is_below(x, f32 ? 0x1p-25 : 0x1p-54), x, b_.CreateFAdd(half, half));
}

Value* VectorMath::tanh(Value* x) {
  const bool f32 = is_f32(x);
  Value *magnitude = abs(x), *z = b_.CreateFMul(x, x), *one = constant(x, 1);
  static constexpr double kF32[] = {-0x1.555534p-2, 0x1.110768p-3, -0x1.b8444ap-5, 0x1.5256dcp-6,
                                    -0x1.76ac26p-8};
  static constexpr double kF64[] = {
      -0x1.5555555555555p-2,  0x1.11111111110d4p-3,  -0x1.ba1ba1ba175e3p-5,  0x1.664f48818d70bp-6,
      -0x1.226e352b360dbp-7,  0x1.d6d3c5e67457fp-9,  -0x1.7da29823b4eaep-10, 0x1.354dca5038829p-11,
      -0x1.f4bf2ba0f0ed5p-13, 0x1.91a5c1d1f426fp-14, -0x1.335adc4bc6b04p-15, 0x1.8c2e6d21853bfp-17,
      -0x1.319380df1a749p-19,
  };
  Value* near = fma(b_.CreateFMul(x, z), f32 ? polynomial(z, kF32) : polynomial(z, kF64), x);
  // From 10 (20) the result is 1.
  Value* bounded = at_most(magnitude, f32 ? 10 : 20);
  const Scaled e = exp_parts(b_.CreateFAdd(bounded, bounded));
  Value* denominator = fma(e.mantissa, power_of_two(e.exponent, x), one);
  Value* far = b_.CreateFSub(one, b_.CreateFDiv(constant(x, 2), denominator));
  // NaN takes the first choice, which keeps it; -0 would lose its sign in the polynomial.
  Value* is_far = b_.CreateFCmpUGE(magnitude, constant(x, 0.625));
  return copysign(b_.CreateSelect(is_far, far, near), x);
}

Value* VectorMath::sigmoid(Value* x) {
  Value *e = exp(b_.CreateFNeg(abs(x))), *one = constant(x, 1);
  Value* numerator = b_.CreateSelect(b_.CreateFCmpOLT(x, constant(x, 0)), e, one);
  return b_.CreateFDiv(numerator, b_.CreateFAdd(one, e));
}

}  // namespace dlc
