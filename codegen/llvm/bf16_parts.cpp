#include "codegen/llvm/bf16_parts.h"

namespace dlc {

using llvm::Value;

std::array<Value*, kPartsOfF32> emit_parts(llvm::IRBuilder<>& b, Value* x) {
  llvm::Type *floats = x->getType(),
             *lanes = llvm::VectorType::getInteger(llvm::cast<llvm::VectorType>(floats));
  const auto all = [&](std::uint32_t v) { return llvm::ConstantInt::get(lanes, v); };
  // Halves are rounded up in size: what is left is exact whichever way.
  const auto rounded = [&](Value* v) {
    return b.CreateAnd(b.CreateAdd(b.CreateBitCast(v, lanes), all(0x8000)), all(0xffff0000));
  };
  Value* high = rounded(x);
  Value* rest = b.CreateFSub(x, b.CreateBitCast(high, floats));
  Value* middle = rounded(rest);
  Value* low = b.CreateFSub(rest, b.CreateBitCast(middle, floats));
  return {high, middle, b.CreateBitCast(low, lanes)};
}

Value* emit_upper_mask(llvm::IRBuilder<>& b, llvm::Type* lanes) {
  llvm::AllocaInst* mask = b.CreateAlloca(lanes);
  b.CreateStore(llvm::ConstantInt::get(lanes, 0xffff0000), mask, true);
  return b.CreateLoad(lanes, mask, true);
}

Value* emit_pairs(llvm::IRBuilder<>& b, Value* x, Value* y, Value* upper) {
  return b.CreateOr(b.CreateLShr(x, 16), b.CreateAnd(y, upper));
}

}  // namespace dlc
