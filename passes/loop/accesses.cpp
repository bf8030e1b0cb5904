// In place: kernel K reads the temporary t for the last time and writes the temporary u. May u take
// over t's memory? The points of K's outer domain run in any order, on several threads or as lanes
// of one vector; within a point the stages run one after the other, and within an iteration of a
// stage all loads precede all stores. So it is enough that
//
//   1. u has one store in K, and its offset numbers all (point, iteration) pairs of its stage one
//   to
//      one: every element is stored once, by a point that owns it;
//   2. K touches t at the very same elements: each load or store of t is at an offset which is u's
//      once the axes of its stage are put in the place of the axes of u's stage. A point then
//      touches the elements that it owns, and no other point's;
//   3. t is loaded in the stage that stores u or in an earlier one, and stored in earlier ones
//   only.
//
//   for j0: r0_0 = max t[i0 * 10 + j0]               t at the elements of point i0,
//   for j1: u[i0 * 10 + j1] = t[i0 * 10 + j1] - r0_0   the last time just before the store to u
//
// A contraction's operand is read by many points, so it is never written over; its epilogue's loads
// follow the rules above, for it keeps the unfinished sums in registers and never in C.
#include "passes/loop/accesses.h"

#include <algorithm>
#include <optional>

#include "ir/support/check.h"
#include "ir/support/integers.h"
#include "passes/lower/expressions.h"

namespace dlc {

using loop::AxisId;
using loop::BufferId;
using loop::BufferKind;
using loop::ExprId;
using loop::ExprKind;

namespace {

void sort_unique(std::vector<BufferId>& ids) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
}

/// A load or store of a temporary.
struct Touch {
  BufferId buffer;
  int stage;
  ExprId offset;
  bool is_store;
};

class Touches {
 public:
  Touches(const loop::Program& p, const loop::Kernel& k) : p_(p), k_(k) {
    for (std::size_t s = 0; s < k.stages.size(); ++s) {
      stage_ = static_cast<int>(s);
      seen_.assign(k.exprs.size(), false);
      for (const loop::Reduction& r : k.stages[s].reductions) visit(r.value);
      for (const loop::Store& st : k.stages[s].stores) {
        visit(st.value), visit(st.offset);
        add(st.buffer, st.offset, true);
      }
    }
  }
  const std::vector<Touch>& all() const { return all_; }

 private:
  void visit(ExprId id) {
    if (seen_[static_cast<std::size_t>(id)]) return;
    seen_[static_cast<std::size_t>(id)] = true;
    const loop::Expr& e = k_.exprs[static_cast<std::size_t>(id)];
    if (e.kind == ExprKind::Load) add(e.buffer, e.operands[0], false);
    for (const ExprId o : e.operands) visit(o);
  }
  void add(BufferId b, ExprId offset, bool is_store) {
    if (p_.buffers[static_cast<std::size_t>(b)].kind == BufferKind::Temp)
      all_.push_back({b, stage_, offset, is_store});
  }

  const loop::Program& p_;
  const loop::Kernel& k_;
  int stage_ = 0;
  std::vector<bool> seen_;
  std::vector<Touch> all_;
};

class InPlace {
 public:
  InPlace(const loop::Program& p, const loop::Kernel& k) : p_(p), k_(k), touches_(p, k) {}

  std::vector<std::pair<BufferId, BufferId>> pairs() {
    std::vector<std::pair<BufferId, BufferId>> result;
    for (const Touch& store : touches_.all()) {
      if (!store.is_store || !numbers_all(store)) continue;
      std::vector<BufferId> candidates;
      for (const Touch& t : touches_.all())
        if (!t.is_store && t.buffer != store.buffer) candidates.push_back(t.buffer);
      sort_unique(candidates);
      for (const BufferId t : candidates)
        if (may_replace(t, store)) result.emplace_back(t, store.buffer);
    }
    return result;
  }

 private:
  const loop::Buffer& buffer(BufferId b) const { return p_.buffers[static_cast<std::size_t>(b)]; }
  const Dim& extent(AxisId a) const { return k_.axes[static_cast<std::size_t>(a)].extent; }
  const std::vector<AxisId>& stage_axes(int stage) const {
    return k_.stages[static_cast<std::size_t>(stage)].axes;
  }

  /// Rule 1: the strides are those of a dense tensor over all axes, in some order.
  bool numbers_all(const Touch& store) const {
    for (const Touch& t : touches_.all())
      if (t.is_store && t.buffer == store.buffer && &t != &store) return false;
    const auto offset = as_affine(k_, store.offset);
    if (!offset) return false;
    std::vector<AxisId> axes = k_.outer;
    const std::vector<AxisId>& inner = stage_axes(store.stage);
    axes.insert(axes.end(), inner.begin(), inner.end());
    std::erase_if(axes, [&](AxisId a) { return extent(a) == Dim(1); });
    if (axes.size() != offset->strides.size()) return false;
    Dim next = 1;
    while (!axes.empty()) {
      const auto at = std::find_if(axes.begin(), axes.end(), [&](AxisId a) {
        const auto stride = offset->strides.find(a);
        return stride != offset->strides.end() && stride->second == next;
      });
      if (at == axes.end()) return false;
      next = next * extent(*at);
      axes.erase(at);
    }
    return true;
  }

  /// Rules 2 and 3.
  bool may_replace(BufferId t, const Touch& store) const {
    const Type &from = buffer(t).type, &to = buffer(store.buffer).type;
    if (size_in_bytes(from.element) != size_in_bytes(to.element) ||
        !element_count(from.shape).provably_ge(element_count(to.shape)))
      return false;
    for (const loop::Contraction& c : k_.contraction)
      if (c.a == t || c.b == t) return false;
    for (const Touch& touch : touches_.all()) {
      if (touch.buffer != t) continue;
      if (touch.is_store ? touch.stage >= store.stage : touch.stage > store.stage) return false;
      if (!same_element(touch, store)) return false;
    }
    return true;
  }

  bool same_element(const Touch& touch, const Touch& store) const {
    if (touch.stage == store.stage && touch.offset == store.offset) return true;
    auto a = as_affine(k_, touch.offset);
    const auto b = as_affine(k_, store.offset);
    if (!a || !b) return false;
    if (touch.stage != store.stage) {
      const std::vector<AxisId>&from = stage_axes(touch.stage), &to = stage_axes(store.stage);
      if (from.size() != to.size()) return false;
      for (std::size_t k = 0; k < from.size(); ++k) {
        if (!(extent(from[k]) == extent(to[k]))) return false;
        auto stride = a->strides.extract(from[k]);
        if (stride.empty()) continue;
        stride.key() = to[k];
        a->strides.insert(std::move(stride));
      }
    }
    return a->base == b->base && a->strides == b->strides;
  }

  const loop::Program& p_;
  const loop::Kernel& k_;
  Touches touches_;
};

}  // namespace

Access access_of(const loop::Program& p, const loop::Kernel& k) {
  Access a;
  for (const loop::Expr& e : k.exprs)
    if (e.kind == ExprKind::Load) a.reads.push_back(e.buffer);
  for (const loop::Contraction& c : k.contraction) a.reads.push_back(c.a), a.reads.push_back(c.b);
  for (const loop::Stage& s : k.stages)
    for (const loop::Store& store : s.stores) {
      a.writes.push_back(store.buffer);
      if (k.scatter == loop::Scatter::Add) a.reads.push_back(store.buffer);
    }
  const auto is_local = [&](BufferId b) {
    return p.buffers[static_cast<std::size_t>(b)].kind == BufferKind::Local;
  };
  std::erase_if(a.reads, is_local), std::erase_if(a.writes, is_local);
  sort_unique(a.reads), sort_unique(a.writes);
  if (k.scatter == loop::Scatter::None) a.in_place = InPlace(p, k).pairs();
  return a;
}

std::vector<Access> accesses(const loop::Program& p) {
  std::vector<Access> result;
  result.reserve(p.kernels.size());
  for (const loop::Kernel& k : p.kernels) result.push_back(access_of(p, k));
  for (const loop::Loop& l : p.loops)
    if (l.condition >= 0 && l.first < l.last) {
      std::vector<BufferId>& reads = result[static_cast<std::size_t>(l.first)].reads;
      reads.push_back(l.condition);
      sort_unique(reads);
    }
  return result;
}

BufferId memory_of(const loop::Program& p, BufferId b) {
  const BufferId updated = p.buffers[static_cast<std::size_t>(b)].alias;
  return updated >= 0 ? updated : b;
}

Dim bytes_in_arena(const Type& t) {
  const Dim bytes = element_count(t.shape) * Dim(size_in_bytes(t.element));
  bool fills_lines = true;
  Dim result = 0;
  for (const auto& [monomial, coefficient] : bytes.terms()) {
    DLC_CHECK(coefficient > 0, "a buffer of {} bytes cannot be planned", bytes.str());
    fills_lines = fills_lines && coefficient % kArenaAlignment == 0;
    Dim term = coefficient;
    for (const std::string& s : monomial) term = term * Dim::symbol(s);
    result = result + term;
  }
  const std::int64_t lines = ceil_div(bytes.constant(), kArenaAlignment);
  return result + Dim((lines + (fills_lines ? 0 : 1)) * kArenaAlignment);
}

}  // namespace dlc
