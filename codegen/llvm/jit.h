#pragma once
// Kernel IR to machine code in this process. The only door to LLVM: no LLVM type is visible here.
#include <memory>
#include <string>

#include "codegen/abi/program.h"
#include "ir/loop/loop.h"

namespace dlc {

/// Owns the machine code and the tables that `program()` points into; keep it alive while it runs.
class CompiledProgram {
 public:
  virtual ~CompiledProgram() = default;
  virtual const dlc_program* program() const = 0;
};

/// Compiles for the host CPU. `p` has been planned (run_loop_passes). `vector_bits` 0 means what
/// the host has; 128, 256 or 512 limits the width (for tests of narrower machines).
std::unique_ptr<CompiledProgram> jit_compile(const loop::Program& p, int vector_bits = 0);

/// The text of one stage for `dlc dump`: LLVM IR before (`optimized` false) or after LLVM's passes,
/// and the host's assembly.
std::string llvm_ir_text(const loop::Program& p, bool optimized);
std::string assembly_text(const loop::Program& p);
/// "znver4, 512-bit vectors": for reports.
std::string target_description();

}  // namespace dlc
