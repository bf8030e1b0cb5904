// The target and LLVM's passes. The pass list is short on purpose: kernels are emitted in the form
// they should have, and loop unrolling only makes hand-tiled loops spill.
#include "codegen/llvm/target.h"

#include <llvm/Analysis/CGSCCPassManager.h>
#include <llvm/Analysis/LoopAnalysisManager.h>
#include <llvm/CodeGen/CodeGenTargetMachineImpl.h>
#include <llvm/CodeGen/MachineModuleInfo.h>
#include <llvm/CodeGen/Passes.h>
#include <llvm/CodeGen/TargetPassConfig.h>
#include <llvm/ExecutionEngine/Orc/JITTargetMachineBuilder.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/IR/Verifier.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Support/CommandLine.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Transforms/InstCombine/InstCombine.h>
#include <llvm/Transforms/Scalar/DCE.h>
#include <llvm/Transforms/Scalar/EarlyCSE.h>
#include <llvm/Transforms/Scalar/LICM.h>
#include <llvm/Transforms/Scalar/SimplifyCFG.h>
#include <llvm/Transforms/Utils/Mem2Reg.h>
#include <unistd.h>

#include <algorithm>
#include <mutex>

#include "codegen/native/host.h"
#include "ir/support/check.h"

namespace dlc {

namespace {

template <class T>
T checked(llvm::Expected<T> v, const char* what) {
  if (!v) throw InternalError(fmt::format("{}: {}", what, llvm::toString(v.takeError())));
  return std::move(*v);
}

int widest_vectors(const std::string& features) {
  const auto has = [&](const char* f) { return features.find(f) != std::string::npos; };
  return has("+avx512f") && has("+avx512vl") ? 512 : has("+avx2") && has("+fma") ? 256 : 128;
}

/// The caches as the system tells them, the speeds by what kind of core it is.
Core host_core(const std::string& cpu, const std::string& features) {
  Core core;
  const auto read = [](int size, int ways, std::int64_t& way_bytes, std::int64_t& count) {
    const long bytes = sysconf(size), n = sysconf(ways);
    if (bytes <= 0 || n <= 0 || bytes % n != 0) return;
    way_bytes = bytes / n;
    count = n;
  };
  read(_SC_LEVEL1_DCACHE_SIZE, _SC_LEVEL1_DCACHE_ASSOC, core.l1_way, core.l1_ways);
  read(_SC_LEVEL2_CACHE_SIZE, _SC_LEVEL2_CACHE_ASSOC, core.l2_way, core.l2_ways);
  // A Zen has its last cache close by; the large ones are reached through a mesh.
  const bool is_zen = cpu.starts_with("znver");
  if (!is_zen) core.l2_bytes = 28, core.far_bytes = 8;
  // Two full units: servers (a virtual machine may call them something else) and Zen 5.
  const auto& servers = {"skylake-avx512", "cascadelake", "cooperlake", "icelake-server", "znver5"};
  if (features.find("+amx-tile") != std::string::npos ||
      std::find(servers.begin(), servers.end(), cpu) != servers.end())
    core.wide_fma = 2;
  return core;
}

}  // namespace

Target host_target(int vector_bits) {
  static std::once_flag once;
  std::call_once(once, [] {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
  });
  auto builder = checked(llvm::orc::JITTargetMachineBuilder::detectHost(), "the host's CPU");
  const Core core = host_core(builder.getCPU(), builder.getFeatures().getString());
  const int widest = widest_vectors(builder.getFeatures().getString());
  const int bits = vector_bits > 0 ? std::min(vector_bits, widest) : widest;
  if (bits < 512)
    for (const char* f : {"avx512f", "avx512vl", "avx512bw", "avx512dq", "avx512cd"})
      builder.getFeatures().AddFeature(f, false);
  if (bits < 256)
    for (const char* f : {"avx", "avx2", "fma"}) builder.getFeatures().AddFeature(f, false);
  builder.setCodeGenOptLevel(llvm::CodeGenOptLevel::Less);
  // The loader puts code anywhere, in one piece.
  builder.setRelocationModel(llvm::Reloc::PIC_);
  builder.setCodeModel(llvm::CodeModel::Small);
  // Products and sums are fused only where the kernels say so.
  builder.getOptions().AllowFPOpFusion = llvm::FPOpFusion::Strict;
  const bool has_matrices =
      vector_bits == 0 &&
      builder.getFeatures().getString().find("+amx-bf16") != std::string::npos &&
      may_use_matrices();
  const bool bf16_dot = builder.getFeatures().getString().find("+avx512bf16") != std::string::npos;
  return {checked(builder.createTargetMachine(), "the host's code generator"),
          {bits, bf16_dot && bits >= 512, has_matrices && bits >= 512, core}};
}

std::unique_ptr<llvm::Module> make_module(const std::string& name, llvm::LLVMContext& context,
                                          const Target& target) {
  auto module = std::make_unique<llvm::Module>(name, context);
  module->setTargetTriple(target.machine->getTargetTriple());
  module->setDataLayout(target.machine->createDataLayout());
  module->setPICLevel(llvm::PICLevel::SmallPIC);
  return module;
}

void finish_module(llvm::Module& module, const Target& target) {
  for (llvm::Function& f : module) {
    if (f.isDeclaration()) continue;
    f.addFnAttr("prefer-vector-width", std::to_string(target.unit.bits));
    f.setDoesNotThrow();
  }
  std::string error;
  llvm::raw_string_ostream out(error);
  if (llvm::verifyModule(module, &out))
    throw InternalError(
        fmt::format("program {}: malformed code: {}", module.getName().str(), error));
}

void optimise(llvm::Module& module, llvm::TargetMachine& machine) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager components;
  llvm::ModuleAnalysisManager modules;
  // Without a file system, which only profiles are read from: the default is one object that all
  // threads share.
  llvm::PassBuilder builder(&machine, {}, {}, nullptr, nullptr);
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

namespace {

/// Builds a code generator without loop strength reduction, which takes a sixth of its time and
/// finds nothing: addresses in our loops are a pointer and a constant already. There is no other
/// way to leave the pass out than the option of the process, so it is as before once this is gone.
class WithoutStrengthReduction {
 public:
  WithoutStrengthReduction() : lock_(mutex()) {
    if (option()) option()->setValue(true);
  }
  ~WithoutStrengthReduction() {
    if (option()) option()->setValue(before_);
  }
  WithoutStrengthReduction(const WithoutStrengthReduction&) = delete;
  WithoutStrengthReduction& operator=(const WithoutStrengthReduction&) = delete;

 private:
  static std::mutex& mutex() {
    static std::mutex m;
    return m;
  }
  static llvm::cl::opt<bool>* option() {
    static llvm::cl::opt<bool>* const found = [] {
      const auto& all = llvm::cl::getRegisteredOptions();
      const auto it = all.find("disable-lsr");
      return it == all.end() ? nullptr : static_cast<llvm::cl::opt<bool>*>(it->second);
    }();
    return found;
  }

  std::lock_guard<std::mutex> lock_;
  bool before_ = option() && option()->getValue();
};

/// Machine code of `module` as `type`.
std::string generated(llvm::Module& module, llvm::TargetMachine& machine,
                      llvm::CodeGenFileType type) {
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream out(bytes);
  llvm::legacy::PassManager passes;
  // As addPassesToEmitFile, but for the machine scheduler: it moves the loads of a tile's step up
  // together, more than there are registers beside the sums, and sums are spilled in the innermost
  // loop.
  auto& generator = static_cast<llvm::CodeGenTargetMachineImpl&>(machine);
  auto* info = new llvm::MachineModuleInfoWrapperPass(&generator);
  llvm::TargetPassConfig* config = generator.createPassConfig(passes);
  config->setDisableVerify(true);
  config->disablePass(&llvm::MachineSchedulerID);
  passes.add(config);
  passes.add(info);
  {
    const WithoutStrengthReduction without;
    if (config->addISelPasses()) throw InternalError("the host has no code generator");
  }
  config->addMachinePasses();
  config->setInitialized();
  if (generator.addAsmPrinter(passes, out, nullptr, type, info->getMMI().getContext()))
    throw InternalError("the host has no printer of machine code");
  passes.add(llvm::createFreeMachineFunctionPass());
  passes.run(module);
  return std::string(bytes.data(), bytes.size());
}

}  // namespace

std::string object_code(llvm::Module& module, llvm::TargetMachine& machine) {
  return generated(module, machine, llvm::CodeGenFileType::ObjectFile);
}

std::string assembly(llvm::Module& module, llvm::TargetMachine& machine) {
  return generated(module, machine, llvm::CodeGenFileType::AssemblyFile);
}

}  // namespace dlc
