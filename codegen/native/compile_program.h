#pragma once
// A planned program to running code: from the cache where it is known, else through LLVM, which is
// loaded for that alone.
#include <memory>

#include "codegen/native/compiled_program.h"

namespace dlc {

std::unique_ptr<CompiledProgram> compile_program(const loop::Program& p,
                                                 const CodegenOptions& options);

}  // namespace dlc
