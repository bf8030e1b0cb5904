// The target, LLVM's passes and the JIT. The pass list is short on purpose: kernels are emitted in
// the form they should have, and loop unrolling only makes hand-tiled loops spill.
#include "codegen/llvm/jit.h"

#include <llvm/Analysis/CGSCCPassManager.h>
#include <llvm/Analysis/LoopAnalysisManager.h>
#include <llvm/ExecutionEngine/Orc/CompileUtils.h>
#include <llvm/ExecutionEngine/Orc/ExecutionUtils.h>
#include <llvm/ExecutionEngine/Orc/LLJIT.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/IR/Verifier.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Support/SmallVectorMemoryBuffer.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/Transforms/InstCombine/InstCombine.h>
#include <llvm/Transforms/Scalar/DCE.h>
#include <llvm/Transforms/Scalar/EarlyCSE.h>
#include <llvm/Transforms/Scalar/LICM.h>
#include <llvm/Transforms/Scalar/SimplifyCFG.h>
#include <llvm/Transforms/Utils/Mem2Reg.h>

#include <mutex>

#include "codegen/llvm/abi_tables.h"
#include "codegen/llvm/program_emitter.h"
#include "ir/support/check.h"

namespace dlc {

namespace {

std::string message(llvm::Error e) { return llvm::toString(std::move(e)); }

template <class T>
T checked(llvm::Expected<T> v, const char* what) {
  if (!v) throw InternalError(fmt::format("{}: {}", what, message(v.takeError())));
  return std::move(*v);
}

void check(llvm::Error e, const char* what) {
  if (e) throw InternalError(fmt::format("{}: {}", what, message(std::move(e))));
}

struct Target {
  std::unique_ptr<llvm::TargetMachine> machine;
  int vector_bits;
};

int widest_vectors(const std::string& features) {
  const auto has = [&](const char* f) { return features.find(f) != std::string::npos; };
  return has("+avx512f") && has("+avx512vl") ? 512 : has("+avx2") && has("+fma") ? 256 : 128;
}

Target host_target(int vector_bits) {
  static std::once_flag once;
  std::call_once(once, [] {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
  });
  auto builder = checked(llvm::orc::JITTargetMachineBuilder::detectHost(), "the host's CPU");
  const int widest = widest_vectors(builder.getFeatures().getString());
  const int bits = vector_bits > 0 ? std::min(vector_bits, widest) : widest;
  if (bits < 512)
    for (const char* f : {"avx512f", "avx512vl", "avx512bw", "avx512dq", "avx512cd"})
      builder.getFeatures().AddFeature(f, false);
  if (bits < 256)
    for (const char* f : {"avx", "avx2", "fma"}) builder.getFeatures().AddFeature(f, false);
  builder.setCodeGenOptLevel(llvm::CodeGenOptLevel::Default);
  // Products and sums are fused only where the kernels say so.
  builder.getOptions().AllowFPOpFusion = llvm::FPOpFusion::Strict;
  return {checked(builder.createTargetMachine(), "the host's code generator"), bits};
}

void optimise(llvm::Module& module, llvm::TargetMachine& machine) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager components;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(&machine);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  llvm::FunctionPassManager passes;
  passes.addPass(llvm::PromotePass());
  passes.addPass(llvm::EarlyCSEPass(true));
  passes.addPass(llvm::InstCombinePass());
  passes.addPass(llvm::SimplifyCFGPass());
  passes.addPass(llvm::createFunctionToLoopPassAdaptor(llvm::LICMPass(llvm::LICMOptions()), true));
  passes.addPass(llvm::EarlyCSEPass(true));
  passes.addPass(llvm::DCEPass());
  for (llvm::Function& f : module)
    if (!f.isDeclaration()) passes.run(f, functions);
}

std::unique_ptr<llvm::Module> make_module(const loop::Program& p, llvm::LLVMContext& context,
                                          const Target& target) {
  auto module = std::make_unique<llvm::Module>(p.name, context);
  module->setTargetTriple(target.machine->getTargetTriple());
  module->setDataLayout(target.machine->createDataLayout());
  emit_program(p, *module, target.vector_bits);
  for (llvm::Function& f : *module)
    if (!f.isDeclaration()) f.addFnAttr("prefer-vector-width", std::to_string(target.vector_bits));
  std::string error;
  llvm::raw_string_ostream out(error);
  if (llvm::verifyModule(*module, &out))
    throw InternalError(fmt::format("program {}: malformed code: {}", p.name, error));
  return module;
}

class JitProgram : public CompiledProgram {
 public:
  JitProgram(std::unique_ptr<llvm::orc::LLJIT> jit, const loop::Program& p,
             void (*run)(const dlc_call*))
      : jit_(std::move(jit)), tables_(p, run) {}
  const dlc_program* program() const override { return tables_.program(); }

 private:
  std::unique_ptr<llvm::orc::LLJIT> jit_;
  AbiTables tables_;
};

std::unique_ptr<llvm::MemoryBuffer> object_code(llvm::Module& module,
                                                llvm::TargetMachine& machine) {
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream out(bytes);
  llvm::legacy::PassManager passes;
  llvm::MCContext* context = nullptr;
  if (machine.addPassesToEmitMC(passes, context, out))
    throw InternalError("the host has no object code");
  passes.run(module);
  return std::make_unique<llvm::SmallVectorMemoryBuffer>(std::move(bytes), false);
}

}  // namespace

std::unique_ptr<CompiledProgram> jit_compile(const loop::Program& p, int vector_bits) {
  const Target target = host_target(vector_bits);
  llvm::LLVMContext context;
  const std::unique_ptr<llvm::Module> module = make_module(p, context, target);
  optimise(*module, *target.machine);
  auto jit = checked(llvm::orc::LLJITBuilder().create(), "the JIT");
  // The C library's functions come from this process.
  jit->getMainJITDylib().addGenerator(
      checked(llvm::orc::DynamicLibrarySearchGenerator::GetForCurrentProcess(
                  jit->getDataLayout().getGlobalPrefix()),
              "symbols"));
  check(jit->addObjectFile(object_code(*module, *target.machine)), "adding the code");
  const llvm::orc::ExecutorAddr run = checked(jit->lookup(kRunSymbol), "linking the code");
  return std::make_unique<JitProgram>(std::move(jit), p, run.toPtr<void (*)(const dlc_call*)>());
}

std::string llvm_ir_text(const loop::Program& p, bool optimized) {
  const Target target = host_target(0);
  llvm::LLVMContext context;
  const std::unique_ptr<llvm::Module> module = make_module(p, context, target);
  if (optimized) optimise(*module, *target.machine);
  std::string text;
  llvm::raw_string_ostream out(text);
  module->print(out, nullptr);
  return text;
}

std::string assembly_text(const loop::Program& p) {
  const Target target = host_target(0);
  llvm::LLVMContext context;
  const std::unique_ptr<llvm::Module> module = make_module(p, context, target);
  optimise(*module, *target.machine);
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream out(bytes);
  llvm::legacy::PassManager passes;
  if (target.machine->addPassesToEmitFile(passes, out, nullptr,
                                          llvm::CodeGenFileType::AssemblyFile))
    throw InternalError("the host has no assembly");
  passes.run(*module);
  return std::string(bytes.data(), bytes.size());
}

std::string target_description() {
  const Target target = host_target(0);
  return fmt::format("{}, {}-bit vectors", target.machine->getTargetCPU().str(),
                     target.vector_bits);
}

}  // namespace dlc
