// exp:  x = n ln2 + r with |r| <= ln2/2; e^r by its Taylor polynomial, whose rest is below half a
// unit; 2^n by exponent bits,
//       in two factors so that denormal results and the largest ones come out right.
// log:  x = 2^e m with m in [sqrt(1/2), sqrt(2)); log m = 2 artanh(s), s = (m - 1)/(m + 1), in
// powers of s^2 (fdlibm's
//       arrangement, which keeps the rounding error of s out of the leading term).
// tanh: a polynomial (f32) or rational function (f64) below 0.625 (Cephes), 1 - 2/(e^2x + 1) above.
#include "codegen/llvm/vector_math.h"

#include <llvm/IR/Intrinsics.h>
#include <llvm/IR/Module.h>

#include <cmath>
#include <string>

namespace dlc {

using llvm::Value;

Value* VectorMath::constant(Value* like, double v) {
  return llvm::ConstantFP::get(like->getType(), v);
}

Value* VectorMath::fma(Value* x, Value* y, Value* z) {
  return b_.CreateIntrinsic(llvm::Intrinsic::fma, {x->getType()}, {x, y, z});
}

Value* VectorMath::polynomial(Value* x, llvm::ArrayRef<double> c) {
  Value* sum = constant(x, c.back());
  for (std::size_t k = c.size() - 1; k-- > 0;) sum = fma(sum, x, constant(x, c[k]));
  return sum;
}

llvm::Type* VectorMath::integer_like(Value* x) {
  llvm::Type* t = is_f32(x) ? b_.getInt32Ty() : b_.getInt64Ty();
  if (auto* v = llvm::dyn_cast<llvm::VectorType>(x->getType()))
    return llvm::VectorType::get(t, v->getElementCount());
  return t;
}

/// 2^n for an integer n whose biased exponent is in range.
Value* VectorMath::power_of_two(Value* n, Value* like) {
  llvm::Type* t = n->getType();
  const bool f32 = is_f32(like);
  Value* biased = b_.CreateAdd(n, llvm::ConstantInt::get(t, f32 ? 127 : 1023));
  return b_.CreateBitCast(b_.CreateShl(biased, llvm::ConstantInt::get(t, f32 ? 23 : 52)),
                          like->getType());
}

Value* VectorMath::exp(Value* x) {
  const bool f32 = is_f32(x);
  // Beyond these the result is infinity or zero; a comparison with NaN is false, so NaN passes.
  const double hi = f32 ? 89.0 : 710.0, lo = f32 ? -104.0 : -746.0;
  Value* clamped = b_.CreateSelect(b_.CreateFCmpOGT(x, constant(x, hi)), constant(x, hi), x);
  clamped = b_.CreateSelect(b_.CreateFCmpOLT(clamped, constant(x, lo)), constant(x, lo), clamped);
  // Adding 1.5 * 2^mantissa rounds to a whole number and leaves it in the low bits.
  Value* magic = constant(x, f32 ? 0x1.8p23 : 0x1.8p52);
  Value* shifted = fma(clamped, constant(x, 1.4426950408889634), magic);
  Value* n = b_.CreateFSub(shifted, magic);
  llvm::Type* integer = integer_like(x);
  Value* whole = b_.CreateSub(b_.CreateBitCast(shifted, integer), b_.CreateBitCast(magic, integer));
  Value* r = fma(n, constant(x, f32 ? -0x1.62e4p-1 : -0x1.62e42feep-1), clamped);
  r = fma(n, constant(x, f32 ? -0x1.7f7d1cp-20 : -0x1.a39ef35793c76p-33), r);
  static constexpr double kTaylor[] = {1,
                                       1,
                                       1.0 / 2,
                                       1.0 / 6,
                                       1.0 / 24,
                                       1.0 / 120,
                                       1.0 / 720,
                                       1.0 / 5040,
                                       1.0 / 40320,
                                       1.0 / 362880,
                                       1.0 / 3628800,
                                       1.0 / 39916800,
                                       1.0 / 479001600,
                                       1.0 / 6227020800.0};
  Value* p = polynomial(r, llvm::ArrayRef<double>(kTaylor, f32 ? 8 : 14));
  Value* half = b_.CreateAShr(whole, llvm::ConstantInt::get(integer, 1));
  Value* rest = b_.CreateSub(whole, half);
  return b_.CreateFMul(b_.CreateFMul(p, power_of_two(half, x)), power_of_two(rest, x));
}

Value* VectorMath::log(Value* x) {
  const bool f32 = is_f32(x);
  llvm::Type* integer = integer_like(x);
  const auto whole = [&](std::uint64_t v) { return llvm::ConstantInt::get(integer, v); };
  // Denormals are scaled up first.
  Value* is_small = b_.CreateFCmpOLT(x, constant(x, f32 ? 0x1p-126 : 0x1p-1022));
  Value* scaled =
      b_.CreateSelect(is_small, b_.CreateFMul(x, constant(x, f32 ? 0x1p23 : 0x1p52)), x);
  Value* bits = b_.CreateBitCast(scaled, integer);
  const int mantissa = f32 ? 23 : 52;
  // Subtracting the bits of sqrt(1/2) makes the exponent field count from there.
  const std::uint64_t root = f32 ? 0x3f3504f3u : 0x3fe6a09e667f3bcdull;
  Value* above = b_.CreateSub(bits, whole(root));
  Value* e = b_.CreateAShr(above, whole(static_cast<std::uint64_t>(mantissa)));
  Value* m = b_.CreateBitCast(
      b_.CreateSub(bits, b_.CreateShl(e, whole(static_cast<std::uint64_t>(mantissa)))),
      x->getType());
  e = b_.CreateSub(
      e, b_.CreateSelect(is_small, whole(static_cast<std::uint64_t>(mantissa)), whole(0)));
  Value* k = b_.CreateSIToFP(e, x->getType());
  Value* f = b_.CreateFSub(m, constant(x, 1));
  Value* s = b_.CreateFDiv(f, b_.CreateFAdd(f, constant(x, 2)));
  Value* z = b_.CreateFMul(s, s);
  static constexpr double kOdd[] = {2.0 / 3,  2.0 / 5,  2.0 / 7,  2.0 / 9,  2.0 / 11,
                                    2.0 / 13, 2.0 / 15, 2.0 / 17, 2.0 / 19, 2.0 / 21};
  Value* r = b_.CreateFMul(z, polynomial(z, llvm::ArrayRef<double>(kOdd, f32 ? 4 : 10)));
  Value* half_square = b_.CreateFMul(b_.CreateFMul(constant(x, 0.5), f), f);
  // k ln2 + f - (f^2/2 - s (f^2/2 + R)), the small parts first
  Value* low = b_.CreateFMul(s, b_.CreateFAdd(half_square, r));
  low = fma(k, constant(x, f32 ? 0x1.7f7d1cp-20 : 0x1.a39ef35793c76p-33), low);
  Value* result = b_.CreateFSub(f, b_.CreateFSub(half_square, low));
  result = fma(k, constant(x, f32 ? 0x1.62e4p-1 : 0x1.62e42feep-1), result);
  result = b_.CreateSelect(b_.CreateFCmpOEQ(x, constant(x, HUGE_VAL)), x, result);
  result = b_.CreateSelect(b_.CreateFCmpOEQ(x, constant(x, 0)), constant(x, -HUGE_VAL), result);
  Value* bad = b_.CreateFCmpULT(x, constant(x, 0));  // negative or NaN
  return b_.CreateSelect(bad, constant(x, std::nan("")), result);
}

Value* VectorMath::tanh(Value* x) {
  Value* magnitude = b_.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, x);
  Value* z = b_.CreateFMul(x, x);
  Value* near_zero;
  if (is_f32(x)) {
    near_zero = polynomial(z, {-3.33332819422e-1, 1.33314422036e-1, -5.37397155531e-2,
                               2.06390887954e-2, -5.70498872745e-3});
  } else {
    Value* p = polynomial(
        z, {-1.61468768441708447952e3, -9.92877231001918586564e1, -9.64399179425052238628e-1});
    Value* q = polynomial(
        z, {4.84406305325125486048e3, 2.23548839060100448583e3, 1.12811678491632931402e2, 1.0});
    near_zero = b_.CreateFDiv(p, q);
  }
  near_zero = fma(b_.CreateFMul(x, z), near_zero, x);
  Value* e = exp(b_.CreateFAdd(magnitude, magnitude));
  Value* far = b_.CreateFSub(constant(x, 1),
                             b_.CreateFDiv(constant(x, 2), b_.CreateFAdd(e, constant(x, 1))));
  far = b_.CreateBinaryIntrinsic(llvm::Intrinsic::copysign, far, x);
  // NaN takes the first choice, which keeps it.
  return b_.CreateSelect(b_.CreateFCmpUGE(magnitude, constant(x, 0.625)), far, near_zero);
}

Value* VectorMath::sigmoid(Value* x) {
  // e^-|x| never overflows: results down to the smallest denormal come out.
  Value* magnitude = b_.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, x);
  Value *e = exp(b_.CreateFNeg(magnitude)), *one = constant(x, 1);
  Value* numerator = b_.CreateSelect(b_.CreateFCmpOLT(x, constant(x, 0)), e, one);
  return b_.CreateFDiv(numerator, b_.CreateFAdd(one, e));
}

Value* VectorMath::remainder(Value* x, Value* y) {
  Value *rest = library("fmod", {x, y}), *zero = constant(x, 0);
  Value* other_sign = b_.CreateXor(b_.CreateFCmpOLT(rest, zero), b_.CreateFCmpOLT(y, zero));
  Value* adjust = b_.CreateAnd(b_.CreateFCmpONE(rest, zero), other_sign);
  return b_.CreateSelect(adjust, b_.CreateFAdd(rest, y), rest);
}

Value* VectorMath::library(const char* name, llvm::ArrayRef<Value*> arguments) {
  Value* x = arguments[0];
  llvm::Type* element = x->getType()->getScalarType();
  const std::string symbol = is_f32(x) ? std::string(name) + "f" : std::string(name);
  std::vector<llvm::Type*> types(arguments.size(), element);
  llvm::Module* module = b_.GetInsertBlock()->getModule();
  const llvm::FunctionCallee f =
      module->getOrInsertFunction(symbol, llvm::FunctionType::get(element, types, false));
  auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(x->getType());
  if (!vector) return b_.CreateCall(f, arguments);
  Value* result = llvm::PoisonValue::get(vector);
  for (unsigned lane = 0; lane < vector->getNumElements(); ++lane) {
    std::vector<Value*> scalars;
    for (Value* a : arguments) scalars.push_back(b_.CreateExtractElement(a, lane));
    result = b_.CreateInsertElement(result, b_.CreateCall(f, scalars), lane);
  }
  return result;
}

}  // namespace dlc
