#pragma once
#include "codegen/llvm/expression_emitter.h"

namespace dlc {

/// A contraction whose operand a is in frames of zeros.
void emit_fold(const ProgramScope& scope, const loop::Kernel& kernel, llvm::IRBuilder<>& b,
               ExpressionEmitter& e, llvm::Value* begin, llvm::Value* end);

}  // namespace dlc
