#include "codegen/llvm/loops.h"

#include <llvm/IR/Function.h>

namespace dlc {

void emit_loop(llvm::IRBuilder<>& b, llvm::Value* begin, llvm::Value* end, std::int64_t step,
               const char* name, const std::function<void(llvm::Value*)>& body) {
  // One iteration for sure: no loop.
  const auto* first = llvm::dyn_cast<llvm::ConstantInt>(begin);
  const auto* last = llvm::dyn_cast<llvm::ConstantInt>(end);
  if (first && last) {
    if (first->getSExtValue() >= last->getSExtValue()) return;
    if (first->getSExtValue() + step >= last->getSExtValue()) return body(begin);
  }
  llvm::Function* f = b.GetInsertBlock()->getParent();
  llvm::BasicBlock* before = b.GetInsertBlock();
  auto* header = llvm::BasicBlock::Create(b.getContext(), name, f);
  auto* inside = llvm::BasicBlock::Create(b.getContext(), std::string(name) + ".body", f);
  auto* after = llvm::BasicBlock::Create(b.getContext(), std::string(name) + ".end", f);
  b.CreateBr(header);
  b.SetInsertPoint(header);
  llvm::PHINode* i = b.CreatePHI(b.getInt64Ty(), 2, name);
  i->addIncoming(begin, before);
  b.CreateCondBr(b.CreateICmpSLT(i, end), inside, after);
  b.SetInsertPoint(inside);
  body(i);
  i->addIncoming(b.CreateNSWAdd(i, b.getInt64(static_cast<std::uint64_t>(step))),
                 b.GetInsertBlock());
  b.CreateBr(header);
  b.SetInsertPoint(after);
}

void emit_if(llvm::IRBuilder<>& b, llvm::Value* condition, const std::function<void()>& body) {
  llvm::Function* f = b.GetInsertBlock()->getParent();
  auto* then = llvm::BasicBlock::Create(b.getContext(), "then", f);
  auto* after = llvm::BasicBlock::Create(b.getContext(), "after", f);
  b.CreateCondBr(condition, then, after);
  b.SetInsertPoint(then);
  body();
  b.CreateBr(after);
  b.SetInsertPoint(after);
}

llvm::AllocaInst* emit_variable(llvm::IRBuilder<>& b, llvm::Type* type, const char* name) {
  llvm::BasicBlock& entry = b.GetInsertBlock()->getParent()->getEntryBlock();
  llvm::IRBuilder<> at_entry(&entry, entry.begin());
  return at_entry.CreateAlloca(type, nullptr, name);
}

}  // namespace dlc
