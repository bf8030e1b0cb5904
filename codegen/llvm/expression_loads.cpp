// Loads of an expression: one element, or a vector of them along the axis that runs in vectors.
//
//   step 1      one load
//   step 2..4   that many loads side by side, of which every step-th element is kept (the windows
//               of a pooling)
//   repeated    an index i / d: a vector of fewer elements, each d times (its gradient)
//   clamped     an index max(0, min(e, last)) of step 1: one masked load, and the ends where it
//               leaves them (padding, concat)
//   else        a gather, which takes as long as loading one by one
#include <llvm/IR/Intrinsics.h>

#include "codegen/llvm/expression_emitter.h"

namespace dlc {

using llvm::Value;
using loop::ExprId;
using loop::ExprKind;
using loop::ScalarOp;

Value* ExpressionEmitter::emit_load(const loop::Expr& e, bool vector) {
  const ExprId offset = e.operands[0];
  llvm::Type* type = memory_type(e.type);
  if (!vector)
    return from_memory(
        e.type, b_.CreateAlignedLoad(type, address(e.buffer, e.type, evaluate_at(offset, false)),
                                     align(e.type)));
  llvm::Type* vector_type = llvm::FixedVectorType::get(type, static_cast<unsigned>(lanes_));
  const auto step = coefficient(offset, vector_axis_);
  if (step && *step == Dim(1)) {
    Value* at = address(e.buffer, e.type, evaluate_at(offset, false));
    return from_memory(
        e.type, mask_ ? b_.CreateMaskedLoad(vector_type, at, align(e.type), mask_,
                                            llvm::Constant::getNullValue(vector_type))
                      : static_cast<Value*>(b_.CreateAlignedLoad(vector_type, at, align(e.type))));
  }
  if (step && step->is_constant() && step->value() > 1 && step->value() <= kFewApart)
    return from_memory(e.type, strided(e, step->value()));
  if (const auto d = repetition(offset); d && lanes_ % *d == 0)
    return from_memory(e.type, repeated(e, *d));
  if (const auto c = vector_axis_ >= 0 ? clamp_in(offset, vector_axis_) : std::nullopt)
    return from_memory(e.type, clamped(e, *c));
  Value* places = address(e.buffer, e.type, evaluate_at(offset, true));
  Value* all = mask_ ? mask_ : splat(b_.getTrue(), lanes_);
  return from_memory(e.type, b_.CreateMaskedGather(vector_type, places, align(e.type), all,
                                                   llvm::Constant::getNullValue(vector_type)));
}

bool ExpressionEmitter::in_rows(ExprId offset, loop::AxisId axis) const {
  const auto step = coefficient(offset, axis);
  return (step && step->is_constant() && step->value() >= 0 && step->value() <= kFewApart) ||
         clamp_in(offset, axis);
}

/// Elements `step` apart. Only they are read: what lies between the last one and the end of its
/// vector may not be there.
Value* ExpressionEmitter::strided(const loop::Expr& e, std::int64_t step) {
  llvm::Type* type = memory_type(e.type);
  llvm::Type* vector_type = llvm::FixedVectorType::get(type, static_cast<unsigned>(lanes_));
  Value* first = address(e.buffer, e.type, evaluate_at(e.operands[0], false));
  Value* result = llvm::PoisonValue::get(vector_type);
  for (std::int64_t part = 0; part < step; ++part) {
    std::vector<llvm::Constant*> kept;
    std::vector<int> owner, from;
    for (int lane = 0; lane < lanes_; ++lane) {
      const std::int64_t element = part * lanes_ + lane;
      kept.push_back(b_.getInt1(element % step == 0));
      owner.push_back(static_cast<int>(element / step));
      const std::int64_t wanted = lane * step;
      from.push_back(wanted / lanes_ == part ? lanes_ + static_cast<int>(wanted % lanes_) : lane);
    }
    Value* mask = llvm::ConstantVector::get(kept);
    if (mask_) mask = b_.CreateAnd(mask, b_.CreateShuffleVector(mask_, owner));
    Value* at =
        b_.CreateInBoundsGEP(type, first, b_.getInt64(static_cast<std::uint64_t>(part * lanes_)));
    Value* loaded = b_.CreateMaskedLoad(vector_type, at, align(e.type), mask,
                                        llvm::Constant::getNullValue(vector_type));
    result = b_.CreateShuffleVector(result, loaded, from);
  }
  return result;
}

/// Where lanes l and l + 1 read the same element but for each d-th: d, if the vectors begin at
/// multiples of it.
std::optional<int> ExpressionEmitter::repetition(ExprId offset) const {
  const bool from_zero = vector_axis_ >= 0 &&
                         k_.axes[static_cast<std::size_t>(vector_axis_)].piece < 0 &&
                         (k_.outer.empty() || vector_axis_ != k_.outer[0]);
  if (!from_zero) return std::nullopt;
  const loop::Expr& e = k_.exprs[static_cast<std::size_t>(offset)];
  if (e.kind != ExprKind::Scalar) return std::nullopt;
  const auto operand = [&](std::size_t k) -> const loop::Expr& {
    return k_.exprs[static_cast<std::size_t>(e.operands[k])];
  };
  if (e.op == ScalarOp::Add)
    for (std::size_t k = 0; k < 2; ++k)
      if (!depends(e.operands[1 - k], vector_axis_)) return repetition(e.operands[k]);
  if (e.op == ScalarOp::Div && operand(0).kind == ExprKind::Axis &&
      operand(0).axis == vector_axis_ && operand(1).kind == ExprKind::Constant &&
      operand(1).integer > 1 && operand(1).integer <= 8)
    return static_cast<int>(operand(1).integer);
  return std::nullopt;
}

Value* ExpressionEmitter::repeated(const loop::Expr& e, int times) {
  const int count = lanes_ / times;
  llvm::Type* type = llvm::FixedVectorType::get(memory_type(e.type), static_cast<unsigned>(count));
  Value* at = address(e.buffer, e.type, evaluate_at(e.operands[0], false));
  std::vector<int> firsts, copies;
  for (int k = 0; k < count; ++k) firsts.push_back(k * times);
  for (int lane = 0; lane < lanes_; ++lane) copies.push_back(lane / times);
  Value* loaded =
      mask_ ? b_.CreateMaskedLoad(type, at, align(e.type), b_.CreateShuffleVector(mask_, firsts),
                                  llvm::Constant::getNullValue(type))
            : static_cast<Value*>(b_.CreateAlignedLoad(type, at, align(e.type)));
  return b_.CreateShuffleVector(loaded, copies);
}

/// The part of an offset that is max(0, min(e, last)) with e of step 1 along the vectors, and
/// nothing else of it.
std::optional<ExpressionEmitter::Clamp> ExpressionEmitter::clamp_in(ExprId offset,
                                                                    loop::AxisId axis) const {
  const auto expr = [&](ExprId id) -> const loop::Expr& {
    return k_.exprs[static_cast<std::size_t>(id)];
  };
  const loop::Expr& e = expr(offset);
  if (e.kind != ExprKind::Scalar) return std::nullopt;
  if (e.op == ScalarOp::Add)
    for (std::size_t k = 0; k < 2; ++k)
      if (!depends(e.operands[1 - k], axis)) return clamp_in(e.operands[k], axis);
  if (e.op != ScalarOp::Max) return std::nullopt;
  const auto is_zero = [&](ExprId id) {
    return expr(id).kind == ExprKind::Constant && expr(id).integer == 0;
  };
  const ExprId low = e.operands[0], inner = e.operands[1];
  if (!is_zero(low) || expr(inner).kind != ExprKind::Scalar || expr(inner).op != ScalarOp::Min)
    return std::nullopt;
  const ExprId index = expr(inner).operands[0], last = expr(inner).operands[1];
  const auto step = coefficient(index, axis);
  if (!step || !(*step == Dim(1)) || depends(last, axis)) return std::nullopt;
  return Clamp{index, last};
}

Value* ExpressionEmitter::clamped(const loop::Expr& e, const Clamp& c) {
  llvm::Type *type = memory_type(e.type), *i64 = b_.getInt64Ty();
  llvm::Type* vector_type = llvm::FixedVectorType::get(type, static_cast<unsigned>(lanes_));
  Value *index = evaluate_at(c.index, false), *last = evaluate_at(c.last, false);
  // The offset of the first lane is that of its clamped index; from there to index 0 of the axis.
  Value* first = evaluate_at(e.operands[0], false);
  Value* zero = b_.getInt64(0);
  Value* inside = b_.CreateBinaryIntrinsic(
      llvm::Intrinsic::smax, zero, b_.CreateBinaryIntrinsic(llvm::Intrinsic::smin, index, last));
  Value* origin = b_.CreateSub(first, inside);
  Value* lanes = b_.CreateAdd(splat(index, lanes_), b_.CreateStepVector(llvm::FixedVectorType::get(
                                                        i64, static_cast<unsigned>(lanes_))));
  Value* below = b_.CreateICmpSLT(lanes, splat(zero, lanes_));
  Value* above = b_.CreateICmpSGT(lanes, splat(last, lanes_));
  Value* mask = b_.CreateNot(b_.CreateOr(below, above));
  if (mask_) mask = b_.CreateAnd(mask, mask_);
  // Not in bounds: lanes outside are not read.
  Value* at = b_.CreateGEP(type, buffer(e.buffer), b_.CreateAdd(origin, index));
  Value* v = b_.CreateMaskedLoad(vector_type, at, align(e.type), mask,
                                 llvm::Constant::getNullValue(vector_type));
  const auto end = [&](Value* place) {
    return splat(b_.CreateAlignedLoad(type, address(e.buffer, e.type, b_.CreateAdd(origin, place)),
                                      align(e.type)),
                 lanes_);
  };
  return b_.CreateSelect(below, end(zero), b_.CreateSelect(above, end(last), v));
}

}  // namespace dlc
