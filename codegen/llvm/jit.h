#pragma once
// Kernel IR to machine code. The only door to LLVM: no LLVM type is visible here. The driver comes
// in through codegen/native/compile_program.h, which keeps LLVM out of a process that can do
// without.
#include <memory>
#include <string>

#include "codegen/native/compiled_program.h"
#include "codegen/native/contract_schedule.h"

namespace dlc {

/// Object code for the host. `p` has been planned (run_loop_passes). The bytes are the same
/// whatever the number of threads.
ObjectCode compile_objects(const loop::Program& p, const CodegenOptions& options);
/// Object code put into this process by LLVM's own linker.
std::unique_ptr<CompiledProgram> link_with_llvm(const loop::Program& p, const ObjectCode& code);

/// Compiles and loads, without a cache. `vector_bits` 0 means what the host has.
std::unique_ptr<CompiledProgram> jit_compile(const loop::Program& p, int vector_bits = 0);

/// The text of one stage for `dlc dump`: LLVM IR before (`optimized` false) or after LLVM's passes,
/// and the host's assembly.
std::string llvm_ir_text(const loop::Program& p, bool optimized);
std::string assembly_text(const loop::Program& p);
/// "znver4, 512-bit vectors": for reports.
std::string target_description();

/// What the host computes with, limited to `vector_bits` unless that is 0.
VectorUnit host_vector_unit(int vector_bits);

}  // namespace dlc
