#pragma once
// libdlc_llvm.so: all of codegen/llvm, and with it LLVM, in a library that is opened when something
// must be compiled for the first time. Starting LLVM takes longer than compiling a small model
// otherwise does.
#include <memory>
#include <string>

#include "codegen/native/compiled_program.h"
#include "codegen/native/contract_schedule.h"

namespace dlc {

enum class LlvmText { Emitted, Optimized, Assembly };

// ---- What the driver calls: opens the library. A UserError when it is not there ----

ObjectCode llvm_compile(const loop::Program& p, const CodegenOptions& options);
std::unique_ptr<CompiledProgram> llvm_link(const loop::Program& p, const ObjectCode& code);
std::string llvm_text(const loop::Program& p, LlvmText stage);
/// What the machine computes with: vectors of at most `vector_bits`, or (0) all that it has.
VectorUnit llvm_vector_unit(int vector_bits);
/// Takes LLVM's code and constants out of memory, if they are there; what is used again comes back
/// from the file. For before much memory is needed.
void release_llvm_pages();

// ---- What the library offers ----

/// How a call went: exceptions do not cross the border.
struct LlvmOutcome {
  enum Kind { Done, UserMistake, Bug, NoMemory } kind = Done;
  std::string message;
};
struct LlvmModule {
  const char* build_id;  // must be ours: the functions take the compiler's own types
  LlvmOutcome (*compile)(const loop::Program& p, const CodegenOptions& options, ObjectCode& out);
  LlvmOutcome (*link)(const loop::Program& p, const ObjectCode& code,
                      std::unique_ptr<CompiledProgram>& out);
  LlvmOutcome (*text)(const loop::Program& p, LlvmText stage, std::string& out);
  LlvmOutcome (*vector_unit)(int vector_bits, VectorUnit& out);
};

}  // namespace dlc

extern "C" __attribute__((visibility("default"))) const dlc::LlvmModule* dlc_llvm_module();
