#include "passes/loop/slice.h"

#include <algorithm>
#include <vector>

namespace dlc {

using loop::BufferId;
using loop::Expr;
using loop::ExprId;
using loop::ExprKind;

namespace {

/// Copies expressions into another kernel, operands first, each once.
class Copier {
 public:
  Copier(const loop::Kernel& from, loop::Kernel& to)
      : from_(from), to_(to), copies_(from.exprs.size(), -1) {}

  ExprId copy(ExprId id) {
    ExprId& known = copies_[static_cast<std::size_t>(id)];
    if (known >= 0) return known;
    Expr e = from_.exprs[static_cast<std::size_t>(id)];
    for (ExprId& o : e.operands) o = copy(o);
    return known = add(std::move(e));
  }
  ExprId add(Expr e) {
    to_.exprs.push_back(std::move(e));
    return static_cast<ExprId>(to_.exprs.size() - 1);
  }
  /// Stands for `id` from now on.
  void set(ExprId id, ExprId copy) { copies_[static_cast<std::size_t>(id)] = copy; }
  bool has(ExprId id) const { return copies_[static_cast<std::size_t>(id)] >= 0; }

 private:
  const loop::Kernel& from_;
  loop::Kernel& to_;
  std::vector<ExprId> copies_;
};

class Slicer {
 public:
  Slicer(const loop::Kernel& k, const std::function<bool(BufferId)>& is_kept)
      : k_(k), is_kept_(is_kept), copier_(k, out_) {}

  std::optional<loop::Kernel> slice(BufferId target) {
    if (k_.scatter != loop::Scatter::None) return std::nullopt;
    const loop::Store* store = nullptr;
    for (const loop::Stage& s : k_.stages)
      for (const loop::Store& st : s.stores) {
        if (st.buffer != target) continue;
        if (store) return std::nullopt;
        store = &st;
        stage_ = &s;
      }
    if (!store) return std::nullopt;
    target_ = target;
    out_.name = k_.name;
    out_.locs = k_.locs;
    out_.axes = k_.axes;
    out_.outer = k_.outer;
    if (!reach(store->value) || !reach(store->offset)) return std::nullopt;
    const ExprId offset = copier_.copy(store->offset), value = copier_.copy(store->value);
    out_.stages.push_back({stage_->axes, {}, {{target, offset, value}}});
    return std::move(out_);
  }

 private:
  const loop::Store* stored(ExprId id) const {
    for (const loop::Store& st : stage_->stores)
      if (st.value == id && st.buffer != target_) return &st;
    return nullptr;
  }

  /// Copies `id` and what it needs; a stored value becomes a load.
  bool reach(ExprId id) {
    if (copier_.has(id)) return true;
    const Expr& e = k_.exprs[static_cast<std::size_t>(id)];
    if (e.kind == ExprKind::RowValue) return false;
    const loop::Store* st =
        e.kind == ExprKind::Scalar || e.kind == ExprKind::Accumulator ? stored(id) : nullptr;
    if (e.kind == ExprKind::Accumulator && !st) return false;
    if (st && (e.kind == ExprKind::Accumulator || is_kept_(st->buffer))) {
      if (!reach(st->offset)) return false;
      Expr load{ExprKind::Load, e.type};
      load.buffer = st->buffer;
      load.operands = {copier_.copy(st->offset)};
      copier_.set(id, copier_.add(std::move(load)));
      return true;
    }
    for (const ExprId o : e.operands)
      if (!reach(o)) return false;
    copier_.copy(id);
    return true;
  }

  const loop::Kernel& k_;
  const std::function<bool(BufferId)>& is_kept_;
  loop::Kernel out_;
  Copier copier_;
  const loop::Stage* stage_ = nullptr;
  BufferId target_ = -1;
};

}  // namespace

std::optional<loop::Kernel> slice_of(const loop::Kernel& k, BufferId target,
                                     const std::function<bool(BufferId)>& is_kept) {
  return Slicer(k, is_kept).slice(target);
}

std::optional<loop::Kernel> without_store(const loop::Kernel& k, BufferId buffer) {
  if (k.scatter != loop::Scatter::None) return std::nullopt;
  loop::Kernel out = k;
  out.exprs.clear();
  Copier copier(k, out);
  bool stores = false;
  for (loop::Stage& s : out.stages) {
    // Loads and stores decide whether a row kernel runs along rows or columns.
    if (!s.reductions.empty()) return std::nullopt;
    std::erase_if(s.stores, [&](const loop::Store& st) { return st.buffer == buffer; });
    stores = stores || !s.stores.empty();
    for (loop::Store& st : s.stores) {
      st.offset = copier.copy(st.offset);
      st.value = copier.copy(st.value);
    }
  }
  if (!stores) return std::nullopt;
  return out;
}

}  // namespace dlc
