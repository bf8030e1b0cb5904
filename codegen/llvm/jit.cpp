// A program as text of LLVM's stages, and LLVM's own linker for objects that our small one refuses.
#include "codegen/llvm/jit.h"

#include <llvm/ExecutionEngine/Orc/ExecutionUtils.h>
#include <llvm/ExecutionEngine/Orc/LLJIT.h>

#include "codegen/llvm/program_emitter.h"
#include "codegen/llvm/target.h"
#include "codegen/native/abi_tables.h"
#include "codegen/native/thread_shares.h"
#include "ir/support/check.h"

namespace dlc {

namespace {

void check(llvm::Error e, const char* what) {
  if (e) throw InternalError(fmt::format("{}: {}", what, llvm::toString(std::move(e))));
}

template <class T>
T checked(llvm::Expected<T> v, const char* what) {
  if (!v) check(v.takeError(), what);
  return std::move(*v);
}

class JitProgram : public CompiledProgram {
 public:
  JitProgram(std::unique_ptr<llvm::orc::LLJIT> jit, const loop::Program& p,
             const EntryPoints& entries)
      : jit_(std::move(jit)), tables_(p, entries) {}
  const dlc_program* program() const override { return tables_.program(); }

 private:
  std::unique_ptr<llvm::orc::LLJIT> jit_;
  AbiTables tables_;
};

/// The whole program in one module, as it is read best.
std::unique_ptr<llvm::Module> whole_module(const loop::Program& lowered, llvm::LLVMContext& context,
                                           const Target& target) {
  const loop::Program p = with_shares(lowered, target.unit);
  const UniqueKernels kernels = unique_kernels(p);
  std::vector<std::size_t> all(kernels.kernels.size());
  for (std::size_t k = 0; k < all.size(); ++k) all[k] = k;
  std::unique_ptr<llvm::Module> module = make_module(p.name, context, target);
  emit_kernels(kernels, all, *module, target.unit);
  emit_entries(p, kernels, *module, target.unit, false);
  finish_module(*module, target);
  return module;
}

}  // namespace

std::unique_ptr<CompiledProgram> link_with_llvm(const loop::Program& p, const ObjectCode& code) {
  host_target(0);  // LLVM's targets are registered
  auto jit = checked(llvm::orc::LLJITBuilder().create(), "the JIT");
  // The C library's functions come from this process.
  jit->getMainJITDylib().addGenerator(
      checked(llvm::orc::DynamicLibrarySearchGenerator::GetForCurrentProcess(
                  jit->getDataLayout().getGlobalPrefix()),
              "symbols"));
  for (const std::string& object : code.objects)
    check(jit->addObjectFile(llvm::MemoryBuffer::getMemBufferCopy(object)), "adding the code");
  const EntryPoints entries = entry_points(p, [&](const char* symbol) {
    return checked(jit->lookup(symbol), "linking the code").toPtr<void*>();
  });
  return std::make_unique<JitProgram>(std::move(jit), p, entries);
}

std::unique_ptr<CompiledProgram> jit_compile(const loop::Program& p, int vector_bits) {
  CodegenOptions options;
  options.vector_bits = vector_bits;
  const ObjectCode code = compile_objects(p, options);
  if (auto loaded = load_program(p, code.objects)) return loaded;
  return link_with_llvm(p, code);
}

std::string llvm_ir_text(const loop::Program& p, bool optimized) {
  const Target target = host_target(0);
  llvm::LLVMContext context;
  const std::unique_ptr<llvm::Module> module = whole_module(p, context, target);
  if (optimized) optimise(*module, *target.machine);
  std::string text;
  llvm::raw_string_ostream out(text);
  module->print(out, nullptr);
  return text;
}

std::string assembly_text(const loop::Program& p) {
  const Target target = host_target(0);
  llvm::LLVMContext context;
  const std::unique_ptr<llvm::Module> module = whole_module(p, context, target);
  optimise(*module, *target.machine);
  return assembly(*module, *target.machine);
}

std::string target_description() {
  const Target target = host_target(0);
  return fmt::format("{}, {}-bit vectors", target.machine->getTargetCPU().str(), target.unit.bits);
}

VectorUnit host_vector_unit(int vector_bits) { return host_target(vector_bits).unit; }

}  // namespace dlc
