#pragma once
// Sums of products: the register-tiled micro-kernel and its loops.
#include "codegen/llvm/expression_emitter.h"

namespace dlc {

/// The loops of a contraction kernel over [begin, end) of its outermost axis, epilogue included.
void emit_contraction(const ProgramScope& scope, const loop::Kernel& k, llvm::IRBuilder<>& b,
                      ExpressionEmitter& e, llvm::Value* begin, llvm::Value* end);
/// Rows of a tile, when the outermost axis is the one that is tiled; else 1.
int contraction_rows(const loop::Program& p, const loop::Kernel& k, const VectorUnit& unit);

}  // namespace dlc
