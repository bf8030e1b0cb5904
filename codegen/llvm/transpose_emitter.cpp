#include "codegen/llvm/transpose_emitter.h"

#include "codegen/llvm/loops.h"
#include "codegen/llvm/turn.h"

namespace dlc {

using llvm::Value;
using loop::AxisId;
using loop::ExprId;

TransposeEmitter::TransposeEmitter(const loop::Kernel& k, llvm::IRBuilder<>& b,
                                   ExpressionEmitter& e, Value* begin, Value* end, int lanes)
    : k_(k), b_(b), e_(e), begin_(begin), end_(end), lanes_(lanes) {
  if (k.outer.size() < 2 || k.stages.size() != 1 || k.stages[0].stores.empty()) return;
  const loop::Stage& s = k.stages[0];
  if (!s.axes.empty() || !s.reductions.empty()) return;
  write_ = k.outer.back();
  const auto is_one = [&](ExprId offset, AxisId a) {
    const auto c = e_.coefficient(offset, a);
    return c && *c == Dim(1);
  };
  for (const loop::Store& st : s.stores)
    if (!is_one(st.offset, write_)) return;
  for (ExprId id = 0; id < static_cast<ExprId>(k.exprs.size()); ++id) {
    const loop::Expr& x = k.exprs[static_cast<std::size_t>(id)];
    if (x.kind != loop::ExprKind::Load || x.type == ElementType::Bool) continue;
    const auto along = e_.coefficient(x.operands[0], write_);
    if (along && (*along == Dim(0) || *along == Dim(1))) continue;
    for (const AxisId a : k.outer)
      if (a != write_ && is_one(x.operands[0], a) && (read_ < 0 || read_ == a)) {
        read_ = a;
        loads_.push_back(id);
        break;
      }
  }
}

Value* TransposeEmitter::from(AxisId a) { return a == k_.outer[0] ? begin_ : b_.getInt64(0); }
Value* TransposeEmitter::to(AxisId a) { return a == k_.outer[0] ? end_ : e_.dim(axis(a).extent); }
Value* TransposeEmitter::whole(AxisId a) {
  Value* length = b_.CreateSub(to(a), from(a));
  return b_.CreateAdd(from(a),
                      b_.CreateAnd(length, b_.getInt64(~static_cast<std::uint64_t>(lanes_ - 1))));
}

/// Scalar loops over the axes that are neither read nor written along, then blocks.
void TransposeEmitter::outer(std::size_t at) {
  if (at == k_.outer.size()) return blocks();
  const AxisId a = k_.outer[at];
  if (a == read_ || a == write_) return outer(at + 1);
  emit_loop(b_, from(a), to(a), 1, axis(a).name.c_str(), [&](Value* i) {
    e_.set_axis(a, i);
    e_.forget();
    outer(at + 1);
  });
}

void TransposeEmitter::blocks() {
  Value *read_whole = whole(read_), *write_whole = whole(write_);
  const auto rest = [&](Value* begin, const std::function<void(Value * q, Value * mask)>& body) {
    emit_loop(b_, begin, to(write_), lanes_, "rest",
              [&](Value* q) { body(q, e_.lanes_below(b_.CreateSub(to(write_), q), lanes_)); });
  };
  emit_loop(b_, from(read_), read_whole, lanes_, "block", [&](Value* p) {
    emit_loop(b_, from(write_), write_whole, lanes_, "block",
              [&](Value* q) { block(p, q, nullptr); });
    rest(write_whole, [&](Value* q, Value* mask) { block(p, q, mask); });
  });
  emit_loop(b_, read_whole, to(read_), 1, "row", [&](Value* row) {
    rest(from(write_), [&](Value* q, Value* mask) {
      go_to_row(row, q, mask);
      e_.store_all(k_.stages[0].stores);
    });
  });
  e_.set_vector(-1, 1, nullptr);
  e_.forget();
}

void TransposeEmitter::block(Value* p, Value* q, Value* mask) {
  std::vector<std::vector<Value*>> turned;
  for (const ExprId load : loads_) turned.push_back(turned_block(load, p, q, mask));
  for (int r = 0; r < lanes_; ++r) {
    go_to_row(b_.CreateAdd(p, b_.getInt64(static_cast<std::uint64_t>(r))), q, mask);
    for (std::size_t k = 0; k < loads_.size(); ++k)
      e_.preset(loads_[k], turned[k][static_cast<std::size_t>(r)]);
    e_.store_all(k_.stages[0].stores);
  }
}

void TransposeEmitter::go_to_row(Value* p, Value* q, Value* mask) {
  e_.set_axis(read_, p);
  e_.set_axis(write_, q);
  e_.set_vector(write_, lanes_, mask);
  e_.forget();
}

/// A load at the block (p.., q..): vectors along `read_`, one for each q, turned into vectors
/// along `write_`, one for each p. Beyond the end the last q is read again.
std::vector<Value*> TransposeEmitter::turned_block(ExprId load, Value* p, Value* q, Value* mask) {
  std::vector<Value*> v;
  Value* last = b_.CreateSub(to(write_), b_.getInt64(1));
  for (int k = 0; k < lanes_; ++k) {
    e_.set_axis(read_, p);
    Value* at = b_.CreateAdd(q, b_.getInt64(static_cast<std::uint64_t>(k)));
    if (mask) at = b_.CreateBinaryIntrinsic(llvm::Intrinsic::smin, at, last);
    e_.set_axis(write_, at);
    e_.set_vector(read_, lanes_, nullptr);
    e_.forget();
    v.push_back(e_.evaluate_vector(load));
  }
  return emit_turned(b_, std::move(v));
}

}  // namespace dlc
