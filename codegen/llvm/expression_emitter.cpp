#include "codegen/llvm/expression_emitter.h"

#include <llvm/IR/Intrinsics.h>
#include <llvm/IR/Module.h>

#include <algorithm>

#include "codegen/llvm/loops.h"
#include "codegen/llvm/vector_math.h"
#include "ir/support/check.h"

namespace dlc {

using llvm::Value;
using loop::ExprId;
using loop::ExprKind;
using loop::ReduceKind;
using loop::ScalarOp;

namespace {

/// Of operands that are 16-bit floats the result is one without rounding.
bool keeps_16_bits(ScalarOp op) {
  switch (op) {
    case ScalarOp::Max:
    case ScalarOp::Min:
    case ScalarOp::Neg:
    case ScalarOp::Abs:
    case ScalarOp::Sign:
    case ScalarOp::Floor:
    case ScalarOp::Ceil:
    case ScalarOp::Round:
    case ScalarOp::Select:
      return true;
    default:
      return false;
  }
}

}  // namespace

int ProgramScope::symbol_index(const std::string& name) const {
  const std::vector<std::string> symbols = program.all_symbols();
  const auto at = std::find(symbols.begin(), symbols.end(), name);
  DLC_CHECK(at != symbols.end(), "program {} has no symbol {}", program.name, name);
  return static_cast<int>(at - symbols.begin());
}

Value* ExpressionEmitter::scratch(std::int64_t bytes) {
  Value* slot =
      b_.CreateConstInBoundsGEP1_64(b_.getPtrTy(), buffers_, scope_.program.buffers.size());
  Value* function = b_.CreateLoad(b_.getPtrTy(), slot, "scratch");
  auto* type = llvm::FunctionType::get(b_.getPtrTy(), {b_.getInt64Ty()}, false);
  return b_.CreateCall(type, function, {b_.getInt64(static_cast<std::uint64_t>(bytes))});
}

ExpressionEmitter::ExpressionEmitter(const ProgramScope& scope, const loop::Kernel& kernel,
                                     llvm::IRBuilder<>& b, Value* buffers, Value* dims)
    : scope_(scope), k_(kernel), b_(b), buffers_(buffers), dims_(dims) {
  // Pointers and sizes are loaded once, at the top of the function.
  std::vector<loop::BufferId> locals;
  for (std::size_t k = 0; k < scope.program.buffers.size(); ++k) {
    const auto id = static_cast<loop::BufferId>(k);
    bool used = false;
    for (const loop::Expr& e : kernel.exprs)
      used = used || (e.kind == ExprKind::Load && e.buffer == id);
    for (const loop::Contraction& c : kernel.contraction) used = used || c.a == id || c.b == id;
    for (const loop::Stage& s : kernel.stages)
      for (const loop::Store& st : s.stores) used = used || st.buffer == id;
    if (!used) continue;
    if (scope.program.buffers[k].kind == loop::BufferKind::Local) {
      locals.push_back(id);
      continue;
    }
    Value* slot = b_.CreateConstInBoundsGEP1_64(b_.getPtrTy(), buffers_, k);
    pointers_[id] = b_.CreateLoad(b_.getPtrTy(), slot, scope.program.buffers[k].name);
  }
  make_locals(locals);
  const std::vector<std::string> symbols = scope.program.all_symbols();
  for (std::size_t k = 0; k < symbols.size(); ++k)
    symbols_[symbols[k]] = b_.CreateLoad(
        b_.getInt64Ty(), b_.CreateConstInBoundsGEP1_64(b_.getInt64Ty(), dims_, k), symbols[k]);
}

void ExpressionEmitter::make_locals(const std::vector<loop::BufferId>& locals) {
  if (locals.empty()) return;
  constexpr std::int64_t kLine = 64;
  std::vector<std::int64_t> begins;
  std::int64_t bytes = 0;
  for (const loop::BufferId id : locals) {
    const Type& type = scope_.program.buffers[static_cast<std::size_t>(id)].type;
    begins.push_back(bytes);
    bytes += element_count(type.shape).value() * size_in_bytes(type.element);
    bytes = (bytes + kLine - 1) / kLine * kLine;
  }
  Value* first = scratch(bytes);
  for (std::size_t k = 0; k < locals.size(); ++k)
    pointers_[locals[k]] =
        b_.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), first, static_cast<std::uint64_t>(begins[k]));
}

bool ExpressionEmitter::has_locals() const {
  return std::any_of(pointers_.begin(), pointers_.end(), [&](const auto& p) {
    return scope_.program.buffers[static_cast<std::size_t>(p.first)].kind ==
           loop::BufferKind::Local;
  });
}

void ExpressionEmitter::set_axis(loop::AxisId axis, Value* index) {
  axes_[axis] = index;
  forget();
}

void ExpressionEmitter::set_vector(loop::AxisId axis, int lanes, Value* mask) {
  vector_axis_ = axis;
  lanes_ = axis < 0 ? 1 : lanes;
  mask_ = mask;
  forget();
}

llvm::Type* ExpressionEmitter::memory_type(ElementType t) const {
  switch (t) {
    case ElementType::F32:
      return b_.getFloatTy();
    case ElementType::F64:
      return b_.getDoubleTy();
    case ElementType::I32:
      return b_.getInt32Ty();
    case ElementType::I64:
      return b_.getInt64Ty();
    case ElementType::BF16:
    case ElementType::F16:
      return b_.getInt16Ty();
    case ElementType::U8:
    case ElementType::Bool:
      return b_.getInt8Ty();
  }
  throw InternalError("an element type without a type in memory");
}

llvm::Type* ExpressionEmitter::value_type(ElementType t) const {
  if (is_16_bit_float(t)) return b_.getFloatTy();
  return t == ElementType::Bool ? b_.getInt1Ty() : memory_type(t);
}

Value* ExpressionEmitter::from_memory(ElementType t, Value* v) {
  llvm::Type* type = v->getType();
  const auto like = [&](llvm::Type* element) { return type->getWithNewType(element); };
  switch (t) {
    case ElementType::Bool:
      return b_.CreateICmpNE(v, llvm::Constant::getNullValue(type));
    case ElementType::BF16:
      return b_.CreateBitCast(b_.CreateShl(b_.CreateZExt(v, like(b_.getInt32Ty())), 16),
                              like(b_.getFloatTy()));
    case ElementType::F16:
      return b_.CreateFPExt(b_.CreateBitCast(v, like(b_.getHalfTy())), like(b_.getFloatTy()));
    default:
      return v;
  }
}

Value* ExpressionEmitter::to_memory(ElementType t, Value* v) {
  const auto like = [&](llvm::Type* element) { return v->getType()->getWithNewType(element); };
  switch (t) {
    case ElementType::Bool:
      return b_.CreateZExt(v, like(b_.getInt8Ty()));
    case ElementType::BF16:
      return b_.CreateTrunc(b_.CreateLShr(b_.CreateBitCast(v, like(b_.getInt32Ty())), 16),
                            like(b_.getInt16Ty()));
    case ElementType::F16:
      return b_.CreateBitCast(b_.CreateFPTrunc(v, like(b_.getHalfTy())), like(b_.getInt16Ty()));
    default:
      return v;
  }
}

/// bf16 in integers (as in ir/support/float16.h): the instruction for it, vcvtneps2bf16, takes
/// denormals for zeros.
Value* ExpressionEmitter::rounded(ElementType t, Value* v) {
  if (!is_16_bit_float(t)) return v;
  llvm::Type* type = v->getType();
  if (t == ElementType::F16)
    return b_.CreateFPExt(b_.CreateFPTrunc(v, type->getWithNewType(b_.getHalfTy())), type);
  llvm::Type* word = type->getWithNewType(b_.getInt32Ty());
  const auto bits = [&](std::uint32_t k) { return llvm::ConstantInt::get(word, k); };
  Value* u = b_.CreateBitCast(v, word);
  Value* odd = b_.CreateAnd(b_.CreateLShr(u, 16), bits(1));
  Value* nearest = b_.CreateAdd(b_.CreateAdd(u, bits(0x7FFF)), odd);
  Value* quiet_nan = b_.CreateOr(u, bits(0x400000));
  Value* chosen = b_.CreateSelect(b_.CreateFCmpUNO(v, v), quiet_nan, nearest);
  return b_.CreateBitCast(b_.CreateAnd(chosen, bits(0xFFFF0000U)), type);
}

Value* ExpressionEmitter::splat(Value* v, int lanes) {
  if (lanes == 1 || v->getType()->isVectorTy()) return v;
  return b_.CreateVectorSplat(static_cast<unsigned>(lanes), v);
}

Value* ExpressionEmitter::dim(const Dim& d) {
  Value* sum = b_.getInt64(static_cast<std::uint64_t>(d.constant()));
  for (const auto& [monomial, coefficient] : d.terms()) {
    Value* product = b_.getInt64(static_cast<std::uint64_t>(coefficient));
    for (const std::string& s : monomial) product = b_.CreateMul(product, symbols_.at(s));
    sum = b_.CreateAdd(sum, product);
  }
  return sum;
}

Value* ExpressionEmitter::buffer(loop::BufferId b) { return pointers_.at(b); }

bool ExpressionEmitter::depends(ExprId id, loop::AxisId axis) const {
  const loop::Expr& e = k_.exprs[static_cast<std::size_t>(id)];
  if (e.kind == ExprKind::Axis) return e.axis == axis;
  if (e.operands.empty()) return false;
  const auto [known, fresh] = depends_.try_emplace({id, axis}, false);
  if (fresh)
    known->second = std::any_of(e.operands.begin(), e.operands.end(),
                                [&](ExprId o) { return depends(o, axis); });
  return known->second;
}

Value* ExpressionEmitter::lanes_below(Value* count, int lanes) {
  return emit_lanes_below(b_, count, lanes);
}

std::optional<Dim> ExpressionEmitter::coefficient(ExprId id, loop::AxisId axis) const {
  const loop::Expr& e = k_.exprs[static_cast<std::size_t>(id)];
  if (e.kind == ExprKind::Axis) return Dim(e.axis == axis ? 1 : 0);
  if (!depends(id, axis)) return Dim(0);
  if (e.kind != ExprKind::Scalar) return std::nullopt;
  if (e.op == ScalarOp::Add || e.op == ScalarOp::Sub) {
    const auto a = coefficient(e.operands[0], axis), b = coefficient(e.operands[1], axis);
    if (!a || !b) return std::nullopt;
    return e.op == ScalarOp::Add ? *a + *b : *a - *b;
  }
  if (e.op == ScalarOp::Mul)
    for (int k = 0; k < 2; ++k) {
      const loop::Expr& by =
          k_.exprs[static_cast<std::size_t>(e.operands[static_cast<std::size_t>(k)])];
      const auto a = coefficient(e.operands[static_cast<std::size_t>(1 - k)], axis);
      if (!a) continue;
      if (by.kind == ExprKind::Constant) return *a * Dim(by.integer);
      if (by.kind == ExprKind::DimValue) return *a * by.dim;
    }
  return std::nullopt;
}

bool ExpressionEmitter::is_vector(ExprId id) const {
  if (lanes_ == 1) return false;
  const loop::Expr& e = k_.exprs[static_cast<std::size_t>(id)];
  if (e.kind == ExprKind::Axis) return e.axis == vector_axis_;
  if (e.kind == ExprKind::Accumulator) return accumulator_ && accumulator_->getType()->isVectorTy();
  if (e.kind == ExprKind::RowValue)
    return row_values_.at({e.stage, e.reduction})->getType()->isVectorTy();
  if (e.operands.empty()) return false;
  const auto [known, fresh] = is_vector_.try_emplace(id, false);
  if (fresh)
    known->second =
        std::any_of(e.operands.begin(), e.operands.end(), [&](ExprId o) { return is_vector(o); });
  return known->second;
}

Value* ExpressionEmitter::evaluate(ExprId e) { return evaluate_at(e, is_vector(e)); }
Value* ExpressionEmitter::evaluate_vector(ExprId e) { return splat(evaluate(e), lanes_); }

Value* ExpressionEmitter::evaluate_at(ExprId e, bool vector) {
  if (const auto kept = kept_.find(e); kept != kept_.end()) return kept->second;
  auto& cache = vector ? vectors_ : scalars_;
  if (const auto at = cache.find(e); at != cache.end()) return at->second;
  Value* v = emit(k_.exprs[static_cast<std::size_t>(e)], vector);
  cache[e] = v;
  return v;
}

Value* ExpressionEmitter::emit(const loop::Expr& e, bool vector) {
  switch (e.kind) {
    case ExprKind::Constant:
      if (is_float(e.type)) return llvm::ConstantFP::get(value_type(e.type), e.value);
      return llvm::ConstantInt::get(value_type(e.type), static_cast<std::uint64_t>(e.integer),
                                    true);
    case ExprKind::DimValue:
      return dim(e.dim);
    case ExprKind::Axis: {
      Value* index = axes_.at(e.axis);
      if (!vector) return index;  // of a vector axis: lane 0
      Value* lanes = b_.CreateStepVector(
          llvm::FixedVectorType::get(b_.getInt64Ty(), static_cast<unsigned>(lanes_)));
      return b_.CreateAdd(splat(index, lanes_), lanes);
    }
    case ExprKind::Load:
      return emit_load(e, vector);
    case ExprKind::RowValue:
      return row_values_.at({e.stage, e.reduction});
    case ExprKind::Accumulator:
      return accumulator_;
    case ExprKind::Scalar:
      break;
  }
  std::vector<Value*> operands;
  for (const ExprId o : e.operands) {
    Value* v = evaluate_at(o, vector && is_vector(o));
    operands.push_back(vector ? splat(v, lanes_) : v);
  }
  Value* v = emit_scalar_op(e, std::move(operands));
  return keeps_16_bits(e.op) ? v : rounded(e.type, v);
}

Value* ExpressionEmitter::address(loop::BufferId b, ElementType t, Value* offset) {
  return b_.CreateInBoundsGEP(memory_type(t), buffer(b), offset);
}

void ExpressionEmitter::prefetch(ExprId id, std::int64_t bytes) {
  constexpr std::int64_t kLine = 64;
  const loop::Expr& load = k_.exprs[static_cast<std::size_t>(id)];
  Value* offset = evaluate_at(load.operands[0], false);
  const std::int64_t size = size_in_bytes(load.type);
  const auto skip = [&](std::int64_t elements) {
    // Not in bounds: it may lie behind the end.
    prefetch(b_.CreateGEP(memory_type(load.type), pointers_.at(load.buffer),
                          b_.CreateAdd(offset, b_.getInt64(static_cast<std::uint64_t>(elements)))));
  };
  for (std::int64_t byte = 0; byte < bytes; byte += kLine) skip(byte / size);
  if (bytes > size) skip(bytes / size - 1);  // it may begin anywhere in a line
}

void ExpressionEmitter::prefetch(Value* at, Cache into, bool to_write) {
  enum { kRead, kWrite, kData = 1 };
  b_.CreateIntrinsic(llvm::Intrinsic::prefetch, {b_.getPtrTy()},
                     {at, b_.getInt32(to_write ? kWrite : kRead),
                      b_.getInt32(into == Cache::First ? 3 : 2), b_.getInt32(kData)});
}

void ExpressionEmitter::prefetch(const loop::Store& s) {
  llvm::Type* memory =
      memory_type(scope_.program.buffers[static_cast<std::size_t>(s.buffer)].type.element);
  prefetch(b_.CreateGEP(memory, pointers_.at(s.buffer), evaluate_at(s.offset, false)), Cache::First,
           true);
}

void ExpressionEmitter::store_all(const std::vector<loop::Store>& stores, bool accumulate) {
  for (const loop::Store& s : stores) {
    evaluate(s.value);
    evaluate(s.offset);
  }
  for (const loop::Store& s : stores) store(s, accumulate);
}

void ExpressionEmitter::store(const loop::Store& s, bool accumulate) {
  const ElementType t = scope_.program.buffers[static_cast<std::size_t>(s.buffer)].type.element;
  const bool varies = lanes_ > 1 && depends(s.offset, vector_axis_);
  Value* v = varies ? evaluate_vector(s.value) : evaluate(s.value);
  // Along a vector axis of one element sums are vectors, though the offset does not vary.
  if (!varies && v->getType()->isVectorTy()) v = b_.CreateExtractElement(v, std::uint64_t{0});
  v = to_memory(t, v);
  const auto step = coefficient(s.offset, vector_axis_);
  if (!varies || (step && *step == Dim(1))) {
    Value* at = address(s.buffer, t, evaluate_at(s.offset, false));
    if (accumulate) {
      Value* old =
          varies && mask_
              ? static_cast<Value*>(b_.CreateMaskedLoad(v->getType(), at, align(t), mask_,
                                                        llvm::Constant::getNullValue(v->getType())))
              : b_.CreateAlignedLoad(v->getType(), at, align(t));
      v = is_float(t) ? b_.CreateFAdd(old, v) : b_.CreateAdd(old, v);
    }
    if (varies && mask_)
      b_.CreateMaskedStore(v, at, align(t), mask_);
    else
      b_.CreateAlignedStore(v, at, align(t));
  } else {
    Value* all = mask_ ? mask_ : splat(b_.getTrue(), lanes_);
    b_.CreateMaskedScatter(v, address(s.buffer, t, evaluate_at(s.offset, true)), align(t), all);
  }
}

Value* ExpressionEmitter::compare(ScalarOp op, ElementType t, Value* a, Value* b) {
  if (is_float(t)) {
    switch (op) {
      case ScalarOp::Eq:
        return b_.CreateFCmpOEQ(a, b);
      case ScalarOp::Ne:
        return b_.CreateFCmpUNE(a, b);
      case ScalarOp::Lt:
        return b_.CreateFCmpOLT(a, b);
      default:
        return b_.CreateFCmpOLE(a, b);
    }
  }
  switch (op) {
    case ScalarOp::Eq:
      return b_.CreateICmpEQ(a, b);
    case ScalarOp::Ne:
      return b_.CreateICmpNE(a, b);
    case ScalarOp::Lt:
      return is_unsigned(t) ? b_.CreateICmpULT(a, b) : b_.CreateICmpSLT(a, b);
    default:
      return is_unsigned(t) ? b_.CreateICmpULE(a, b) : b_.CreateICmpSLE(a, b);
  }
}

Value* ExpressionEmitter::emit_convert(Value* v, ElementType from, ElementType to) {
  if (from == to) return v;
  llvm::Type* type = value_type(to);
  if (v->getType()->isVectorTy())
    type = llvm::FixedVectorType::get(type, static_cast<unsigned>(lanes_));
  if (to == ElementType::Bool)
    return is_float(from) ? b_.CreateFCmpUNE(v, llvm::Constant::getNullValue(v->getType()))
                          : b_.CreateICmpNE(v, llvm::Constant::getNullValue(v->getType()));
  if (is_float(from) && is_float(to)) return b_.CreateFPCast(v, type);
  if (is_float(to)) return is_unsigned(from) ? b_.CreateUIToFP(v, type) : b_.CreateSIToFP(v, type);
  if (is_float(from)) {
    const auto id =
        to == ElementType::U8 ? llvm::Intrinsic::fptoui_sat : llvm::Intrinsic::fptosi_sat;
    return b_.CreateIntrinsic(id, {type, v->getType()}, {v});
  }
  return is_unsigned(from) ? b_.CreateZExtOrTrunc(v, type) : b_.CreateSExtOrTrunc(v, type);
}

/// a / b, rounded. Dividing takes ten times as long as multiplying, so pictures (bytes over 255)
/// are multiplied by the reciprocal, and the rest that this leaves once more, where all 256
/// quotients come out the same.
Value* ExpressionEmitter::emit_quotient(const loop::Expr& e, Value* a, Value* b) {
  const auto& dividend = k_.exprs[static_cast<std::size_t>(e.operands[0])];
  const auto& divisor = k_.exprs[static_cast<std::size_t>(e.operands[1])];
  const bool is_byte =
      dividend.kind == ExprKind::Scalar && dividend.op == ScalarOp::Convert &&
      k_.exprs[static_cast<std::size_t>(dividend.operands[0])].type == ElementType::U8;
  if (e.type != ElementType::F32 || !is_byte || divisor.kind != ExprKind::Constant)
    return b_.CreateFDiv(a, b);
  const auto d = static_cast<float>(divisor.value), r = 1 / d;
  for (int k = 0; k < 256; ++k) {
    const auto x = static_cast<float>(k), q = x * r;
    if (std::fma(std::fma(-q, d, x), r, q) != x / d) return b_.CreateFDiv(a, b);
  }
  const auto fma = [&](Value* x, Value* y, Value* z) {
    return b_.CreateIntrinsic(llvm::Intrinsic::fma, {x->getType()}, {x, y, z});
  };
  Value* reciprocal = llvm::ConstantFP::get(a->getType(), static_cast<double>(r));
  Value* quotient = b_.CreateFMul(a, reciprocal);
  return fma(fma(b_.CreateFNeg(quotient), b, a), reciprocal, quotient);
}

/// Floor division and the remainder that goes with it; by zero 0 and the dividend.
Value* ExpressionEmitter::emit_divide(ElementType t, Value* a, Value* b, bool remainder) {
  llvm::Type* type = a->getType();
  Value *zero = llvm::Constant::getNullValue(type), *one = llvm::ConstantInt::get(type, 1);
  Value* by_zero = b_.CreateICmpEQ(b, zero);
  Value* divisor = b_.CreateSelect(by_zero, one, b);
  if (is_unsigned(t)) {
    if (!remainder) return b_.CreateSelect(by_zero, zero, b_.CreateUDiv(a, divisor));
    return b_.CreateSelect(by_zero, a, b_.CreateURem(a, divisor));
  }
  // The quotient by -1 overflows for the least number: negate instead.
  Value* by_minus_one = b_.CreateICmpEQ(b, llvm::Constant::getAllOnesValue(type));
  divisor = b_.CreateSelect(by_minus_one, one, divisor);
  Value* quotient = b_.CreateSDiv(a, divisor);
  Value* rest = b_.CreateSub(a, b_.CreateMul(quotient, divisor));
  Value* adjust = b_.CreateAnd(b_.CreateICmpNE(rest, zero),
                               b_.CreateICmpSLT(b_.CreateXor(rest, divisor), zero));
  if (remainder) {
    Value* r = b_.CreateSelect(adjust, b_.CreateAdd(rest, divisor), rest);
    return b_.CreateSelect(by_zero, a, b_.CreateSelect(by_minus_one, zero, r));
  }
  quotient = b_.CreateSelect(adjust, b_.CreateSub(quotient, one), quotient);
  quotient = b_.CreateSelect(by_minus_one, b_.CreateNeg(a), quotient);
  return b_.CreateSelect(by_zero, zero, quotient);
}

/// Threefry-2x32-20; the definition stands in ir/ops/sources.cpp.
Value* ExpressionEmitter::emit_threefry(const std::vector<Value*>& o) {
  llvm::Type* wide = o[3]->getType();
  llvm::Type* narrow = wide->isVectorTy() ? static_cast<llvm::Type*>(llvm::FixedVectorType::get(
                                                b_.getInt32Ty(), static_cast<unsigned>(lanes_)))
                                          : b_.getInt32Ty();
  const auto word = [&](std::uint32_t v) { return llvm::ConstantInt::get(narrow, v); };
  const auto low = [&](Value* v) { return b_.CreateTrunc(v, narrow); };
  const auto high = [&](Value* v) {
    return b_.CreateTrunc(b_.CreateLShr(v, llvm::ConstantInt::get(wide, 32)), narrow);
  };
  Value* k0 = low(o[0]);
  Value* k1 = b_.CreateXor(high(o[0]), b_.CreateMul(low(o[2]), word(0x9E3779B9u)));
  Value* keys[3] = {k0, k1, b_.CreateXor(b_.CreateXor(k0, k1), word(0x1BD11BDAu))};
  static constexpr std::uint32_t kRotations[8] = {13, 15, 26, 6, 17, 29, 16, 24};
  Value* x0 = b_.CreateAdd(low(o[3]), keys[0]);
  Value* x1 = b_.CreateAdd(b_.CreateXor(high(o[3]), low(o[1])), keys[1]);
  for (int round = 0; round < 20; ++round) {
    const std::uint32_t r = kRotations[round % 8];
    x0 = b_.CreateAdd(x0, x1);
    x1 = b_.CreateOr(b_.CreateShl(x1, word(r)), b_.CreateLShr(x1, word(32 - r)));
    x1 = b_.CreateXor(x1, x0);
    if (round % 4 != 3) continue;
    const int block = round / 4 + 1;
    x0 = b_.CreateAdd(x0, keys[block % 3]);
    x1 = b_.CreateAdd(b_.CreateAdd(x1, keys[(block + 1) % 3]),
                      word(static_cast<std::uint32_t>(block)));
  }
  return b_.CreateZExt(x0, wide);
}

Value* ExpressionEmitter::emit_scalar_op(const loop::Expr& e, std::vector<Value*> o) {
  const ElementType t = e.type;
  const ElementType from = k_.exprs[static_cast<std::size_t>(e.operands[0])].type;
  const bool f = is_float(from);
  VectorMath math(b_);
  const auto unary = [&](llvm::Intrinsic::ID id) { return b_.CreateUnaryIntrinsic(id, o[0]); };
  Value* zero = llvm::Constant::getNullValue(o[0]->getType());
  switch (e.op) {
    case ScalarOp::Add:
      return f ? b_.CreateFAdd(o[0], o[1]) : b_.CreateAdd(o[0], o[1]);
    case ScalarOp::Sub:
      return f ? b_.CreateFSub(o[0], o[1]) : b_.CreateSub(o[0], o[1]);
    case ScalarOp::Mul:
      return f ? b_.CreateFMul(o[0], o[1]) : b_.CreateMul(o[0], o[1]);
    case ScalarOp::Div:
      return f ? emit_quotient(e, o[0], o[1]) : emit_divide(t, o[0], o[1], false);
    case ScalarOp::Rem:
      return f ? math.remainder(o[0], o[1]) : emit_divide(t, o[0], o[1], true);
    case ScalarOp::Pow:
      return math.pow(o[0], o[1]);
    case ScalarOp::Max:
      return combine(ReduceKind::Max, t, o[0], o[1]);
    case ScalarOp::Min:
      return combine(ReduceKind::Min, t, o[0], o[1]);
    case ScalarOp::Eq:
    case ScalarOp::Ne:
    case ScalarOp::Lt:
    case ScalarOp::Le:
      return compare(e.op, from, o[0], o[1]);
    case ScalarOp::And:
      return b_.CreateAnd(o[0], o[1]);
    case ScalarOp::Or:
      return b_.CreateOr(o[0], o[1]);
    case ScalarOp::Neg:
      return f ? b_.CreateFNeg(o[0]) : b_.CreateNeg(o[0]);
    case ScalarOp::Abs:
      if (f) return unary(llvm::Intrinsic::fabs);
      return is_unsigned(t)
                 ? o[0]
                 : b_.CreateSelect(b_.CreateICmpSLT(o[0], zero), b_.CreateNeg(o[0]), o[0]);
    case ScalarOp::Sign: {
      const auto number = [&](int v) -> Value* {
        return f ? llvm::ConstantFP::get(o[0]->getType(), v)
                 : llvm::ConstantInt::getSigned(o[0]->getType(), v);
      };
      Value* rest = f ? o[0] : zero;  // zeros and NaN stay as they are
      Value* negative =
          is_unsigned(t) ? rest
                         : b_.CreateSelect(compare(ScalarOp::Lt, t, o[0], zero), number(-1), rest);
      return b_.CreateSelect(compare(ScalarOp::Lt, t, zero, o[0]), number(1), negative);
    }
    case ScalarOp::Floor:
      return unary(llvm::Intrinsic::floor);
    case ScalarOp::Ceil:
      return unary(llvm::Intrinsic::ceil);
    case ScalarOp::Round:
      return unary(llvm::Intrinsic::roundeven);
    case ScalarOp::Sqrt:
      return unary(llvm::Intrinsic::sqrt);
    case ScalarOp::Rsqrt:
      return math.rsqrt(o[0]);
    case ScalarOp::Cbrt:
      return math.cbrt(o[0]);
    case ScalarOp::Exp:
      return math.exp(o[0]);
    case ScalarOp::Exp2:
      return math.exp2(o[0]);
    case ScalarOp::Expm1:
      return math.expm1(o[0]);
    case ScalarOp::Log:
      return math.log(o[0]);
    case ScalarOp::Log2:
      return math.log2(o[0]);
    case ScalarOp::Log1p:
      return math.log1p(o[0]);
    case ScalarOp::Tanh:
      return math.tanh(o[0]);
    case ScalarOp::Sigmoid:
      return math.sigmoid(o[0]);
    case ScalarOp::Sin:
      return math.sin(o[0]);
    case ScalarOp::Cos:
      return math.cos(o[0]);
    case ScalarOp::Erf:
      return math.erf(o[0]);
    case ScalarOp::Erfc:
      return math.erfc(o[0]);
    case ScalarOp::Not:
      return b_.CreateNot(o[0]);
    case ScalarOp::Convert:
      return emit_convert(o[0], from, t);
    case ScalarOp::Select:
      return b_.CreateSelect(o[0], o[1], o[2]);
    case ScalarOp::Threefry:
      return emit_threefry(o);
  }
  throw InternalError("a scalar operation without code");
}

}  // namespace dlc
