// Sine and cosine. x = n pi/2 + r + c with |r| <= pi/4 and a little; by n mod 4 the result is the
// sine or cosine of r + c, or its negative:
//
//   sin r = r + r z S(z), z = r^2, S of degree 2 (f32, minimax, 2^-27.8) or 5 (f64, 2^-57.6)
//   cos r = 1 + z (-1/2 + z C(z)),  C of degree 2 (2^-33) or 5 (2^-63.8)
//
// Reduction up to |x| = 2^16 (f32) or 2^30 (f64): n = round(2x/pi); pi/2 in three parts of full
// precision (Cody and Waite with fma: x minus n times the first part is exact), the last rounding
// in c.
//
// Beyond, in a function that is called when any lane needs it (Payne and Hanek): x = M 2^E with
// M < 2^53, and of the binary digits of 2/pi only those that do not make multiples of 4 with 2^E:
// six 32-bit words from there. The product with M modulo 4 is a fixed-point number with 2 + 126
// bits in integer arithmetic; no x is closer to a multiple of pi/2 than 2^-62, so 64 bits are left.
#include <llvm/IR/Intrinsics.h>
#include <llvm/IR/MDBuilder.h>
#include <llvm/IR/Module.h>

#include <cmath>
#include <string>

#include "codegen/llvm/vector_math.h"

namespace dlc {

using llvm::Value;

namespace {

/// 2/pi in words of 32 bits, after two zeros that the least exponents start with.
constexpr std::uint32_t kTwoOverPi[] = {
    0x00000000, 0x00000000, 0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0, 0xdb629599, 0x3c439041,
    0xfe5163ab, 0xdebbc561, 0xb7246e3a, 0x424dd2e0, 0x06492eea, 0x09d1921c, 0xfe1deb1c, 0xb129a73e,
    0xe88235f5, 0x2ebb4484, 0xe99c7026, 0xb45f7e41, 0x3991d639, 0x835339f4, 0x9c845f8b, 0xbdf9283b,
    0x1ff897ff, 0xde05980f, 0xef2f118b, 0x5a0a6d1f, 0x6d367ecf, 0x27cb09b7, 0x4f463f66, 0x9e5fea2d,
    0x7527bac7, 0xebe5f17b, 0x3d0739f7, 0x8a5292ea, 0x6bfb5fb1, 0x1f8d5d08, 0x56033046,
};
constexpr int kWords = 7;  // that one product looks at

double largest_simple(bool f32) { return f32 ? 0x1p16 : 0x1p30; }

llvm::GlobalVariable* table(llvm::Module& module) {
  constexpr const char* kName = "two_over_pi";
  if (llvm::GlobalVariable* known = module.getNamedGlobal(kName)) return known;
  llvm::Constant* words = llvm::ConstantDataArray::get(module.getContext(), kTwoOverPi);
  return new llvm::GlobalVariable(module, words->getType(), true, llvm::GlobalValue::PrivateLinkage,
                                  words, kName);
}

}  // namespace

VectorMath::Angle VectorMath::angle(Value* x) {
  const bool f32 = is_f32(x);
  const Rounded n = round_product(x, 0x1.45f306dc9c883p-1);
  const auto part = [&](double in_f32, double in_f64) {
    return constant(x, f32 ? in_f32 : in_f64);
  };
  Value* exact = fma(n.number, part(-0x1.921fb6p0, -0x1.921fb54442d18p0), x);
  // exact + product = r + c with the product's low part; either may be the larger.
  Value* second = part(0x1.777a5cp-25, -0x1.1a62633145c07p-54);
  Value* product = b_.CreateFMul(n.number, second);
  Value* r = b_.CreateFAdd(exact, product);
  Value* added = b_.CreateFSub(r, exact);
  Value* c =
      b_.CreateFAdd(b_.CreateFSub(exact, b_.CreateFSub(r, added)), b_.CreateFSub(product, added));
  c = b_.CreateFAdd(c, fma(n.number, second, b_.CreateFNeg(product)));
  c = fma(n.number, part(0x1.ee59dap-50, 0x1.f1976b7ed8fbcp-110), c);
  Value* high = b_.CreateFAdd(r, c);
  Angle result{n.integer, high, b_.CreateFAdd(b_.CreateFSub(r, high), c)};

  Value* is_large =
      b_.CreateNot(b_.CreateOr(is_below(x, largest_simple(f32)), b_.CreateFCmpUNO(x, x)));
  Value* any = is_large->getType()->isVectorTy() ? b_.CreateOrReduce(is_large) : is_large;
  llvm::BasicBlock* before = b_.GetInsertBlock();
  auto* then = llvm::BasicBlock::Create(b_.getContext(), "large", before->getParent());
  auto* after = llvm::BasicBlock::Create(b_.getContext(), "reduced", before->getParent());
  b_.CreateCondBr(any, then, after, llvm::MDBuilder(b_.getContext()).createUnlikelyBranchWeights());
  b_.SetInsertPoint(then);
  Value* large = b_.CreateCall(large_angle_function(x), {x});
  Value** const pieces[] = {&result.quadrant, &result.high, &result.low};
  Value* chosen[3];
  for (unsigned k = 0; k < 3; ++k)
    chosen[k] = b_.CreateSelect(is_large, b_.CreateExtractValue(large, k), *pieces[k]);
  b_.CreateBr(after);
  b_.SetInsertPoint(after);
  for (unsigned k = 0; k < 3; ++k) {
    llvm::PHINode* phi = b_.CreatePHI(chosen[k]->getType(), 2);
    phi->addIncoming(*pieces[k], before);
    phi->addIncoming(chosen[k], then);
    *pieces[k] = phi;
  }
  return result;
}

/// (x) -> the struct of an Angle of each large lane, in the module that is being emitted.
llvm::Function* VectorMath::large_angle_function(Value* like) {
  llvm::Module& module = *b_.GetInsertBlock()->getModule();
  auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(like->getType());
  const std::string name = std::string("large_angle.") + (is_f32(like) ? "f32." : "f64.") +
                           std::to_string(vector ? vector->getNumElements() : 1);
  if (llvm::Function* known = module.getFunction(name)) return known;
  llvm::Type* pieces[] = {integer_like(like), like->getType(), like->getType()};
  auto* type = llvm::FunctionType::get(
      llvm::StructType::get(module.getContext(), llvm::ArrayRef(pieces)), {like->getType()}, false);
  auto* f = llvm::Function::Create(type, llvm::Function::InternalLinkage, name, module);
  const llvm::IRBuilder<>::InsertPointGuard guard(b_);
  b_.SetInsertPoint(llvm::BasicBlock::Create(module.getContext(), "entry", f));
  Value* x = f->getArg(0);
  Angle a{};
  if (is_f32(x)) {
    const Angle wide = reduce_large(widen(x));
    Value* high = narrow(wide.high);
    a = {b_.CreateTrunc(wide.quadrant, integer_like(x)), high,
         narrow(b_.CreateFSub(wide.high, widen(high)))};
  } else {
    a = reduce_large(x);
  }
  Value* result = llvm::PoisonValue::get(type->getReturnType());
  Value* values[] = {a.quadrant, a.high, a.low};
  for (unsigned k = 0; k < 3; ++k) result = b_.CreateInsertValue(result, values[k], k);
  b_.CreateRet(result);
  return f;
}

VectorMath::Angle VectorMath::reduce_large(Value* x) {
  // Small lanes have no place in the table.
  Value* infinity = constant(x, HUGE_VAL);
  Value* magnitude =
      b_.CreateSelect(b_.CreateFCmpOLE(constant(x, 0x1p16), abs(x)), abs(x), infinity);
  const auto number = [&](std::uint64_t v) { return whole(x, v); };
  const auto shr = [&](Value* v, unsigned by) { return b_.CreateLShr(v, number(by)); };
  const auto low32 = [&](Value* v) { return b_.CreateAnd(v, number(0xffffffff)); };
  // M and where its words start: E = exponent - 1075, and (E - 2) / 32 counts from the zeros.
  Value* all = bits(magnitude);
  Value* m = b_.CreateOr(b_.CreateAnd(all, number((std::uint64_t{1} << 52) - 1)),
                         number(std::uint64_t{1} << 52));
  Value *m_high = shr(m, 32), *m_low = low32(m);
  Value* from = b_.CreateSub(shr(all, 52), number(1075 + 2 - 64));
  Value *word = shr(from, 5), *shift = b_.CreateAnd(from, number(31));
  Value* words[kWords];
  llvm::Type* int32 = b_.getInt32Ty();
  llvm::GlobalVariable* digits = table(*b_.GetInsertBlock()->getModule());
  for (unsigned k = 0; k < kWords; ++k) {
    Value* place = b_.CreateInBoundsGEP(int32, digits, b_.CreateAdd(word, number(k)));
    auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(x->getType());
    Value* v = vector ? static_cast<Value*>(b_.CreateMaskedGather(
                            llvm::FixedVectorType::get(int32, vector->getNumElements()), place,
                            llvm::Align(4)))
                      : b_.CreateAlignedLoad(int32, place, llvm::Align(4));
    words[k] = b_.CreateZExt(v, all->getType());
  }
  // The words from the first bit that counts; word k is worth 2^-30-32k.
  Value* v[kWords - 1];
  for (unsigned k = 0; k + 1 < kWords; ++k) {
    Value* both = b_.CreateOr(b_.CreateShl(words[k], number(32)), words[k + 1]);
    v[k] = shr(b_.CreateShl(both, shift), 32);
  }
  // M v, column by column, modulo 2^32 of the first.
  Value *column[4], *carry = number(0);
  for (unsigned k = 4; k-- > 0;) {
    Value* sum = carry;
    sum = b_.CreateAdd(sum, low32(b_.CreateMul(m_low, v[k])));
    sum = b_.CreateAdd(sum, shr(b_.CreateMul(m_low, v[k + 1]), 32));
    sum = b_.CreateAdd(sum, low32(b_.CreateMul(m_high, v[k + 1])));
    sum = b_.CreateAdd(sum, shr(b_.CreateMul(m_high, v[k + 2]), 32));
    column[k] = low32(sum);
    carry = shr(sum, 32);
  }
  Value* upper = b_.CreateOr(b_.CreateShl(column[0], number(32)), column[1]);
  Value* lower = b_.CreateOr(b_.CreateShl(column[2], number(32)), column[3]);
  Value* quadrant = shr(b_.CreateAdd(upper, number(std::uint64_t{1} << 61)), 62);
  // What is left is a signed fraction of pi/2: 64 bits, and 62 more.
  upper = b_.CreateOr(b_.CreateShl(upper, number(2)), shr(lower, 62));
  lower = b_.CreateShl(lower, number(2));
  const auto part = [&](Value* bits, double unit) {
    return b_.CreateFMul(b_.CreateSIToFP(bits, x->getType()), constant(x, unit));
  };
  Value* first = part(b_.CreateAnd(upper, number(~std::uint64_t{0x7ff})), 0x1p-64);
  Value* second = b_.CreateFAdd(part(b_.CreateAnd(upper, number(0x7ff)), 0x1p-64),
                                part(shr(lower, 11), 0x1p-117));
  Value* high = b_.CreateFAdd(first, second);
  Value* low = b_.CreateFSub(second, b_.CreateFSub(high, first));
  Value* quarter = constant(x, 0x1.921fb54442d18p0);
  Value* r = b_.CreateFMul(high, quarter);
  Value* c = fma(high, quarter, b_.CreateFNeg(r));
  c = fma(high, constant(x, 0x1.1a62633145c07p-54), fma(low, quarter, c));
  Value* is_negative = b_.CreateFCmpOLT(x, constant(x, 0));
  r = b_.CreateSelect(is_negative, b_.CreateFNeg(r), r);
  c = b_.CreateSelect(is_negative, b_.CreateFNeg(c), c);
  quadrant = b_.CreateSelect(is_negative, b_.CreateNeg(quadrant), quadrant);
  return {quadrant, fma(magnitude, constant(x, 0), r), c};  // of an infinity NaN
}

Value* VectorMath::sine_of(Angle a) {
  Value* r = a.high;
  const bool f32 = is_f32(r);
  static constexpr double kSinF32[] = {-0x1.555544p-3, 0x1.110696p-7, -0x1.99096p-13};
  static constexpr double kSinF64[] = {-0x1.5555555555546p-3,  0x1.111111110f32ap-7,
                                       -0x1.a01a019b62b9ap-13, 0x1.71de34dcab285p-19,
                                       -0x1.ae5deaaafeac0p-26, 0x1.5d6eabe25693ap-33};
  static constexpr double kCosF32[] = {-0.5, 0x1.55554ap-5, -0x1.6c0bb6p-10, 0x1.99c43p-16};
  static constexpr double kCosF64[] = {-0.5,
                                       0x1.5555555555549p-5,
                                       -0x1.6c16c16c14bbep-10,
                                       0x1.a01a019c1dfc7p-16,
                                       -0x1.27e4f79cb50c8p-22,
                                       0x1.1ee9a03b32c38p-29,
                                       -0x1.8f86ccffc84c1p-37};
  Value* z = b_.CreateFMul(r, r);
  Value* s = f32 ? polynomial(z, kSinF32) : polynomial(z, kSinF64);
  Value* sine = b_.CreateFAdd(r, fma(b_.CreateFMul(r, z), s, a.low));
  Value* c = f32 ? polynomial(z, kCosF32) : polynomial(z, kCosF64);
  Value* turn = b_.CreateFNeg(b_.CreateFMul(r, a.low));
  Value* cosine = b_.CreateFAdd(constant(r, 1), fma(z, c, turn));
  Value* q = a.quadrant;
  Value* is_odd = b_.CreateICmpNE(b_.CreateAnd(q, whole(q, 1)), whole(q, 0));
  Value* sign = b_.CreateShl(b_.CreateAnd(q, whole(q, 2)), whole(q, f32 ? 30 : 62));
  Value* result = bits(b_.CreateSelect(is_odd, cosine, sine));
  return b_.CreateBitCast(b_.CreateXor(result, sign), r->getType());
}

Value* VectorMath::sin(Value* x) {
  // Of the smallest the reduction loses the sign of -0.
  return b_.CreateSelect(is_below(x, is_f32(x) ? 0x1p-12 : 0x1p-27), x, sine_of(angle(x)));
}

Value* VectorMath::cos(Value* x) {
  Angle a = angle(x);
  a.quadrant = b_.CreateAdd(a.quadrant, whole(a.quadrant, 1));
  return sine_of(a);
}

}  // namespace dlc
