#pragma once
// Counted loops and promoted variables for code that is emitted by nested calls.
#include <llvm/IR/IRBuilder.h>

#include <functional>

namespace dlc {

/// for (i = begin; i < end; i += step) body(i). i64 throughout. About so many `turns` (0: unknown;
/// constants are counted): what registers hold is decided by how often a loop runs.
void emit_loop(llvm::IRBuilder<>& b, llvm::Value* begin, llvm::Value* end, std::int64_t step,
               const char* name, const std::function<void(llvm::Value* i)>& body,
               std::int64_t turns = 0);
/// The same with a step that is known at run time alone.
void emit_loop(llvm::IRBuilder<>& b, llvm::Value* begin, llvm::Value* end, llvm::Value* step,
               const char* name, const std::function<void(llvm::Value* i)>& body,
               std::int64_t turns = 0);
/// if (condition) body()
void emit_if(llvm::IRBuilder<>& b, llvm::Value* condition, const std::function<void()>& body);
/// Of so many lanes those below `count`, as a mask.
llvm::Value* emit_lanes_below(llvm::IRBuilder<>& b, llvm::Value* count, int lanes);
/// A variable of the function (an alloca in its entry block, promoted to a register later).
llvm::AllocaInst* emit_variable(llvm::IRBuilder<>& b, llvm::Type* type, const char* name);

}  // namespace dlc
