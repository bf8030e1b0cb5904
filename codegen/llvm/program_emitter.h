#pragma once
// A program as LLVM modules: a function per different kernel, and the entry points of
// codegen/abi/program.h, which call them in order. A kernel gets a table of its own buffers, so
// that kernels can share a function.
#include <llvm/IR/Module.h>

#include "codegen/native/contract_schedule.h"
#include "codegen/native/unique_kernels.h"

namespace dlc {

/// The functions of some of the kernels.
void emit_kernels(const UniqueKernels& kernels, const std::vector<std::size_t>& which,
                  llvm::Module& module, const VectorUnit& unit);
/// `dlc_run` and, for a step, `dlc_run_steps`; kernels that the module does not have are declared.
/// With `profile` they tell dlc_call.on_kernel of each kernel that is done.
void emit_entries(const loop::Program& p, const UniqueKernels& kernels, llvm::Module& module,
                  const VectorUnit& unit, bool profile);

}  // namespace dlc
