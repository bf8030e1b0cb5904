// What a reduction does with one more element, with its lanes, and where it begins.
#include <cmath>

#include "codegen/llvm/expression_emitter.h"

namespace dlc {

using llvm::Value;
using loop::ReduceKind;
using loop::ScalarOp;

Value* ExpressionEmitter::combine(ReduceKind kind, ElementType t, Value* a, Value* b) {
  switch (kind) {
    case ReduceKind::Sum:
      return is_float(t) ? b_.CreateFAdd(a, b) : b_.CreateAdd(a, b);
    case ReduceKind::Prod:
      return is_float(t) ? b_.CreateFMul(a, b) : b_.CreateMul(a, b);
    default:
      break;
  }
  // a is kept where it is better or NaN: NaN propagates from either side.
  const bool max = kind == ReduceKind::Max;
  Value* keep = max ? compare(ScalarOp::Lt, t, b, a) : compare(ScalarOp::Lt, t, a, b);
  if (is_float(t)) keep = b_.CreateOr(keep, b_.CreateFCmpUNO(a, a));
  return b_.CreateSelect(keep, a, b);
}

namespace {

std::pair<Value*, Value*> halves(llvm::IRBuilder<>& b, Value* v) {
  const int half =
      static_cast<int>(llvm::cast<llvm::FixedVectorType>(v->getType())->getNumElements()) / 2;
  std::vector<int> low, high;
  for (int k = 0; k < half; ++k) low.push_back(k), high.push_back(k + half);
  return {b.CreateShuffleVector(v, low), b.CreateShuffleVector(v, high)};
}

bool is_one_lane(Value* v) {
  return llvm::cast<llvm::FixedVectorType>(v->getType())->getNumElements() == 1;
}

}  // namespace

Value* ExpressionEmitter::combine_lanes(ReduceKind kind, ElementType t, Value* v) {
  while (!is_one_lane(v)) {
    const auto [low, high] = halves(b_, v);
    v = combine(kind, t, low, high);
  }
  return b_.CreateExtractElement(v, std::uint64_t{0});
}

Value* ExpressionEmitter::best_of_lanes(ReduceKind kind, ElementType t, Value* values,
                                        Value* places) {
  while (!is_one_lane(values)) {
    const auto [a, b] = halves(b_, values);
    const auto [place_a, place_b] = halves(b_, places);
    Value* equal_but_earlier =
        b_.CreateAnd(b_.CreateNot(is_better(kind, t, a, b)), b_.CreateICmpSLT(place_b, place_a));
    Value* take_b = b_.CreateOr(is_better(kind, t, b, a), equal_but_earlier);
    values = b_.CreateSelect(take_b, b, a);
    places = b_.CreateSelect(take_b, place_b, place_a);
  }
  return b_.CreateExtractElement(places, std::uint64_t{0});
}

Value* ExpressionEmitter::is_better(ReduceKind kind, ElementType t, Value* candidate, Value* best) {
  Value* better = kind == ReduceKind::ArgMax ? compare(ScalarOp::Lt, t, best, candidate)
                                             : compare(ScalarOp::Lt, t, candidate, best);
  if (!is_float(t)) return better;
  Value* first_nan =
      b_.CreateAnd(b_.CreateFCmpUNO(candidate, candidate), b_.CreateFCmpORD(best, best));
  return b_.CreateOr(better, first_nan);
}

llvm::Constant* ExpressionEmitter::identity(ReduceKind kind, ElementType t) {
  llvm::Type* type = value_type(t);
  const bool max = kind == ReduceKind::Max || kind == ReduceKind::ArgMax;
  if (kind == ReduceKind::Sum) return llvm::Constant::getNullValue(type);
  if (is_float(t))
    return llvm::ConstantFP::get(type, kind == ReduceKind::Prod ? 1.0 : max ? -HUGE_VAL : HUGE_VAL);
  if (kind == ReduceKind::Prod) return llvm::ConstantInt::get(type, 1);
  const unsigned bits = type->getIntegerBitWidth();
  if (is_unsigned(t))
    return llvm::ConstantInt::get(
        type, max ? llvm::APInt::getMinValue(bits) : llvm::APInt::getMaxValue(bits));
  return llvm::ConstantInt::get(
      type, max ? llvm::APInt::getSignedMinValue(bits) : llvm::APInt::getSignedMaxValue(bits));
}

}  // namespace dlc
