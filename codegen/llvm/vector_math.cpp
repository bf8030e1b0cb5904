// The pieces that the functions are made of, and the roots.
//
// rsqrt: one division of the correctly rounded root: 1.5 units at most.
// cbrt:  y = a^(-1/3) from the exponent bits over 3 (10 % of y^3 at most), then two (f32) or three
//        (f64) steps y += y h (1/3 + 2/9 h) with h = 1 - a y^3, which leave 0.52 h^3 of h. A last
//        step on t = a y^2 with t^3 in two pieces brings the error close to half a unit. No
//        division.
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

Value* VectorMath::whole(Value* like, std::uint64_t v) {
  llvm::Type* t = like->getType();
  return llvm::ConstantInt::get(t->isIntOrIntVectorTy() ? t : integer_like(like), v, false, true);
}

Value* VectorMath::fma(Value* x, Value* y, Value* z) {
  return b_.CreateIntrinsic(llvm::Intrinsic::fma, {x->getType()}, {x, y, z});
}

Value* VectorMath::abs(Value* x) { return b_.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, x); }

Value* VectorMath::copysign(Value* magnitude, Value* sign) {
  return b_.CreateBinaryIntrinsic(llvm::Intrinsic::copysign, magnitude, sign);
}

Value* VectorMath::polynomial(Value* x, llvm::ArrayRef<double> c) {
  Value* sum = constant(x, c.back());
  for (std::size_t k = c.size() - 1; k-- > 0;) sum = fma(sum, x, constant(x, c[k]));
  return sum;
}

// A comparison with NaN is false.
Value* VectorMath::at_most(Value* x, double bound) {
  return b_.CreateSelect(b_.CreateFCmpOGT(x, constant(x, bound)), constant(x, bound), x);
}
Value* VectorMath::at_least(Value* x, double bound) {
  return b_.CreateSelect(b_.CreateFCmpOLT(x, constant(x, bound)), constant(x, bound), x);
}
Value* VectorMath::is_below(Value* x, double bound) {
  return b_.CreateFCmpOLT(abs(x), constant(x, bound));
}

llvm::Type* VectorMath::integer_like(Value* x) {
  llvm::Type* t = is_f32(x) ? b_.getInt32Ty() : b_.getInt64Ty();
  if (auto* v = llvm::dyn_cast<llvm::VectorType>(x->getType()))
    return llvm::VectorType::get(t, v->getElementCount());
  return t;
}

Value* VectorMath::bits(Value* x) { return b_.CreateBitCast(x, integer_like(x)); }

/// 2^n for an integer n whose biased exponent is in range.
Value* VectorMath::power_of_two(Value* n, Value* like) {
  const bool f32 = is_f32(like);
  Value* biased = b_.CreateAdd(n, whole(n, f32 ? 127 : 1023));
  return b_.CreateBitCast(b_.CreateShl(biased, whole(n, f32 ? 23 : 52)), like->getType());
}

// Adding 1.5 * 2^mantissa rounds to a whole number and leaves it in the low bits.
static double magic(bool f32) { return f32 ? 0x1.8p23 : 0x1.8p52; }

VectorMath::Rounded VectorMath::round_product(Value* x, double y) {
  Value* m = constant(x, magic(is_f32(x)));
  Value* shifted = y == 1 ? b_.CreateFAdd(x, m) : fma(x, constant(x, y), m);
  return {b_.CreateFSub(shifted, m), b_.CreateSub(bits(shifted), bits(m))};
}

Value* VectorMath::to_float(Value* integer, Value* like) {
  if (is_f32(like)) return b_.CreateSIToFP(integer, like->getType());
  Value* m = constant(like, magic(false));  // AVX2 has no conversion from i64
  Value* shifted = b_.CreateBitCast(b_.CreateAdd(integer, bits(m)), like->getType());
  return b_.CreateFSub(shifted, m);
}

Value* VectorMath::widen(Value* x) {
  return b_.CreateFPExt(x, x->getType()->getWithNewType(b_.getDoubleTy()));
}
Value* VectorMath::narrow(Value* x) {
  return b_.CreateFPTrunc(x, x->getType()->getWithNewType(b_.getFloatTy()));
}

Value* VectorMath::rsqrt(Value* x) {
  return b_.CreateFDiv(constant(x, 1), b_.CreateUnaryIntrinsic(llvm::Intrinsic::sqrt, x));
}

Value* VectorMath::cbrt(Value* x) {
  const bool f32 = is_f32(x);
  // Small numbers are scaled by a power of 8, so that the residuals below are no denormals.
  Value* is_small = is_below(x, f32 ? 0x1p-60 : 0x1p-500);
  Value* magnitude = abs(x);
  Value* a = b_.CreateSelect(
      is_small, b_.CreateFMul(magnitude, constant(x, f32 ? 0x1p66 : 0x1p600)), magnitude);
  Value* y;
  if (f32) {
    Value* third = b_.CreateFMul(b_.CreateSIToFP(bits(a), x->getType()), constant(x, 1.0 / 3));
    y = b_.CreateSub(whole(x, 0x54a1f000), b_.CreateFPToSI(third, integer_like(x)));
  } else {
    Value* upper = b_.CreateLShr(bits(a), whole(x, 32));
    Value* third = b_.CreateLShr(b_.CreateMul(upper, whole(x, 0x55555556)), whole(x, 32));
    y = b_.CreateShl(b_.CreateSub(whole(x, 0x553ee8ab), third), whole(x, 32));
  }
  y = b_.CreateBitCast(y, x->getType());
  for (int step = 0; step < (f32 ? 2 : 3); ++step) {
    Value* h = fma(b_.CreateFNeg(b_.CreateFMul(a, y)), b_.CreateFMul(y, y), constant(x, 1));
    y = fma(b_.CreateFMul(y, h), fma(h, constant(x, 2.0 / 9), constant(x, 1.0 / 3)), y);
  }
  Value* square = b_.CreateFMul(y, y);
  Value* t = b_.CreateFMul(a, square);
  Value* t2 = b_.CreateFMul(t, t);
  Value* t2_low = fma(t, t, b_.CreateFNeg(t2));
  Value* excess = fma(t2_low, t, fma(t2, t, b_.CreateFNeg(a)));  // t^3 - a
  t = fma(b_.CreateFNeg(excess), b_.CreateFMul(square, constant(x, 1.0 / 3)), t);
  t = b_.CreateSelect(is_small, b_.CreateFMul(t, constant(x, f32 ? 0x1p-22 : 0x1p-200)), t);
  return b_.CreateSelect(is_below(x, HUGE_VAL), copysign(t, x), x);
}

Value* VectorMath::remainder(Value* x, Value* y) {
  Value *rest = library("fmod", {x, y}), *zero = constant(x, 0);
  Value* other_sign = b_.CreateXor(b_.CreateFCmpOLT(rest, zero), b_.CreateFCmpOLT(y, zero));
  Value* adjust = b_.CreateAnd(b_.CreateFCmpONE(rest, zero), other_sign);
  return b_.CreateSelect(adjust, b_.CreateFAdd(rest, y), rest);
}

/// A function of the C library by its f64 name, lane by lane.
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
