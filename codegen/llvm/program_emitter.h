#pragma once
// A whole program as one LLVM module: a function per kernel and `dlc_run`, which calls them in
// order.
#include <llvm/IR/Module.h>

#include "ir/loop/loop.h"

namespace dlc {

inline constexpr const char* kRunSymbol = "dlc_run";
void emit_program(const loop::Program& p, llvm::Module& module, int vector_bits);

}  // namespace dlc
