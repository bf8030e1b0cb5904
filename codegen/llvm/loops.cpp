#include "codegen/llvm/loops.h"

#include <llvm/IR/Function.h>
#include <llvm/IR/MDBuilder.h>

#include <algorithm>
#include <limits>

namespace dlc {

void emit_loop(llvm::IRBuilder<>& b, llvm::Value* begin, llvm::Value* end, std::int64_t step,
               const char* name, const std::function<void(llvm::Value*)>& body,
               std::int64_t turns) {
  // One iteration for sure: no loop.
  const auto* first = llvm::dyn_cast<llvm::ConstantInt>(begin);
  const auto* last = llvm::dyn_cast<llvm::ConstantInt>(end);
  if (first && last) {
    if (first->getSExtValue() >= last->getSExtValue()) return;
    if (first->getSExtValue() + step >= last->getSExtValue()) return body(begin);
    turns = (last->getSExtValue() - first->getSExtValue() + step - 1) / step;
  }
  emit_loop(b, begin, end, b.getInt64(static_cast<std::uint64_t>(step)), name, body, turns);
}

void emit_loop(llvm::IRBuilder<>& b, llvm::Value* begin, llvm::Value* end, llvm::Value* step,
               const char* name, const std::function<void(llvm::Value*)>& body,
               std::int64_t turns) {
  llvm::Function* f = b.GetInsertBlock()->getParent();
  llvm::BasicBlock* before = b.GetInsertBlock();
  auto* header = llvm::BasicBlock::Create(b.getContext(), name, f);
  auto* inside = llvm::BasicBlock::Create(b.getContext(), std::string(name) + ".body", f);
  auto* after = llvm::BasicBlock::Create(b.getContext(), std::string(name) + ".end", f);
  b.CreateBr(header);
  b.SetInsertPoint(header);
  llvm::PHINode* i = b.CreatePHI(b.getInt64Ty(), 2, name);
  i->addIncoming(begin, before);
  llvm::MDNode* weights = nullptr;
  if (turns > 0)
    weights = llvm::MDBuilder(b.getContext())
                  .createBranchWeights(static_cast<std::uint32_t>(std::min<std::int64_t>(
                                           turns, std::numeric_limits<std::int32_t>::max())),
                                       1);
  b.CreateCondBr(b.CreateICmpSLT(i, end), inside, after, weights);
  b.SetInsertPoint(inside);
  body(i);
  i->addIncoming(b.CreateNSWAdd(i, step), b.GetInsertBlock());
  b.CreateBr(header);
  b.SetInsertPoint(after);
}

void emit_if(llvm::IRBuilder<>& b, llvm::Value* condition, const std::function<void()>& body) {
  if (const auto* known = llvm::dyn_cast<llvm::ConstantInt>(condition)) {
    if (known->isOne()) body();
    return;
  }
  llvm::Function* f = b.GetInsertBlock()->getParent();
  auto* then = llvm::BasicBlock::Create(b.getContext(), "then", f);
  auto* after = llvm::BasicBlock::Create(b.getContext(), "after", f);
  b.CreateCondBr(condition, then, after);
  b.SetInsertPoint(then);
  body();
  b.CreateBr(after);
  b.SetInsertPoint(after);
}

llvm::Value* emit_lanes_below(llvm::IRBuilder<>& b, llvm::Value* count, int lanes) {
  // In 32 bits all lanes are compared at once.
  llvm::Value* most = b.getInt64(static_cast<std::uint64_t>(lanes));
  count =
      b.CreateTrunc(b.CreateBinaryIntrinsic(llvm::Intrinsic::smin, count, most), b.getInt32Ty());
  const auto width = static_cast<unsigned>(lanes);
  llvm::Value* step = b.CreateStepVector(llvm::FixedVectorType::get(b.getInt32Ty(), width));
  return b.CreateICmpSLT(step, b.CreateVectorSplat(width, count));
}

llvm::AllocaInst* emit_variable(llvm::IRBuilder<>& b, llvm::Type* type, const char* name) {
  llvm::BasicBlock& entry = b.GetInsertBlock()->getParent()->getEntryBlock();
  llvm::IRBuilder<> at_entry(&entry, entry.begin());
  return at_entry.CreateAlloca(type, nullptr, name);
}

}  // namespace dlc
