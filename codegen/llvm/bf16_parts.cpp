#include "codegen/llvm/bf16_parts.h"

#include "codegen/llvm/loops.h"

namespace dlc {

using llvm::Value;

namespace {

using Parts = std::array<Value*, kPartsOfF32>;

/// In the upper halves of lanes; what is below is no part of them.
Parts parts_of(llvm::IRBuilder<>& b, Value* x) {
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

}  // namespace

Parts emit_pairs_of_parts(llvm::IRBuilder<>& b, Value* x, Value* y, Value* upper) {
  const Parts lower = parts_of(b, x), higher = parts_of(b, y);
  Parts pairs{};
  for (std::size_t part = 0; part < pairs.size(); ++part)
    pairs[part] = b.CreateOr(b.CreateLShr(lower[part], 16), b.CreateAnd(higher[part], upper));
  return pairs;
}

Value* emit_upper_mask(llvm::IRBuilder<>& b, llvm::Type* lanes) {
  llvm::AllocaInst* mask = emit_variable(b, lanes, "upper");
  b.CreateStore(llvm::ConstantInt::get(lanes, 0xffff0000), mask, true);
  return b.CreateLoad(lanes, mask, true);
}

Value* emit_pairs(llvm::IRBuilder<>& b, Value* x, Value* y) {
  llvm::Type* lanes = x->getType()->getExtendedType();
  return b.CreateOr(b.CreateZExt(x, lanes), b.CreateShl(b.CreateZExt(y, lanes), 16));
}

}  // namespace dlc
