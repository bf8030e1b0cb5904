#pragma once
// One kernel as one function `void(ptr buffers, ptr dims, i64 begin, i64 end)` over points of its
// outermost axis.
#include "codegen/llvm/expression_emitter.h"

namespace dlc {

/// Fills the empty function `f`.
void emit_kernel(const ProgramScope& scope, const loop::Kernel& kernel, llvm::Function* f);

/// What one index of the kernel's outermost axis costs, in vector operations, roughly: decides how
/// finely work is split. A polynomial in the symbols.
Dim work_per_index(const loop::Kernel& kernel, const VectorUnit& unit);
/// Chunks of the outermost axis are multiples of this many indices.
int chunk_multiple(const loop::Program& p, const loop::Kernel& kernel, const VectorUnit& unit);

}  // namespace dlc
