#pragma once
#include "codegen/llvm/expression_emitter.h"

namespace dlc {

/// A contraction of a single row with a matrix that comes from beyond the second cache, of rows a
/// page apart or more.
bool is_far_row(const loop::Program& p, const loop::Kernel& k, const VectorUnit& unit);
/// Points [begin, end) of the outermost axis of such a kernel.
void emit_row(const ProgramScope& scope, const loop::Kernel& k, llvm::IRBuilder<>& b,
              ExpressionEmitter& e, llvm::Value* begin, llvm::Value* end);

}  // namespace dlc
