#pragma once
// The machine that code is made for, and a module's way to object code for it.
#include <llvm/IR/Module.h>
#include <llvm/Target/TargetMachine.h>

#include <memory>
#include <string>

#include "codegen/native/contract_schedule.h"

namespace dlc {

struct Target {
  std::unique_ptr<llvm::TargetMachine> machine;
  VectorUnit unit;
};
/// The host, limited to `vector_bits` unless that is 0. A target serves one thread at a time.
Target host_target(int vector_bits);

/// An empty module for the target.
std::unique_ptr<llvm::Module> make_module(const std::string& name, llvm::LLVMContext& context,
                                          const Target& target);
/// Sets the functions' attributes and verifies the module: an InternalError when it is malformed.
void finish_module(llvm::Module& module, const Target& target);

/// LLVM's passes over every function.
void optimise(llvm::Module& module, llvm::TargetMachine& machine);
std::string object_code(llvm::Module& module, llvm::TargetMachine& machine);
std::string assembly(llvm::Module& module, llvm::TargetMachine& machine);

}  // namespace dlc
