// The memory plan: temporaries that are not alive at the same time share places in one arena.
// Kernels run in order, so a temporary lives from the first kernel that touches it to the last one;
// one that is touched inside and outside of a loop lives as long as the loop runs.
// Sizes and offsets are polynomials in the symbolic dimensions, and nothing overlaps for any values
// of them, nor when offsets are rounded up to whole lines.
//
// First, temporaries that may be written over each other (accesses.h) form one block that lives
// from the first one's beginning to the last one's end. Then blocks get offsets, in several ways of
// which the smallest arena wins:
//   slots        in the order of their lives, each in the smallest free place that is large enough
//   first fit    in the order of size, of beginning, or of size * life, each at the lowest offset
//                that is free during its life; gaps are split, and merge again
//
// Two polynomials may be incomparable (64*N and 64*T). First fit looks for gaps at a typical value
// of the symbols, proves what it finds for all values, and otherwise goes above the upper bound of
// all that is in the way: the largest coefficient of each monomial.
#include "passes/loop/plan.h"

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>

#include "passes/lower/lower.h"

namespace dlc {

namespace {

/// The coefficients of a polynomial over the program's monomials, the constant first.
using Poly = std::vector<std::int64_t>;

struct Block {
  int first, last;
  std::vector<loop::BufferId> buffers;  // each in the place of the one before it
  Poly bytes;
  std::int64_t typical = 0;  // bytes at the typical extent
};

class Planner {
 public:
  Planner(const loop::Program& p, const std::vector<Access>& accesses,
          const std::vector<int>& order)
      : p_(p), accesses_(accesses), order_(order) {
    find_lives();
    number_monomials();
  }

  MemoryPlan plan() {
    blocks_ = blocks(true);
    std::vector<Poly> best = slots();
    Poly arena = arena_of(best);
    const std::int64_t least = most_at_once();
    const auto consider = [&](std::vector<Poly> offsets) {
      const Poly other = arena_of(offsets);
      if (value(other) >= value(arena) || !is_ge(arena, other)) return;
      arena = other;
      best = std::move(offsets);
    };
    const auto by = [&](const std::function<std::int64_t(const Block&)>& key) {
      if (value(arena) > least) consider(first_fit(key));
    };
    by([](const Block& b) { return -b.typical; });
    by([](const Block& b) { return static_cast<std::int64_t>(b.first); });
    by([](const Block& b) { return -b.typical * (b.last - b.first + 1); });
    if (value(arena) > least) {
      // Sharing may, rarely, leave gaps that simple slots do not have.
      std::vector<Block> shared = std::move(blocks_);
      blocks_ = blocks(false);
      std::vector<Poly> offsets = slots();
      if (!is_ge(arena_of(offsets), arena)) return result(offsets);
      blocks_ = std::move(shared);
    }
    return result(best);
  }

 private:
  // ---- Lives and sizes ----

  void find_lives() {
    first_.assign(p_.buffers.size(), -1);
    last_.assign(p_.buffers.size(), -1);
    for (std::size_t k = 0; k < order_.size(); ++k) {
      const Access& a = accesses_[static_cast<std::size_t>(order_[k])];
      for (const std::vector<loop::BufferId>* list : {&a.reads, &a.writes})
        for (const loop::BufferId id : *list) {
          const auto b = static_cast<std::size_t>(id);
          if (p_.buffers[b].kind != loop::BufferKind::Temp) continue;
          if (first_[b] < 0) first_[b] = static_cast<int>(k);
          last_[b] = static_cast<int>(k);
        }
    }
    extend_over_loops(p_.loops, first_, last_);
  }

  void number_monomials() {
    bytes_.resize(p_.buffers.size());
    monomials_ = {{}};
    typical_ = {1};
    for (std::size_t b = 0; b < p_.buffers.size(); ++b) {
      if (first_[b] < 0) continue;
      const Dim bytes = bytes_in_arena(p_.buffers[b].type);
      Poly& c = bytes_[b];
      c = {bytes.constant()};
      for (const auto& [monomial, coefficient] : bytes.terms()) {
        const auto [at, fresh] = number_of_.emplace(monomial, monomials_.size());
        if (fresh) {
          monomials_.push_back(monomial);
          Dim one = 1;
          for (const std::string& s : monomial) one = one * Dim::symbol(s);
          typical_.push_back(one.typical());
        }
        c.resize(std::max(c.size(), at->second + 1));
        c[at->second] = coefficient;
      }
    }
    for (Poly& c : bytes_) c.resize(monomials_.size());
  }

  /// Whether a >= b for all values of at least 1, as Dim::provably_ge.
  static bool is_ge(const Poly& a, const Poly& b) {
    std::int64_t sum = a[0] - b[0];
    for (std::size_t k = 1; k < a.size(); ++k) {
      if (a[k] < b[k]) return false;
      sum += a[k] - b[k];
    }
    return sum >= 0;
  }
  static Poly sum(Poly a, const Poly& b) {
    for (std::size_t k = 0; k < a.size(); ++k) a[k] += b[k];
    return a;
  }
  /// The least polynomial that is at least `a` and `b`, monomial by monomial.
  static Poly bound(Poly a, const Poly& b) {
    if (is_ge(a, b)) return a;
    if (is_ge(b, a)) return b;
    for (std::size_t k = 0; k < a.size(); ++k) a[k] = std::max(a[k], b[k]);
    return a;
  }
  std::int64_t value(const Poly& c) const {
    return std::inner_product(c.begin(), c.end(), typical_.begin(), std::int64_t{0});
  }
  Dim dim(const Poly& c) const {
    Dim result = c[0];
    for (std::size_t k = 1; k < c.size(); ++k) {
      Dim term = c[k];
      for (const std::string& s : monomials_[k]) term = term * Dim::symbol(s);
      result = result + term;
    }
    return result;
  }

  // ---- Blocks ----

  /// In the order of their beginnings.
  std::vector<Block> blocks(bool in_place) const {
    std::vector<int> successor(p_.buffers.size(), -1);
    std::vector<bool> follows(p_.buffers.size(), false);
    for (std::size_t k = 0; in_place && k < order_.size(); ++k) {
      const auto at = static_cast<int>(k);
      for (const auto& [from, to] : accesses_[static_cast<std::size_t>(order_[k])].in_place) {
        const auto t = static_cast<std::size_t>(from), u = static_cast<std::size_t>(to);
        if (last_[t] != at || first_[u] != at || successor[t] >= 0 || follows[u]) continue;
        successor[t] = to;
        follows[u] = true;
      }
    }
    std::vector<Block> result;
    for (std::size_t b = 0; b < p_.buffers.size(); ++b) {
      if (first_[b] < 0 || follows[b]) continue;
      Block block{first_[b], last_[b], {}, bytes_[b], value(bytes_[b])};
      for (auto id = static_cast<int>(b); id >= 0; id = successor[static_cast<std::size_t>(id)]) {
        block.buffers.push_back(id);
        block.last = last_[static_cast<std::size_t>(id)];
      }
      result.push_back(std::move(block));
    }
    std::stable_sort(result.begin(), result.end(),
                     [](const Block& a, const Block& b) { return a.first < b.first; });
    return result;
  }

  static bool together(const Block& a, const Block& b) {
    return a.first <= b.last && b.first <= a.last;
  }

  /// The most bytes that are alive at once, at the typical extent: no plan of these blocks is less.
  std::int64_t most_at_once() const {
    std::vector<std::int64_t> change(order_.size() + 1, 0);
    for (const Block& b : blocks_) {
      change[static_cast<std::size_t>(b.first)] += b.typical;
      change[static_cast<std::size_t>(b.last) + 1] -= b.typical;
    }
    std::partial_sum(change.begin(), change.end(), change.begin());
    return change.empty() ? 0 : *std::max_element(change.begin(), change.end());
  }

  // ---- Offsets, by block ----

  std::vector<Poly> slots() const {
    struct Slot {
      Poly offset, bytes;
      int busy_until;
    };
    std::vector<Slot> all;
    std::vector<Poly> offsets;
    Poly end(monomials_.size(), 0);
    for (const Block& block : blocks_) {
      Slot* best = nullptr;
      for (Slot& slot : all) {
        if (slot.busy_until >= block.first || !is_ge(slot.bytes, block.bytes)) continue;
        if (!best || is_ge(best->bytes, slot.bytes)) best = &slot;
      }
      if (!best) {
        all.push_back({end, block.bytes, 0});
        end = sum(end, block.bytes);
        best = &all.back();
      }
      best->busy_until = block.last;
      offsets.push_back(best->offset);
    }
    return offsets;
  }

  std::vector<Poly> first_fit(const std::function<std::int64_t(const Block&)>& key) const {
    std::vector<std::size_t> turn(blocks_.size());
    std::iota(turn.begin(), turn.end(), 0);
    std::stable_sort(turn.begin(), turn.end(), [&](std::size_t a, std::size_t b) {
      return key(blocks_[a]) < key(blocks_[b]);
    });
    std::vector<Placed> all(blocks_.size());
    std::vector<std::size_t> placed;  // by typical offset
    std::vector<const Placed*> around;
    for (const std::size_t b : turn) {
      around.clear();
      for (const std::size_t other : placed)
        if (together(blocks_[b], blocks_[other])) around.push_back(&all[other]);
      const Poly offset = lowest(blocks_[b], around);
      all[b] = {offset, sum(offset, blocks_[b].bytes), value(offset), 0};
      all[b].end_at = all[b].at + blocks_[b].typical;
      placed.insert(std::upper_bound(placed.begin(), placed.end(), all[b].at,
                                     [&](std::int64_t v, std::size_t o) { return v < all[o].at; }),
                    b);
    }
    std::vector<Poly> offsets;
    for (Placed& p : all) offsets.push_back(std::move(p.offset));
    return offsets;
  }

  struct Placed {
    Poly offset, end;
    std::int64_t at = 0, end_at = 0;  // at the typical extent
  };

  /// The lowest offset for a block that is provably clear of those around it, which are sorted.
  Poly lowest(const Block& block, const std::vector<const Placed*>& around) const {
    const auto is_free = [&](const Poly& offset) {
      const Poly end = sum(offset, block.bytes);
      return std::all_of(around.begin(), around.end(), [&](const Placed* o) {
        return is_ge(o->offset, end) || is_ge(offset, o->end);
      });
    };
    Poly bottom(monomials_.size(), 0);
    std::int64_t bottom_at = 0;
    for (const Placed* o : around) {
      if (bottom_at + block.typical <= o->at && is_free(bottom)) return bottom;
      if (o->end_at < bottom_at) continue;
      bottom = o->end;
      bottom_at = o->end_at;
    }
    if (is_free(bottom)) return bottom;
    for (const Placed* o : around) bottom = bound(bottom, o->end);
    return bottom;
  }

  Poly arena_of(const std::vector<Poly>& offsets) const {
    Poly end(monomials_.size(), 0);
    for (std::size_t b = 0; b < blocks_.size(); ++b)
      end = bound(end, sum(offsets[b], blocks_[b].bytes));
    return end;
  }

  MemoryPlan result(const std::vector<Poly>& offsets) const {
    MemoryPlan plan;
    for (std::size_t b = 0; b < blocks_.size(); ++b) {
      const Dim offset = dim(offsets[b]);
      loop::BufferId before = -1;
      for (const loop::BufferId id : blocks_[b].buffers) {
        plan.places.push_back({id, offset, before});
        before = id;
      }
    }
    plan.arena_bytes = dim(arena_of(offsets));
    return plan;
  }

  const loop::Program& p_;
  const std::vector<Access>& accesses_;
  const std::vector<int>& order_;
  std::vector<int> first_, last_;  // by buffer, -1 for what is no temporary
  std::vector<Dim::Monomial> monomials_;
  std::map<Dim::Monomial, std::size_t> number_of_;
  std::vector<std::int64_t> typical_;  // the monomials' values
  std::vector<Poly> bytes_;            // by buffer
  std::vector<Block> blocks_;
};

}  // namespace

void extend_over_loops(const std::vector<loop::Loop>& loops, std::vector<int>& first,
                       std::vector<int>& last) {
  // The inner loops come after those around them.
  for (auto l = loops.rbegin(); l != loops.rend(); ++l)
    for (std::size_t b = 0; b < first.size(); ++b) {
      const bool overlaps = first[b] >= 0 && first[b] < l->last && last[b] >= l->first;
      if (!overlaps || (first[b] >= l->first && last[b] < l->last)) continue;
      first[b] = std::min(first[b], l->first);
      last[b] = std::max(last[b], l->last - 1);
    }
}

std::vector<int> given_order(const loop::Program& p) {
  std::vector<int> order(p.kernels.size());
  std::iota(order.begin(), order.end(), 0);
  return order;
}

MemoryPlan make_plan(const loop::Program& p, const std::vector<Access>& accesses,
                     const std::vector<int>& order) {
  return Planner(p, accesses, order).plan();
}

void run_plan(loop::Program& p) {
  const MemoryPlan plan = make_plan(p, accesses(p), given_order(p));
  for (const Place& place : plan.places) {
    loop::Buffer& b = p.buffers[static_cast<std::size_t>(place.buffer)];
    b.arena_offset = place.offset;
    b.in_place_of = place.in_place_of;
  }
  p.arena_bytes = plan.arena_bytes;
}

}  // namespace dlc
