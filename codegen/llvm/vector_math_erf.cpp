// The error function and its complement. All polynomials are minimax (Remez exchange in 60 digits).
//
// erf f32:  x + x P(x^2) up to 1, P of degree 6 (2^-29.7); beyond 1 - e^(-t Q(t)), t = |x|, with Q
// of
//           degree 6 for log(erfc(t))/-t (2^-30 of the result). At 3.95 the result is 1.
// erf f64:  x + x P(x^2) up to 1, P of degree 12 (2^-62.8); beyond 1 - erfc.
// erfc:     e^(-t^2) F(q) / (1 + 2t) with q = (t - K)/(t + K), which maps all of t >= 0 into
//           [-1, 1), where (1 + 2t) e^(t^2) erfc(t) is almost a straight line (the form of Shepherd
//           and Laframboise, Math. Comp. 36, 1981). f64: K = 3.5, F of degree 22 on [3/8, 28]
//           (2^-58.9), t^2 in two parts, 1 - erf(x) below 1/2. f32: in f64, K = 2, degree 12
//           (2^-31.8).
#include "codegen/llvm/vector_math.h"

namespace dlc {

using llvm::Value;

/// |x| <= 1.
Value* VectorMath::erf_near(Value* x) {
  Value* z = b_.CreateFMul(x, x);
  static constexpr double kF32[] = {0x1.06eba8p-3, -0x1.81273ep-2, 0x1.ce2d2p-4,  -0x1.b7fbb4p-6,
                                    0x1.5419f2p-8, -0x1.a485dp-11, 0x1.4ae484p-14};
  static constexpr double kF64[] = {
      0x1.06eba8214db69p-3,  -0x1.812746b0379e6p-2,  0x1.ce2f21a042b34p-4,  -0x1.b82ce31284f38p-6,
      0x1.565bcd0dbd920p-8,  -0x1.c02db3db49905p-11, 0x1.f9a321e4be396p-14, -0x1.f4d1e4355e24ep-17,
      0x1.b9df3066e20fdp-20, -0x1.5f1f41608c1f8p-23, 0x1.f7b9a24bdfabcp-27, -0x1.38ac32d8ed0aep-30,
      0x1.0627890b92f0cp-34,
  };
  return fma(x, is_f32(x) ? polynomial(z, kF32) : polynomial(z, kF64), x);
}

Value* VectorMath::erf(Value* x) {
  const bool f32 = is_f32(x);
  Value *one = constant(x, 1), *t = at_most(abs(x), f32 ? 4 : 6), *complement;
  if (f32) {
    static constexpr double kF32[] = {0x1.20ee5cp+0, 0x1.4538aep-1,   0x1.b2d3d6p-4, -0x1.843640p-6,
                                      0x1.d93730p-9, -0x1.4a27aap-12, 0x1.5e1620p-17};
    const Scaled e = exp_parts(b_.CreateFNeg(b_.CreateFMul(t, polynomial(t, kF32))));
    complement = b_.CreateFMul(e.mantissa, power_of_two(e.exponent, x));
  } else {
    complement = erfc_far(t);
  }
  Value* far = copysign(b_.CreateFSub(one, complement), x);
  return b_.CreateSelect(is_below(x, 1), erf_near(x), far);
}

/// f64, 3/8 <= t.
Value* VectorMath::erfc_far(Value* t) {
  static constexpr double kF[] = {
      0x1.3e0a99a0ee914p+0,   -0x1.1ebd220ea593dp-3,  -0x1.59e2c284b1116p-7,
      0x1.8f702ec6b349ep-4,   -0x1.d76830c353983p-4,  0x1.686106046b505p-4,
      -0x1.8ff5ef76b7917p-5,  0x1.38ec667217c12p-6,   -0x1.143c4cb290dc5p-8,
      -0x1.3cf36be6afe71p-12, 0x1.27e667b9e5c1ap-11,  -0x1.fda8d31c2e11fp-14,
      -0x1.66e30d309e0ffp-15, 0x1.9705bcac8500cp-16,  0x1.38b03a04386b4p-19,
      -0x1.ffcc59381b992p-19, -0x1.953fd1042cf87p-25, 0x1.414bbec972bb1p-21,
      -0x1.1ca34e71ed594p-28, -0x1.89c2c1733ed8ap-24, -0x1.2963a9c8f088ap-29,
      0x1.55d637c70cd0ap-27,  0x1.d2ee1f862af21p-31,
  };
  Value* square = b_.CreateFMul(t, t);
  Value* lost = fma(t, t, b_.CreateFNeg(square));
  Value* q = b_.CreateFDiv(b_.CreateFSub(t, constant(t, 3.5)), b_.CreateFAdd(t, constant(t, 3.5)));
  Scaled e = exp_parts(b_.CreateFNeg(square), b_.CreateFNeg(lost));
  e.mantissa = b_.CreateFDiv(b_.CreateFMul(e.mantissa, polynomial(q, kF)),
                             fma(t, constant(t, 2), constant(t, 1)));
  return scale(e);
}

/// An f32 x in f64.
Value* VectorMath::erfc_for_f32(Value* x) {
  static constexpr double kExp[] = {
      0x1.000000005ffdcp-1,  0x1.5555557e7b542p-3,  0x1.55555419134d9p-5, 0x1.1110a12cb3f2bp-7,
      0x1.6c18d95628f3bp-10, 0x1.a1875757660a9p-13, 0x1.9e869199cbbe3p-16};
  static constexpr double kF[] = {
      0x1.46e80e23858d2p+0,   -0x1.7bf5ec9712f8ap-4,  -0x1.5407c31354ea1p-3, 0x1.4ffa279efe605p-3,
      -0x1.bc2a1786e37fcp-5,  -0x1.0747274b997d0p-7,  0x1.1da14306cf805p-7,  0x1.4d62874f9a259p-10,
      -0x1.77f755dbd209bp-10, -0x1.d19c994abaf88p-12, 0x1.5f75d64e7be81p-13, 0x1.e3f260fb1aa12p-14,
      0x1.2118434a98d45p-16,
  };
  Value *t = at_most(abs(x), 10.25), *one = constant(x, 1), *k = constant(x, 2);
  Value* power = b_.CreateFNeg(b_.CreateFMul(t, t));  // exact
  const Rounded n = round_product(power, 0x1.71547652b82fep0);
  Value* r = fma(n.number, constant(x, -0x1.62e42fefa39efp-1), power);
  Value* e = fma(r, fma(r, polynomial(r, kExp), one), one);
  // One division serves both quotients.
  Value *sum = b_.CreateFAdd(t, k), *line = fma(t, k, one);
  Value* inverse = b_.CreateFDiv(one, b_.CreateFMul(sum, line));
  Value* q = b_.CreateFMul(b_.CreateFMul(b_.CreateFSub(t, k), line), inverse);
  Value* f = b_.CreateFMul(polynomial(q, kF), b_.CreateFMul(sum, inverse));
  Value* result = b_.CreateFMul(b_.CreateFMul(e, f), power_of_two(n.integer, x));
  return b_.CreateSelect(b_.CreateFCmpOLT(x, constant(x, 0)), b_.CreateFSub(k, result), result);
}

Value* VectorMath::erfc(Value* x) {
  if (is_f32(x)) return narrow(erfc_for_f32(widen(x)));
  Value* far = erfc_far(at_most(abs(x), 28));
  Value* is_negative = b_.CreateFCmpOLT(x, constant(x, 0));
  far = b_.CreateSelect(is_negative, b_.CreateFSub(constant(x, 2), far), far);
  Value* near = b_.CreateFSub(constant(x, 1), erf_near(x));
  return b_.CreateSelect(is_below(x, 0.5), near, far);
}

}  // namespace dlc
