#pragma once
#include "codegen/llvm/expression_emitter.h"

namespace dlc {

/// Emits a contraction kernel without an axis that runs in vectors (ContractRoles::n).
void emit_dot(const ProgramScope& scope, const loop::Kernel& k, llvm::IRBuilder<>& b,
              ExpressionEmitter& e, llvm::Value* begin, llvm::Value* end);

}  // namespace dlc
