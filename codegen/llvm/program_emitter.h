#pragma once
// A program as LLVM modules: a function per different kernel, and `dlc_run`, which calls them in
// order. A kernel gets a table of its own buffers, so that kernels can share a function.
#include <llvm/IR/Module.h>

#include "codegen/native/contract_schedule.h"
#include "codegen/native/unique_kernels.h"

namespace dlc {

/// The functions of some of the kernels.
void emit_kernels(const UniqueKernels& kernels, const std::vector<std::size_t>& which,
                  llvm::Module& module, const VectorUnit& unit);
/// `dlc_run`; kernels that the module does not have are declared.
void emit_run(const loop::Program& p, const UniqueKernels& kernels, llvm::Module& module,
              const VectorUnit& unit);

}  // namespace dlc
