// Three functions:
//
//   dlc_kernels(call, tables)   the kernels in order, each with its table of buffers
//   dlc_run(call)               fills the tables, then that
//   dlc_run_steps(call, steps)  fills the tables once, then repeats that; what changes from step to
//                               step is the place of the row numbers and the scalar "step"
//
// or dlc_run alone, with the kernels in it, for a program that is no step.
//
// For each kernel the number of points of its outermost axis is known at run time. Little work is
// done by a direct call; else the call's parallel_for splits it. Both thresholds and chunks follow
// from sizes alone.
#include "codegen/llvm/program_emitter.h"

#include <cstddef>
#include <functional>
#include <limits>

#include "codegen/llvm/kernel_emitter.h"
#include "codegen/llvm/loops.h"
#include "codegen/native/compiled_program.h"
#include "codegen/native/step_buffers.h"
#include "ir/support/check.h"

namespace dlc {

using llvm::Value;

namespace {

// In vector operations: below this a kernel is not worth waking a second thread for, and chunks are
// about so large.
constexpr std::uint64_t kParallelWork = 20000;
constexpr std::uint64_t kChunkWork = 4000;

/// What the functions of a program have in common.
class FunctionEmitter {
 public:
  FunctionEmitter(const ProgramScope& scope, llvm::Function* f)
      : scope_(scope),
        f_(f),
        call_(f->getArg(0)),
        b_(llvm::BasicBlock::Create(scope.module.getContext(), "entry", f)) {}

 protected:
  Value* at(Value* base, std::size_t bytes) {
    return b_.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), base, bytes);
  }
  Value* load_ptr(Value* base, std::size_t bytes, const char* name = "") {
    return b_.CreateLoad(b_.getPtrTy(), at(base, bytes), name);
  }
  Value* load_int(Value* base, std::size_t bytes, const char* name = "") {
    return b_.CreateLoad(b_.getInt64Ty(), at(base, bytes), name);
  }
  Value* entry(Value* table, std::size_t k) { return at(table, k * sizeof(void*)); }

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
  /// Each kernel's table of what the call gives, in call.tables.
  Value* fill_tables(const UniqueKernels& kernels) {
    Value* buffers = load_ptr(call_, offsetof(dlc_call, buffers), "buffers");
    Value* tables = load_ptr(call_, offsetof(dlc_call, tables), "tables");
    Value* scratch = load_ptr(call_, offsetof(dlc_call, scratch), "scratch");
    std::size_t to = 0;
    for (const UniqueKernels::Call& c : kernels.calls) {
      for (const loop::BufferId id : c.buffers)
        b_.CreateStore(load_ptr(buffers, static_cast<std::size_t>(id) * sizeof(void*)),
                       entry(tables, to++));
      b_.CreateStore(scratch, entry(tables, to++));
    }
    return tables;
  }
  void load_symbols() {
    dims_ = load_ptr(call_, offsetof(dlc_call, dims), "dims");
    for (std::size_t k = 0; k < scope_.program.symbols.size(); ++k)
      symbols_.push_back(load_int(dims_, k * sizeof(std::int64_t)));
    if (scope_.program.loops.empty()) return;
    // Kernels see the symbols of loops behind those of the call: in a copy of the function's own.
    const auto count = static_cast<std::uint64_t>(scope_.program.all_symbols().size());
    dims_ = b_.CreateAlloca(b_.getInt64Ty(), b_.getInt64(count), "dims");
    for (std::size_t k = 0; k < symbols_.size(); ++k)
      b_.CreateStore(symbols_[k], at(dims_, k * sizeof(std::int64_t)));
  }
  Value* symbol_place(const std::string& name) {
    return at(dims_, static_cast<std::size_t>(scope_.symbol_index(name)) * sizeof(std::int64_t));
  }

  const ProgramScope& scope_;
  llvm::Function* f_;
  Value* call_;
  llvm::IRBuilder<> b_;
  Value* dims_ = nullptr;
  std::vector<Value*> symbols_;
};

/// The kernels in order: dlc_kernels, whose tables its caller fills, or all of dlc_run.
class KernelsEmitter : FunctionEmitter {
 public:
  KernelsEmitter(const ProgramScope& scope, const UniqueKernels& kernels, llvm::Function* f,
                 bool profile, const std::function<llvm::Function*(std::size_t)>& function_of)
      : FunctionEmitter(scope, f), kernels_(kernels), function_of_(function_of), profile_(profile) {
    tables_ = f->arg_size() > 1 ? f->getArg(1) : fill_tables(kernels);
    load_symbols();
    pool_ = load_ptr(call_, offsetof(dlc_call, pool), "pool");
    parallel_for_ = load_ptr(call_, offsetof(dlc_call, parallel_for), "parallel_for");
  }

  void all() {
    range(0, static_cast<int>(scope_.program.kernels.size()), 0);
    b_.CreateRetVoid();
  }

 private:
  /// Kernels [first, last); the loops from number `next` on are those that begin among them.
  std::size_t range(int first, int last, std::size_t next) {
    const std::vector<loop::Loop>& loops = scope_.program.loops;
    for (int k = first; k < last;) {
      if (next == loops.size() || loops[next].first != k || loops[next].first == loops[next].last) {
        kernel(static_cast<std::size_t>(k++));
        continue;
      }
      const loop::Loop& l = loops[next];
      Value *turns = dim(l.extent), *one = b_.getInt64(1);
      if (l.condition >= 0) turns = b_.CreateSelect(condition(l), turns, b_.getInt64(0));
      emit_loop(b_, b_.getInt64(0), turns, 1, "turn", [&](Value* i) {
        Value* turn = l.reverse ? b_.CreateSub(b_.CreateSub(turns, one), i) : i;
        b_.CreateStore(turn, symbol_place(l.index));
        b_.CreateStore(b_.CreateAnd(i, one), symbol_place(l.odd));
        next = range(l.first, l.last, next + 1);
      });
      b_.CreateStore(b_.CreateAnd(turns, one), symbol_place(l.odd));
      k = l.last;
    }
    return next;
  }

  Value* condition(const loop::Loop& l) {
    Value* buffers = load_ptr(call_, offsetof(dlc_call, buffers));
    Value* bytes = load_ptr(buffers, static_cast<std::size_t>(l.condition) * sizeof(void*));
    Value* place = b_.CreateGEP(b_.getInt8Ty(), bytes, dim(l.condition_offset));
    return b_.CreateICmpNE(b_.CreateLoad(b_.getInt8Ty(), place), b_.getInt8(0));
  }

  void kernel(std::size_t number) {
    table_ = entry(tables_, first_);
    first_ += kernels_.calls[number].buffers.size() + 1;
    run(scope_.program.kernels[number], function_of_(number));
    if (!profile_) return;
    Value* hook = load_ptr(call_, offsetof(dlc_call, on_kernel));
    Value* data = load_ptr(call_, offsetof(dlc_call, hook_data));
    auto* type = llvm::FunctionType::get(b_.getVoidTy(), {b_.getPtrTy(), b_.getInt32Ty()}, false);
    b_.CreateCall(type, hook, {data, b_.getInt32(number_++)});
  }

  void run(const loop::Kernel& k, llvm::Function* f) {
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

  const UniqueKernels& kernels_;
  const std::function<llvm::Function*(std::size_t)>& function_of_;
  Value *tables_, *table_ = nullptr, *pool_, *parallel_for_;
  bool profile_;
  std::size_t first_ = 0;  // entry of the next kernel's table
  std::uint32_t number_ = 0;
};

/// dlc_run and dlc_run_steps.
class EntryEmitter : FunctionEmitter {
 public:
  EntryEmitter(const ProgramScope& scope, const UniqueKernels& kernels, llvm::Function* f)
      : FunctionEmitter(scope, f), kernels_(kernels), tables_(fill_tables(kernels)) {
    buffers_ = load_ptr(call_, offsetof(dlc_call, buffers), "buffers");
  }

  void run(llvm::Function* kernels) {
    b_.CreateCall(kernels, {call_, tables_});
    b_.CreateRetVoid();
  }

  void run_steps(llvm::Function* kernels) {
    const StepBuffers step = step_buffers(scope_.program);
    Value* steps = f_->getArg(1);
    load_symbols();
    Value *one = b_.getInt64(1), *rows = one;
    if (step.rows >= 0) rows = dim(buffer_type(step.rows).shape[0]);
    Value* weight = b_.CreateSIToFP(rows, b_.getDoubleTy(), "weight");
    Value* max_steps = load_int(steps, offsetof(dlc_steps, max_steps));
    Value* stop = load_ptr(steps, offsetof(dlc_steps, stop));
    Value* sums = load_ptr(steps, offsetof(dlc_steps, sums));
    Value* first_rows = step.rows >= 0 ? buffer(step.rows) : nullptr;
    const auto block = [&](const char* name) {
      return llvm::BasicBlock::Create(scope_.module.getContext(), name, f_);
    };
    llvm::BasicBlock *before = b_.GetInsertBlock(), *loop = block("step"), *add = block("add"),
                     *leave = block("leave");
    b_.CreateBr(loop);
    b_.SetInsertPoint(loop);
    llvm::PHINode* done = b_.CreatePHI(b_.getInt64Ty(), 2);
    llvm::PHINode* loss_before = b_.CreatePHI(b_.getDoubleTy(), 2);
    done->addIncoming(b_.getInt64(0), before);
    loss_before->addIncoming(llvm::ConstantFP::get(b_.getDoubleTy(), 0), before);
    if (first_rows)
      move_rows(step.rows, b_.CreateGEP(b_.getInt32Ty(), first_rows, b_.CreateMul(done, rows)));
    b_.CreateCall(kernels, {call_, tables_});
    Value* now_done = b_.CreateAdd(done, one);
    if (step.step >= 0) {
      Value* place = buffer(step.step);
      b_.CreateStore(b_.CreateAdd(b_.CreateLoad(b_.getInt64Ty(), place), one), place);
    }
    Value* loss = metric(step.metrics[0]);
    Value* size = b_.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, loss);
    Value* infinite =
        llvm::ConstantFP::get(b_.getDoubleTy(), std::numeric_limits<double>::infinity());
    b_.CreateCondBr(b_.CreateFCmpOLT(size, infinite), add, leave);

    b_.SetInsertPoint(add);
    for (std::size_t k = 0; k < step.metrics.size(); ++k) {
      Value* value = k == 0 ? loss : metric(step.metrics[k]);
      Value* sum = at(sums, k * sizeof(double));
      Value* old = b_.CreateLoad(b_.getDoubleTy(), sum);
      b_.CreateStore(b_.CreateFAdd(old, b_.CreateFMul(weight, value)), sum);
    }
    // A signal handler or another thread sets the flag.
    llvm::LoadInst* flag = b_.CreateLoad(b_.getInt8Ty(), stop);
    flag->setAtomic(llvm::AtomicOrdering::Monotonic);
    flag->setAlignment(llvm::Align(1));
    Value* more =
        b_.CreateAnd(b_.CreateICmpEQ(flag, b_.getInt8(0)), b_.CreateICmpSLT(now_done, max_steps));
    done->addIncoming(now_done, add);
    loss_before->addIncoming(loss, add);
    b_.CreateCondBr(more, loop, leave);

    b_.SetInsertPoint(leave);
    b_.CreateStore(now_done, at(steps, offsetof(dlc_steps, done)));
    b_.CreateStore(loss, at(steps, offsetof(dlc_steps, loss)));
    b_.CreateStore(loss_before, at(steps, offsetof(dlc_steps, loss_before)));
    b_.CreateRetVoid();
  }

 private:
  const Type& buffer_type(loop::BufferId id) const {
    return scope_.program.buffers[static_cast<std::size_t>(id)].type;
  }
  Value* buffer(loop::BufferId id) {
    return load_ptr(buffers_, static_cast<std::size_t>(id) * sizeof(void*));
  }

  /// Points the kernels' tables at the row numbers of a step.
  void move_rows(loop::BufferId rows, Value* to) {
    std::size_t at = 0;
    for (const UniqueKernels::Call& c : kernels_.calls) {
      for (const loop::BufferId id : c.buffers) {
        if (id == rows) b_.CreateStore(to, entry(tables_, at));
        ++at;
      }
      ++at;  // the scratch memory
    }
  }

  /// A scalar output's value in f64.
  Value* metric(loop::BufferId id) {
    Value* place = buffer(id);
    llvm::Type* f64 = b_.getDoubleTy();
    switch (buffer_type(id).element) {
      case ElementType::F64:
        return b_.CreateLoad(f64, place);
      case ElementType::F32:
        return b_.CreateFPExt(b_.CreateLoad(b_.getFloatTy(), place), f64);
      case ElementType::BF16:
        return b_.CreateFPExt(b_.CreateLoad(b_.getBFloatTy(), place), f64);
      case ElementType::F16:
        return b_.CreateFPExt(b_.CreateLoad(b_.getHalfTy(), place), f64);
      case ElementType::I32:
        return b_.CreateSIToFP(b_.CreateLoad(b_.getInt32Ty(), place), f64);
      case ElementType::I64:
        return b_.CreateSIToFP(b_.CreateLoad(b_.getInt64Ty(), place), f64);
      case ElementType::U8:
      case ElementType::Bool:
        return b_.CreateUIToFP(b_.CreateLoad(b_.getInt8Ty(), place), f64);
    }
    throw InternalError("a metric of no type");
  }

  const UniqueKernels& kernels_;
  Value *tables_, *buffers_ = nullptr;
};

llvm::Function* new_function(llvm::Module& module, const std::string& name,
                             llvm::Function::LinkageTypes linkage,
                             const std::vector<llvm::Type*>& parameters) {
  auto* type =
      llvm::FunctionType::get(llvm::Type::getVoidTy(module.getContext()), parameters, false);
  return llvm::Function::Create(type, linkage, name, module);
}

/// The module's function of that name, declared if need be. Other objects of the program call it,
/// nobody else: no detour through a table of symbols.
llvm::Function* kernel_function(llvm::Module& module, const std::string& name) {
  if (llvm::Function* known = module.getFunction(name)) return known;
  llvm::LLVMContext& c = module.getContext();
  llvm::Type *ptr = llvm::PointerType::getUnqual(c), *i64 = llvm::Type::getInt64Ty(c);
  auto* f = new_function(module, name, llvm::Function::ExternalLinkage, {ptr, ptr, i64, i64});
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

void emit_entries(const loop::Program& p, const UniqueKernels& kernels, llvm::Module& module,
                  const VectorUnit& unit, bool profile) {
  const ProgramScope scope{p, module, unit};
  llvm::Type* ptr = llvm::PointerType::getUnqual(module.getContext());
  constexpr auto kInside = llvm::Function::InternalLinkage;
  constexpr auto kOutside = llvm::Function::ExternalLinkage;
  llvm::Function* run = new_function(module, kRunSymbol, kOutside, {ptr});
  // A program that is called once at a time needs no function within it.
  llvm::Function* in_order =
      is_step(p) ? new_function(module, "dlc_kernels", kInside, {ptr, ptr}) : run;
  KernelsEmitter(scope, kernels, in_order, profile, [&](std::size_t k) {
    return kernel_function(module, kernels.kernels[kernels.calls[k].kernel].name);
  }).all();
  if (!is_step(p)) return;
  EntryEmitter(scope, kernels, run).run(in_order);
  EntryEmitter(scope, kernels, new_function(module, kRunStepsSymbol, kOutside, {ptr, ptr}))
      .run_steps(in_order);
}

}  // namespace dlc
