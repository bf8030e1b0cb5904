#pragma once
// What the two ways to emit a contraction have in common: contraction_emitter.cpp and
// dot_emitter.cpp.
#include <algorithm>
#include <functional>
#include <vector>

#include "codegen/llvm/expression_emitter.h"
#include "codegen/llvm/loops.h"
#include "codegen/native/contract_schedule.h"
#include "ir/support/integers.h"

namespace dlc {

class ContractionBase {
 public:
  using Value = llvm::Value;
  using AxisId = loop::AxisId;
  using ContractIndex = loop::ContractIndex;

  ContractionBase(const ProgramScope& scope, const loop::Kernel& k, llvm::IRBuilder<>& b,
                  ExpressionEmitter& e, Value* begin, Value* end)
      : scope_(scope),
        k_(k),
        c_(k.contraction[0]),
        r_(contract_roles(scope.program, k, scope.unit)),
        b_(b),
        e_(e),
        begin_(begin),
        end_(end) {}

 protected:
  const loop::Axis& axis(AxisId a) const { return k_.axes[static_cast<std::size_t>(a)]; }
  bool is_range(const ContractIndex& i) const { return i.axis >= 0 && i.axis == k_.outer[0]; }
  Value* number(std::int64_t v) { return b_.getInt64(static_cast<std::uint64_t>(v)); }
  Value* low(const ContractIndex& i) { return is_range(i) ? begin_ : number(0); }
  Value* high(const ContractIndex& i) { return is_range(i) ? end_ : e_.dim(i.extent); }
  /// Sixteen registers, and as many loads as multiply-adds are instructions to count.
  bool short_vectors() const { return scope_.unit.bits < 512; }
  llvm::Type* type() { return e_.value_type(c_.type); }
  llvm::FixedVectorType* vector_of(llvm::Type* t, int lanes) {
    return llvm::FixedVectorType::get(t, static_cast<unsigned>(lanes));
  }
  llvm::Type* vector() { return vector_of(type(), r_.lanes); }
  Value* zeros() { return llvm::Constant::getNullValue(vector()); }

  // As ceil_div and round_up.
  Value* divided_up(Value* x, Value* by) {
    return b_.CreateUDiv(b_.CreateAdd(x, b_.CreateSub(by, number(1))), by);
  }
  Value* rounded_up(Value* x, std::int64_t to) {
    return b_.CreateMul(divided_up(x, number(to)), number(to));
  }
  Value* smaller(Value* a, Value* b) { return b_.CreateSelect(b_.CreateICmpSLT(a, b), a, b); }
  Value* larger(Value* a, Value* b) { return b_.CreateSelect(b_.CreateICmpSGT(a, b), a, b); }

  // ---- Memory ----

  loop::BufferId u_buffer() const { return r_.u_is_a ? c_.a : c_.b; }
  loop::BufferId v_buffer() const { return r_.u_is_a ? c_.b : c_.a; }
  llvm::Align align(ElementType t) const { return e_.align(t); }
  /// Of whole vectors in memory of the kernel's own.
  llvm::Align vector_align() const {
    return llvm::Align(static_cast<std::uint64_t>(scope_.unit.bits) / 8);
  }
  /// Memory read as `lanes` elements (0: one) of a buffer's type, as numbers of the accumulator's.
  Value* load(loop::BufferId buffer, Value* offset, int lanes, Value* mask = nullptr) {
    const ElementType t = e_.element(buffer);
    llvm::Type* memory = e_.memory_type(t);
    Value* at = b_.CreateInBoundsGEP(memory, e_.buffer(buffer), offset);
    llvm::Type* whole = lanes ? vector_of(memory, lanes) : memory;
    Value* v = mask ? static_cast<Value*>(b_.CreateMaskedLoad(whole, at, align(t), mask,
                                                              llvm::Constant::getNullValue(whole)))
                    : b_.CreateAlignedLoad(whole, at, align(t));
    return e_.from_memory(t, v);
  }
  Value* stepped(Value* offset, std::int64_t steps, const Dim& stride) {
    return steps == 0 ? offset : b_.CreateAdd(offset, b_.CreateMul(number(steps), e_.dim(stride)));
  }
  Value* fma(Value* x, Value* y, Value* z) {
    return b_.CreateIntrinsic(llvm::Intrinsic::fma, {x->getType()}, {x, y, z});
  }
  Value* lanes_below(Value* count) { return e_.lanes_below(count, r_.lanes); }
  llvm::AllocaInst* array(llvm::Type* t, std::int64_t count, const char* name) {
    llvm::AllocaInst* a =
        emit_variable(b_, llvm::ArrayType::get(t, static_cast<std::uint64_t>(count)), name);
    a->setAlignment(llvm::Align(64));
    return a;
  }

  // ---- Loops ----

  /// Loops over C but for the axes `without`.
  void outer_loops(std::size_t at, const std::vector<AxisId>& without,
                   const std::function<void()>& body) {
    if (at == k_.outer.size()) return body();
    const AxisId a = k_.outer[at];
    if (std::find(without.begin(), without.end(), a) != without.end())
      return outer_loops(at + 1, without, body);
    Value* from = at == 0 ? begin_ : number(0);
    Value* to = at == 0 ? end_ : e_.dim(axis(a).extent);
    emit_loop(b_, from, to, 1, axis(a).name.c_str(), [&](Value* i) {
      e_.set_axis(a, i);
      outer_loops(at + 1, without, body);
    });
  }

  /// Loops over summed indices; the body gets two offsets, which step by the strides in a and b.
  void sum_loops(const std::vector<const ContractIndex*>& indices, std::size_t at, Value* a,
                 Value* b, const std::function<void(Value*, Value*)>& body) {
    if (at == indices.size()) return body(a, b);
    const ContractIndex& k = *indices[at];
    Value *a_step = e_.dim(k.a_stride), *b_step = e_.dim(k.b_stride);
    // A loop of a few turns inside of others costs more than its turns one after the other.
    constexpr std::int64_t kFew = 8;
    if (at > 0 && at + 1 == indices.size() && k.extent.is_constant() && k.extent.value() <= kFew) {
      for (std::int64_t i = 0; i < k.extent.value(); ++i)
        body(b_.CreateAdd(a, b_.CreateMul(number(i), a_step)),
             b_.CreateAdd(b, b_.CreateMul(number(i), b_step)));
      return;
    }
    emit_loop(b_, number(0), e_.dim(k.extent), 1, "k", [&](Value* i) {
      sum_loops(indices, at + 1, b_.CreateAdd(a, b_.CreateMul(i, a_step)),
                b_.CreateAdd(b, b_.CreateMul(i, b_step)), body);
    });
  }

  void epilogue() {
    e_.forget();
    for (const loop::Stage& s : k_.stages) e_.store_all(s.stores);
  }

  const ProgramScope& scope_;
  const loop::Kernel& k_;
  const loop::Contraction& c_;
  const ContractRoles r_;
  llvm::IRBuilder<>& b_;
  ExpressionEmitter& e_;
  Value *begin_, *end_;
};

}  // namespace dlc
