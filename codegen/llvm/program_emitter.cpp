// dlc_run(call): for each kernel the number of points of its outermost axis is known at run time.
// Little work is done by a direct call; else the call's parallel_for splits it. Both thresholds and
// chunks follow from sizes alone. The table of a kernel's buffers is filled before each call.
#include "codegen/llvm/program_emitter.h"

#include "codegen/llvm/kernel_emitter.h"
#include "codegen/llvm/loops.h"
#include "codegen/native/compiled_program.h"
#include "ir/support/check.h"

namespace dlc {

using llvm::Value;

namespace {

// In vector operations: below this a kernel is not worth waking a second thread for, and chunks are
// about so large.
constexpr std::uint64_t kParallelWork = 20000;
constexpr std::uint64_t kChunkWork = 10000;

class RunEmitter {
 public:
  RunEmitter(const ProgramScope& scope, const UniqueKernels& kernels, llvm::Function* f)
      : scope_(scope), b_(llvm::BasicBlock::Create(scope.module.getContext(), "entry", f)) {
    Value* call = f->getArg(0);
    llvm::Type* ptr = b_.getPtrTy();
    buffers_ = b_.CreateLoad(ptr, call, "buffers");
    dims_ = b_.CreateLoad(ptr, field(call, 1), "dims");
    pool_ = b_.CreateLoad(ptr, field(call, 2), "pool");
    parallel_for_ = b_.CreateLoad(ptr, field(call, 3), "parallel_for");
    for (std::size_t k = 0; k < scope.program.symbols.size(); ++k)
      symbols_.push_back(
          b_.CreateLoad(b_.getInt64Ty(), b_.CreateConstInBoundsGEP1_64(b_.getInt64Ty(), dims_, k)));
    // One table for all calls: a call is over before the next one's buffers are filled in.
    std::size_t most = 0;
    for (const UniqueKernels::Call& c : kernels.calls) most = std::max(most, c.buffers.size());
    table_ = b_.CreateAlloca(llvm::ArrayType::get(ptr, most), nullptr, "table");
  }

  void run(const loop::Kernel& k, const std::vector<loop::BufferId>& buffers, llvm::Function* f) {
    for (std::size_t i = 0; i < buffers.size(); ++i)
      b_.CreateStore(
          b_.CreateLoad(b_.getPtrTy(), field(buffers_, static_cast<std::uint64_t>(buffers[i]))),
          field(table_, i));
    if (k.outer.empty()) {
      b_.CreateCall(f, {table_, dims_, b_.getInt64(0), b_.getInt64(1)});
      return;
    }
    Value* count = dim(k.axes[static_cast<std::size_t>(k.outer[0])].extent);
    Value* each = dim(work_per_index(k, scope_.unit));
    Value* work = b_.CreateMul(count, each);
    const auto call_directly = [&] { b_.CreateCall(f, {table_, dims_, b_.getInt64(0), count}); };
    if (const auto* known = llvm::dyn_cast<llvm::ConstantInt>(work);
        known && known->getZExtValue() < kParallelWork)
      return call_directly();
    Value* little = b_.CreateICmpULT(work, b_.getInt64(kParallelWork));
    emit_if(b_, little, call_directly);
    emit_if(b_, b_.CreateNot(little), [&] {
      // Chunks of about kChunkWork, in multiples that suit the kernel's tiles.
      const auto multiple =
          static_cast<std::uint64_t>(chunk_multiple(scope_.program, k, scope_.unit));
      Value* one = b_.getInt64(1);
      Value* indices =
          b_.CreateUDiv(b_.getInt64(kChunkWork),
                        b_.CreateSelect(b_.CreateICmpEQ(each, b_.getInt64(0)), one, each));
      Value* tiles = b_.CreateAdd(b_.CreateUDiv(indices, b_.getInt64(multiple)), one);
      Value* grain = b_.CreateMul(tiles, b_.getInt64(multiple));
      llvm::Type *ptr = b_.getPtrTy(), *i64 = b_.getInt64Ty();
      auto* type = llvm::FunctionType::get(b_.getVoidTy(), {ptr, ptr, ptr, ptr, i64, i64}, false);
      b_.CreateCall(type, parallel_for_, {pool_, f, table_, dims_, count, grain});
    });
  }

  void finish() { b_.CreateRetVoid(); }

 private:
  Value* field(Value* table, std::uint64_t at) {
    return b_.CreateConstInBoundsGEP1_64(b_.getPtrTy(), table, at);
  }

  Value* dim(const Dim& d) {
    Value* sum = b_.getInt64(static_cast<std::uint64_t>(d.constant()));
    for (const auto& [monomial, coefficient] : d.terms()) {
      Value* product = b_.getInt64(static_cast<std::uint64_t>(coefficient));
      for (const std::string& s : monomial)
        product =
            b_.CreateMul(product, symbols_.at(static_cast<std::size_t>(scope_.symbol_index(s))));
      sum = b_.CreateAdd(sum, product);
    }
    return sum;
  }

  const ProgramScope& scope_;
  llvm::IRBuilder<> b_;
  Value *buffers_, *dims_, *pool_, *parallel_for_, *table_;
  std::vector<Value*> symbols_;
};

/// The module's function of that name, declared if need be. Other objects of the program call it,
/// nobody else: no detour through a table of symbols.
llvm::Function* kernel_function(llvm::Module& module, const std::string& name) {
  if (llvm::Function* known = module.getFunction(name)) return known;
  llvm::LLVMContext& c = module.getContext();
  llvm::Type *ptr = llvm::PointerType::getUnqual(c), *i64 = llvm::Type::getInt64Ty(c);
  auto* type = llvm::FunctionType::get(llvm::Type::getVoidTy(c), {ptr, ptr, i64, i64}, false);
  auto* f = llvm::Function::Create(type, llvm::Function::ExternalLinkage, name, module);
  f->setVisibility(llvm::GlobalValue::HiddenVisibility);
  f->setDSOLocal(true);
  return f;
}

}  // namespace

void emit_kernels(const UniqueKernels& kernels, const std::vector<std::size_t>& which,
                  llvm::Module& module, const VectorUnit& unit) {
  for (const std::size_t k : which) {
    const loop::Program& one = kernels.kernels[k];
    emit_kernel({one, module, unit}, one.kernels[0], kernel_function(module, one.name));
  }
}

void emit_run(const loop::Program& p, const UniqueKernels& kernels, llvm::Module& module,
              const VectorUnit& unit) {
  const ProgramScope scope{p, module, unit};
  llvm::LLVMContext& c = module.getContext();
  auto* type =
      llvm::FunctionType::get(llvm::Type::getVoidTy(c), {llvm::PointerType::getUnqual(c)}, false);
  auto* f = llvm::Function::Create(type, llvm::Function::ExternalLinkage, kRunSymbol, module);
  RunEmitter run(scope, kernels, f);
  for (std::size_t k = 0; k < p.kernels.size(); ++k) {
    const UniqueKernels::Call& call = kernels.calls[k];
    run.run(p.kernels[k], call.buffers, kernel_function(module, kernels.kernels[call.kernel].name));
  }
  run.finish();
}

}  // namespace dlc
