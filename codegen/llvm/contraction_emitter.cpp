// C[.., m, n] = sum over k of U[.., m, k] * V[.., k, n]
//
// n is an axis of C that runs in vectors: V must have it with step 1 and U not at all. It is the
// last axis of C unless that is narrow and another one fills the vectors better (the weight
// gradient of a 10-class head: C is [784, 10], and the vectors run along 784). m is a further axis
// of C that only U has. A tile of R rows by S vectors of C stays in registers while k runs: each
// step loads S vectors of V, spreads R elements of U and does R * S fused multiply-adds; R * S + S
// + 1 registers are needed. The order of the sum for an element of C is k's alone, whatever tile it
// is in, so neither the batch size nor the split over threads changes a bit.
//
// Panels of S vectors of n are the outer loop (the panel of V stays in the L2 cache), rows the
// inner one. What is left of the rows is done in tiles of R - 1 or in single rows, what is left of
// n in a narrower masked tile.
//
// Without such an n (a dot product, a matrix times a vector) each element of C is a sum in plain
// loops, in vectors along k where both operands step by 1 there.
#include "codegen/llvm/contraction_emitter.h"

#include <llvm/IR/Intrinsics.h>

#include <algorithm>
#include <cmath>

#include "codegen/llvm/loops.h"
#include "ir/support/check.h"

namespace dlc {

using llvm::Value;
using loop::AxisId;
using loop::ContractIndex;

namespace {

/// The roles of a contraction's indices, when it can be tiled.
struct Tiling {
  bool possible = false;
  bool swapped = false;  // U is b and V is a
  const ContractIndex* n = nullptr;
  const ContractIndex* m = nullptr;  // may be absent
  std::vector<const ContractIndex*> other, k;
  int lanes = 0, vectors = 0, rows = 0;
  const ContractIndex* dot = nullptr;  // of k, when not possible: the one that runs in vectors
};

/// How well an axis of C fills vectors, from 0 (not at all) to 1.
double fill(const ContractIndex& i, int lanes) {
  if (i.axis < 0 || i.in_a == i.in_b || i.extent == Dim(1) ||
      !((i.in_a ? i.a_stride : i.b_stride) == Dim(1)))
    return 0;
  if (!i.extent.is_constant()) return 1;
  const auto extent = static_cast<double>(i.extent.value());
  return extent / (std::ceil(extent / lanes) * lanes);
}

/// Registers: 32 with 512 bits, else 16.
void choose_tile(Tiling& t, int vector_bits) {
  const bool wide = vector_bits >= 512;
  t.vectors = wide ? 4 : 2;
  const auto at_most = [](int limit, const Dim& extent) {
    return extent.is_constant() ? static_cast<int>(std::min<std::int64_t>(
                                      limit, std::max<std::int64_t>(extent.value(), 1)))
                                : limit;
  };
  if (t.n->extent.is_constant())
    t.vectors = at_most(t.vectors, Dim((t.n->extent.value() + t.lanes - 1) / t.lanes));
  static constexpr int kWideRows[] = {0, 12, 12, 8, 6};
  const auto rows = [&](int vectors) { return wide ? kWideRows[vectors] : vectors == 1 ? 10 : 6; };
  if (!t.m) {
    t.rows = 1;
    return;
  }
  t.rows = rows(t.vectors);
  // Tiles of equal height rather than a remainder of a few rows.
  if (t.m->extent.is_constant() && t.m->extent.value() < 4 * t.rows) {
    const int extent = std::max(1, static_cast<int>(t.m->extent.value()));
    const int tiles = (extent + t.rows - 1) / t.rows;
    t.rows = (extent + tiles - 1) / tiles;
  }
}

Tiling choose_tiling(const loop::Kernel& kernel, int vector_bits) {
  const loop::Contraction& c = kernel.contraction[0];
  Tiling t;
  t.lanes = vector_bits / (c.type == ElementType::F64 ? 64 : 32);
  double best = 0;
  for (const ContractIndex& i : c.indices) {
    (i.axis < 0 ? t.k : t.other).push_back(&i);
    // Along another axis than the last one the results are not contiguous.
    const bool is_last = !kernel.outer.empty() && i.axis == kernel.outer.back();
    const double score = fill(i, t.lanes) * (is_last ? 1 : 0.8);
    if (score > best) best = score, t.n = &i;
  }
  if (!t.n) {
    for (const ContractIndex* i : t.k)
      if (i->a_stride == Dim(1) && i->b_stride == Dim(1) &&
          !(i->extent.is_constant() && i->extent.value() < t.lanes / 2))
        t.dot = i;
    return t;
  }
  t.possible = true;
  t.swapped = t.n->in_a;
  std::erase(t.other, t.n);
  for (std::size_t i = t.other.size(); i-- > 0;) {
    const ContractIndex& m = *t.other[i];
    if (!(t.swapped ? m.in_b && !m.in_a : m.in_a && !m.in_b)) continue;
    t.m = &m;
    t.other.erase(t.other.begin() + static_cast<std::ptrdiff_t>(i));
    break;
  }
  choose_tile(t, vector_bits);
  return t;
}

class ContractionEmitter {
 public:
  ContractionEmitter(const loop::Kernel& k, const Tiling& t, llvm::IRBuilder<>& b,
                     ExpressionEmitter& e, Value* begin, Value* end)
      : k_(k), c_(k.contraction[0]), t_(t), b_(b), e_(e), begin_(begin), end_(end) {}

  void emit() {
    if (!t_.possible) return plain(0);
    others(0);
  }

 private:
  const loop::Axis& axis(AxisId a) const { return k_.axes[static_cast<std::size_t>(a)]; }
  bool is_range(const ContractIndex& i) const { return i.axis >= 0 && i.axis == k_.outer[0]; }
  Value* low(const ContractIndex& i) { return is_range(i) ? begin_ : b_.getInt64(0); }
  Value* high(const ContractIndex& i) { return is_range(i) ? end_ : e_.dim(i.extent); }
  llvm::Type* type() { return e_.value_type(c_.type); }
  llvm::Type* vector() {
    return llvm::FixedVectorType::get(type(), static_cast<unsigned>(t_.lanes));
  }
  ElementType element(loop::BufferId b) const { return e_.element(b); }
  llvm::Type* memory(loop::BufferId b) const { return e_.memory_type(element(b)); }
  llvm::Align align(loop::BufferId b) const {
    return llvm::Align(static_cast<std::uint64_t>(size_in_bytes(element(b))));
  }

  // ---- Plain loops: any contraction ----

  void plain(std::size_t at) {
    if (at < k_.outer.size()) {
      const AxisId a = k_.outer[at];
      Value* from = at == 0 ? begin_ : b_.getInt64(0);
      Value* to = at == 0 ? end_ : e_.dim(axis(a).extent);
      emit_loop(b_, from, to, 1, axis(a).name.c_str(), [&](Value* i) {
        e_.set_axis(a, i);
        plain(at + 1);
      });
      return;
    }
    Value *a = e_.dim(c_.a_base), *b = e_.dim(c_.b_base);
    for (const ContractIndex& i : c_.indices) {
      if (i.axis < 0) continue;
      a = b_.CreateAdd(a, b_.CreateMul(e_.axis_index(i.axis), e_.dim(i.a_stride)));
      b = b_.CreateAdd(b, b_.CreateMul(e_.axis_index(i.axis), e_.dim(i.b_stride)));
    }
    e_.set_accumulator(t_.dot ? dot_product(a, b) : scalar_sum(a, b));
    epilogue();
  }

  Value* load(llvm::Type* t, loop::BufferId buffer, Value* offset, Value* mask = nullptr) {
    return load_at(t, buffer, b_.CreateInBoundsGEP(memory(buffer), e_.buffer(buffer), offset),
                   mask);
  }
  /// 16-bit floats are widened.
  Value* load_at(llvm::Type* t, loop::BufferId buffer, Value* at, Value* mask = nullptr) {
    llvm::Type* stored = t->getWithNewType(memory(buffer));
    Value* v = mask ? static_cast<Value*>(b_.CreateMaskedLoad(stored, at, align(buffer), mask,
                                                              llvm::Constant::getNullValue(stored)))
                    : b_.CreateAlignedLoad(stored, at, align(buffer));
    return e_.from_memory(element(buffer), v);
  }

  Value* scalar_sum(Value* a, Value* b) {
    llvm::AllocaInst* sum = emit_variable(b_, type(), "sum");
    b_.CreateStore(llvm::Constant::getNullValue(type()), sum);
    sum_loops(0, a, b, [&](Value* pa, Value* pb) {
      Value *x = load(type(), c_.a, pa), *y = load(type(), c_.b, pb);
      b_.CreateStore(fma(x, y, b_.CreateLoad(type(), sum)), sum);
    });
    return b_.CreateLoad(type(), sum);
  }

  /// Four vectors of sums (so that one need not wait for the last), added up in a fixed tree.
  Value* dot_product(Value* a, Value* b) {
    constexpr int kSums = 4;
    std::vector<llvm::AllocaInst*> sums;
    for (int s = 0; s < kSums; ++s) {
      sums.push_back(emit_variable(b_, vector(), "sum"));
      b_.CreateStore(llvm::Constant::getNullValue(vector()), sums.back());
    }
    const auto step = [&](int s, Value* pa, Value* pb, Value* mask) {
      Value *x = load(vector(), c_.a, pa, mask), *y = load(vector(), c_.b, pb, mask);
      b_.CreateStore(fma(x, y, b_.CreateLoad(vector(), sums[static_cast<std::size_t>(s)])),
                     sums[static_cast<std::size_t>(s)]);
    };
    std::vector<const ContractIndex*> rest = t_.k;
    std::erase(rest, t_.dot);
    sum_loops_over(rest, 0, a, b, [&](Value* pa, Value* pb) {
      Value* extent = e_.dim(t_.dot->extent);
      const std::int64_t whole = static_cast<std::int64_t>(kSums) * t_.lanes;
      Value* middle = b_.CreateAnd(extent, b_.getInt64(~static_cast<std::uint64_t>(whole - 1)));
      emit_loop(b_, b_.getInt64(0), middle, whole, "dot", [&](Value* i) {
        for (int s = 0; s < kSums; ++s) {
          Value* at = b_.CreateAdd(i, b_.getInt64(static_cast<std::uint64_t>(s * t_.lanes)));
          step(s, b_.CreateAdd(pa, at), b_.CreateAdd(pb, at), nullptr);
        }
      });
      emit_loop(b_, middle, extent, t_.lanes, "rest", [&](Value* i) {
        step(0, b_.CreateAdd(pa, i), b_.CreateAdd(pb, i), lanes_below(b_.CreateSub(extent, i)));
      });
    });
    const auto sum = [&](int s) {
      return b_.CreateLoad(vector(), sums[static_cast<std::size_t>(s)]);
    };
    Value* total = b_.CreateFAdd(b_.CreateFAdd(sum(0), sum(1)), b_.CreateFAdd(sum(2), sum(3)));
    return e_.combine_lanes(loop::ReduceKind::Sum, c_.type, total);
  }

  /// Loops over the summed indices; the body gets the offsets into a and b.
  void sum_loops(std::size_t at, Value* a, Value* b,
                 const std::function<void(Value*, Value*)>& body) {
    sum_loops_over(t_.k, at, a, b, body);
  }
  void sum_loops_over(const std::vector<const ContractIndex*>& indices, std::size_t at, Value* a,
                      Value* b, const std::function<void(Value*, Value*)>& body) {
    if (at == indices.size()) return body(a, b);
    const ContractIndex& k = *indices[at];
    Value *a_step = e_.dim(k.a_stride), *b_step = e_.dim(k.b_stride);
    emit_loop(b_, b_.getInt64(0), e_.dim(k.extent), 1, "k", [&](Value* i) {
      sum_loops_over(indices, at + 1, b_.CreateAdd(a, b_.CreateMul(i, a_step)),
                     b_.CreateAdd(b, b_.CreateMul(i, b_step)), body);
    });
  }

  void epilogue() {
    e_.forget();
    for (const loop::Stage& s : k_.stages) e_.store_all(s.stores);
  }

  Value* fma(Value* x, Value* y, Value* z) {
    return b_.CreateIntrinsic(llvm::Intrinsic::fma, {x->getType()}, {x, y, z});
  }

  // ---- Tiles ----

  void others(std::size_t at) {
    if (at == t_.other.size()) return panels();
    const ContractIndex& i = *t_.other[at];
    emit_loop(b_, low(i), high(i), 1, axis(i.axis).name.c_str(), [&](Value* v) {
      e_.set_axis(i.axis, v);
      others(at + 1);
    });
  }

  void panels() {
    Value *from = low(*t_.n), *to = high(*t_.n);
    const std::int64_t panel = static_cast<std::int64_t>(t_.vectors) * t_.lanes;
    Value* count =
        b_.CreateUDiv(b_.CreateSub(to, from), b_.getInt64(static_cast<std::uint64_t>(panel)));
    Value* middle =
        b_.CreateAdd(from, b_.CreateMul(count, b_.getInt64(static_cast<std::uint64_t>(panel))));
    emit_loop(b_, from, middle, panel, "panel", [&](Value* j) { rows(j, t_.vectors, nullptr); });
    // What is left: as one narrower tile where its width is known, else vector by vector.
    if (t_.n->extent.is_constant() && !is_range(*t_.n)) {
      const std::int64_t rest = t_.n->extent.value() % panel;
      if (rest == 0) return;
      const int vectors = static_cast<int>((rest + t_.lanes - 1) / t_.lanes);
      const std::int64_t last = rest - static_cast<std::int64_t>(vectors - 1) * t_.lanes;
      rows(middle, vectors,
           last == t_.lanes ? nullptr : lanes_below(b_.getInt64(static_cast<std::uint64_t>(last))));
      return;
    }
    emit_loop(b_, middle, to, t_.lanes, "rest",
              [&](Value* j) { rows(j, 1, lanes_below(b_.CreateSub(to, j))); });
  }

  Value* lanes_below(Value* count) {
    Value* step = b_.CreateStepVector(
        llvm::FixedVectorType::get(b_.getInt64Ty(), static_cast<unsigned>(t_.lanes)));
    return b_.CreateICmpSLT(step, e_.splat(count, t_.lanes));
  }

  /// Tiles of R rows and, where the extent is known and R does not divide it, of R - 1: 32 rows are
  /// 2 * 6 + 4 * 5. What fits neither way is done in single rows.
  void rows(Value* j, int vectors, Value* last_mask) {
    if (!t_.m) return tile(nullptr, 1, j, vectors, last_mask);
    Value *from = low(*t_.m), *to = high(*t_.m);
    const auto number = [&](std::int64_t v) { return b_.getInt64(static_cast<std::uint64_t>(v)); };
    const auto tiles = [&](Value* begin, Value* count, int height) {
      Value* end = b_.CreateAdd(begin, b_.CreateMul(count, number(height)));
      emit_loop(b_, begin, end, height, "rows",
                [&](Value* i) { tile(i, height, j, vectors, last_mask); });
      return end;
    };
    const int tall = t_.rows;
    Value* length = b_.CreateSub(to, from);
    Value* whole = b_.CreateUDiv(length, number(tall));
    const bool known = t_.m->extent.is_constant();
    if (known && t_.m->extent.value() % tall == 0) {
      tiles(from, whole, tall);  // chunks are multiples of the tile
      return;
    }
    Value* middle = nullptr;
    if (known && tall > 2) {
      Value* count = b_.CreateUDiv(b_.CreateAdd(length, number(tall - 1)), number(tall));
      Value* low_rows = b_.CreateMul(count, number(tall - 1));
      Value* fits = b_.CreateICmpSLE(low_rows, length);
      Value* tall_tiles = b_.CreateSelect(fits, b_.CreateSub(length, low_rows), whole);
      Value* short_tiles = b_.CreateSelect(fits, b_.CreateSub(count, tall_tiles), b_.getInt64(0));
      middle = tiles(tiles(from, tall_tiles, tall), short_tiles, tall - 1);
    } else {
      middle = tiles(from, whole, tall);
    }
    emit_loop(b_, middle, to, 1, "row", [&](Value* i) { tile(i, 1, j, vectors, last_mask); });
  }

  /// Offsets of the current point of `other` in U or V.
  Value* base(bool of_a) {
    Value* sum = e_.dim(of_a ? c_.a_base : c_.b_base);
    for (const ContractIndex* i : t_.other)
      sum = b_.CreateAdd(
          sum, b_.CreateMul(e_.axis_index(i->axis), e_.dim(of_a ? i->a_stride : i->b_stride)));
    return sum;
  }

  void tile(Value* i, int row_count, Value* j, int vectors, Value* last_mask) {
    const bool u_is_a = !t_.swapped;
    Value* u = base(u_is_a);
    Value* v = b_.CreateAdd(base(!u_is_a), j);
    Value* row_step = nullptr;
    if (i) {
      row_step = e_.dim(u_is_a ? t_.m->a_stride : t_.m->b_stride);
      u = b_.CreateAdd(u, b_.CreateMul(i, row_step));
    }
    std::vector<llvm::AllocaInst*> sums;
    for (int s = 0; s < row_count * vectors; ++s) {
      sums.push_back(emit_variable(b_, vector(), "c"));
      b_.CreateStore(llvm::Constant::getNullValue(vector()), sums.back());
    }
    const loop::BufferId u_buffer = u_is_a ? c_.a : c_.b, v_buffer = u_is_a ? c_.b : c_.a;
    sum_loops(0, u_is_a ? u : v, u_is_a ? v : u, [&](Value* pa, Value* pb) {
      Value *pu = u_is_a ? pa : pb, *pv = u_is_a ? pb : pa;
      std::vector<Value*> columns;
      Value* at = b_.CreateInBoundsGEP(memory(v_buffer), e_.buffer(v_buffer), pv);
      for (int s = 0; s < vectors; ++s) {
        Value* here = b_.CreateConstInBoundsGEP1_64(memory(v_buffer), at,
                                                    static_cast<std::uint64_t>(s * t_.lanes));
        columns.push_back(
            load_at(vector(), v_buffer, here, s == vectors - 1 ? last_mask : nullptr));
      }
      for (int r = 0; r < row_count; ++r) {
        Value* offset =
            r == 0 ? pu
                   : b_.CreateAdd(
                         pu, b_.CreateMul(row_step, b_.getInt64(static_cast<std::uint64_t>(r))));
        Value* x = load(type(), u_buffer, offset);
        Value* spread = b_.CreateVectorSplat(static_cast<unsigned>(t_.lanes), x);
        for (int s = 0; s < vectors; ++s) {
          llvm::AllocaInst* sum = sums[static_cast<std::size_t>(r * vectors + s)];
          b_.CreateStore(
              fma(spread, columns[static_cast<std::size_t>(s)], b_.CreateLoad(vector(), sum)), sum);
        }
      }
    });
    for (int r = 0; r < row_count; ++r)
      for (int s = 0; s < vectors; ++s) {
        if (i) e_.set_axis(t_.m->axis, b_.CreateAdd(i, b_.getInt64(static_cast<std::uint64_t>(r))));
        e_.set_axis(t_.n->axis,
                    b_.CreateAdd(j, b_.getInt64(static_cast<std::uint64_t>(s * t_.lanes))));
        e_.set_vector(t_.n->axis, t_.lanes, s == vectors - 1 ? last_mask : nullptr);
        e_.set_accumulator(
            b_.CreateLoad(vector(), sums[static_cast<std::size_t>(r * vectors + s)]));
        epilogue();
        e_.set_vector(-1, 1, nullptr);
      }
  }

  const loop::Kernel& k_;
  const loop::Contraction& c_;
  const Tiling& t_;
  llvm::IRBuilder<>& b_;
  ExpressionEmitter& e_;
  Value *begin_, *end_;
};

}  // namespace

void emit_contraction(const ProgramScope& scope, const loop::Kernel& k, llvm::IRBuilder<>& b,
                      ExpressionEmitter& e, Value* begin, Value* end) {
  const Tiling tiling = choose_tiling(k, scope.vector_bits);
  ContractionEmitter(k, tiling, b, e, begin, end).emit();
}

int contraction_rows(const loop::Kernel& k, int vector_bits) {
  const Tiling t = choose_tiling(k, vector_bits);
  if (!t.possible) return 1;
  if (t.m && t.m->axis == k.outer[0]) return t.rows;
  return t.n->axis == k.outer[0] ? t.vectors * t.lanes : 1;
}

}  // namespace dlc
