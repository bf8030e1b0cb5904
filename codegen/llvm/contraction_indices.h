#pragma once
// The rows and the products of a contraction as numbers, where each is made of several indices: a
// row is taken apart where it matters, and a block's offsets in U and V are in tables.
#include <algorithm>
#include <map>
#include <numeric>
#include <optional>

#include "codegen/llvm/contraction_base.h"

namespace dlc {

class ContractionIndices : public ContractionBase {
 public:
  ContractionIndices(const ProgramScope& scope, const loop::Kernel& k, llvm::IRBuilder<>& b,
                     ExpressionEmitter& e, Value* begin, Value* end)
      : ContractionBase(scope, k, b, e, begin, end),
        s_(contract_schedule(scope.program, k, scope.unit)),
        granule_(s_.rows),
        outer_(r_.other),
        rows_(r_.m) {
    // Rows that are not evenly spaced are joined in blocks only.
    if (s_.k_block > 0 || rows_.size() < 2 || r_.even_rows) return;
    outer_.insert(outer_.begin(), rows_.begin(), rows_.end() - 1);
    rows_ = {r_.m.back()};
  }

 protected:
  /// Of rows that go through several panels one after the other.
  int rows_inside() const {
    const int least = short_vectors() && !r_.k.empty() && is_u_strided(r_) ? 96 : 48;
    return static_cast<int>(round_up(std::max(least, 8 * s_.rows), granule_));
  }
  // So many k's ahead memory is asked for, where hardware does not do so. Rows a power of two apart
  // are in the same few places of the first cache: more of them would push each other out.
  static constexpr std::int64_t kAhead = 8;
  // The same where rows are copied or packed, which takes less time.
  static constexpr std::int64_t kCopyAhead = 16;
  static constexpr std::int64_t kLine = 16;  // numbers of a line of memory

  // ---- Rows ----

  bool rows_known() {
    return std::all_of(rows_.begin(), rows_.end(), [&](const ContractIndex* m) {
      return m->extent.is_constant() && !is_range(*m);
    });
  }
  /// The extents of all rows' indices but the first.
  Value* rows_of_first() {
    Value* count = number(1);
    for (std::size_t m = 1; m < rows_.size(); ++m)
      count = b_.CreateMul(count, e_.dim(rows_[m]->extent));
    return count;
  }
  Value* first_row() { return b_.CreateMul(low(*rows_[0]), rows_of_first()); }
  Value* end_row() { return b_.CreateMul(high(*rows_[0]), rows_of_first()); }
  /// The step of U from row to row, where it is the same for all.
  Value* row_step() { return e_.dim(r_.u_stride(*rows_.back())); }
  std::vector<Value*> digits_of_row(Value* i) {
    std::vector<Value*> digits(rows_.size());
    for (std::size_t m = rows_.size(); m-- > 1;) {
      Value* extent = e_.dim(rows_[m]->extent);
      digits[m] = b_.CreateURem(i, extent);
      i = b_.CreateUDiv(i, extent);
    }
    digits[0] = i;
    return digits;
  }

  /// Points the expressions at row i. Where all of them lie in memory as evenly as the rows follow
  /// one another, the row's number stands for its last index, and nothing is divided.
  void go_to_row(Value* i) {
    if (!is_one_row_) is_one_row_ = rows_.size() > 1 && epilogue_is_even();
    if (!*is_one_row_) {
      const std::vector<Value*> digits = digits_of_row(i);
      for (std::size_t m = 0; m < digits.size(); ++m) e_.set_axis(rows_[m]->axis, digits[m]);
      return;
    }
    for (const ContractIndex* m : rows_) e_.set_axis(m->axis, number(0));
    e_.set_axis(rows_.back()->axis, i);
  }

  // ---- Tables ----

  /// Offsets of a block's rows in U; and of a block's products in U and V, from its first one's.
  void make_tables() {
    blocks_ = k_blocks(r_, s_.k_block);
    shape_ = block_shape(r_, scope_.unit, s_, blocks_);
    if (copies_tabled() && !r_.even_rows) {
      granule_ = std::lcm<std::int64_t>(s_.rows, r_.lanes);
      shape_.rows = round_up(shape_.rows, granule_);
    }
    const auto table = [&](std::int64_t size, const char* name) {
      return array(b_.getInt64Ty(), size, name);
    };
    if (!r_.even_rows) row_table_ = table(shape_.rows + s_.rows, "rows");
    if (r_.skips) {
      all_rows_ = table(shape_.rows, "all");
      chosen_ = table(shape_.rows + s_.rows, "chosen");
      for (std::size_t f = 0; f < c_.frames.size(); ++f)
        places_.push_back(table(shape_.rows, "places"));
    }
    if (blocks_.inner.empty()) return;
    u_table_ = table(blocks_.products() + kCopyAhead, "u");
    v_table_ = table(blocks_.products() + kCopyAhead, "v");
    const auto walk = [&](auto& self, std::size_t at, Value* place, Value* u, Value* v) -> void {
      if (at > blocks_.inner.size()) {
        b_.CreateStore(u, entry(u_table_, place));
        b_.CreateStore(v, entry(v_table_, place));
        return;
      }
      const ContractIndex& k = at == 0 ? *blocks_.split : *blocks_.inner[at - 1];
      Value* extent = at == 0 ? number(blocks_.chunk) : e_.dim(k.extent);
      emit_loop(b_, number(0), extent, 1, "table", [&](Value* i) {
        self(self, at + 1, b_.CreateAdd(b_.CreateMul(place, extent), i),
             b_.CreateAdd(u, b_.CreateMul(i, e_.dim(r_.u_stride(k)))),
             b_.CreateAdd(v, b_.CreateMul(i, e_.dim(r_.v_stride(k)))));
      });
    };
    walk(walk, 0, number(0), number(0), number(0));
    // What is asked for ahead of the last products is of no use, but must be somewhere.
    for (std::int64_t k = 0; k < kCopyAhead; ++k)
      for (llvm::AllocaInst* t : {u_table_, v_table_})
        b_.CreateStore(number(0), entry(t, number(blocks_.products() + k)));
  }
  Value* entry(llvm::AllocaInst* table, Value* at) {
    return b_.CreateInBoundsGEP(b_.getInt64Ty(), table, at);
  }
  Value* looked_up(llvm::AllocaInst* table, Value* at) {
    return b_.CreateLoad(b_.getInt64Ty(), entry(table, at));
  }
  void fill_row_table(Value* first, Value* last) {
    if (!row_table_) return;
    emit_loop(b_, first, last, 1, "table", [&](Value* i) {
      const std::vector<Value*> digits = digits_of_row(i);
      Value* offset = number(0);
      for (std::size_t m = 0; m < digits.size(); ++m)
        offset = b_.CreateAdd(offset, b_.CreateMul(digits[m], e_.dim(r_.u_stride(*rows_[m]))));
      b_.CreateStore(offset, entry(row_table_, b_.CreateSub(i, first)));
    });
  }
  /// Where each row of a block is, in U and along the frames.
  void note_places(Value* first, Value* last) {
    emit_loop(b_, first, last, 1, "table", [&](Value* i) {
      Value* row = b_.CreateSub(i, first);
      b_.CreateStore(looked_up(row_table_, row), entry(all_rows_, row));
      const std::vector<Value*> digits = digits_of_row(i);
      for (std::size_t f = 0; f < c_.frames.size(); ++f)
        for (std::size_t m = 0; m < digits.size(); ++m)
          if (rows_[m]->letter == c_.frames[f].at)
            b_.CreateStore(b_.CreateAdd(b_.CreateMul(digits[m], number(c_.frames[f].step)),
                                        number(c_.frames[f].begin)),
                           entry(places_[f], row));
    });
  }
  /// The rows of a block that are inside of the frames for these taps become those of the table;
  /// repeated up to whole tiles, whose sums nobody reads. Their number.
  Value* choose_rows(const std::map<char, Value*>& taps, Value* rows) {
    llvm::AllocaInst* count = emit_variable(b_, b_.getInt64Ty(), "count");
    const auto now = [&] { return b_.CreateLoad(b_.getInt64Ty(), count); };
    b_.CreateStore(number(0), count);
    each_row_inside(taps, rows, [&](Value* row, Value* is_inside) {
      b_.CreateStore(looked_up(all_rows_, row), entry(row_table_, now()));
      b_.CreateStore(row, entry(chosen_, now()));
      b_.CreateStore(b_.CreateAdd(now(), b_.CreateZExt(is_inside, b_.getInt64Ty())), count);
    });
    Value *chosen = now(), *whole = rounded_up(chosen, s_.rows);
    emit_loop(b_, chosen, whole, 1, "fill", [&](Value* at) {
      b_.CreateStore(looked_up(row_table_, number(0)), entry(row_table_, at));
      b_.CreateStore(number(shape_.rows), entry(chosen_, at));
    });
    return whole;
  }
  /// Of a chosen row, its place in the block.
  Value* place_of_chosen(Value* at) { return looked_up(chosen_, at); }
  /// For matrices, which take all rows: notes which are inside of the frames for these taps.
  void note_inside(const std::map<char, Value*>& taps, Value* rows) {
    each_row_inside(taps, rows, [&](Value* row, Value* is_inside) {
      b_.CreateStore(b_.CreateZExt(is_inside, b_.getInt64Ty()), entry(chosen_, row));
    });
  }
  /// Of a row by its place in the block.
  Value* u_of_row(Value* place) { return looked_up(row_table_, place); }
  /// From the first product of a block to its k-th.
  Value* u_of(Value* k) {
    return u_table_ ? looked_up(u_table_, k) : b_.CreateMul(k, e_.dim(r_.u_stride(*blocks_.split)));
  }
  Value* v_of(Value* k) {
    return v_table_ ? looked_up(v_table_, k) : b_.CreateMul(k, e_.dim(r_.v_stride(*blocks_.split)));
  }

  /// Rows that lie side by side in U, and products that are in tables: a part's rows are copied for
  /// all its panels. What registers there are for pointers would have to hold one for each row, and
  /// a line of U would be fetched for few columns.
  bool copies_tabled() const {
    const auto is_whole = [&](const Dim& extent) {
      return extent.is_constant() && extent.value() % r_.lanes == 0;
    };
    return short_vectors() && has_rows_to_copy() &&
           (r_.even_rows ? !blocks_.inner.empty() : is_whole(rows_.back()->extent));
  }
  /// Neighbouring rows are neighbours in U, and products are not.
  bool has_rows_to_copy() const {
    return s_.packed && !r_.pairs && !r_.matrices && !r_.skips && !rows_.empty() &&
           is_u_strided(r_) && r_.u_stride(*rows_.back()) == Dim(1) &&
           e_.element(u_buffer()) == c_.type;
  }

  loop::ContractSchedule s_;
  std::int64_t granule_;                            // parts of rows are whole numbers of so many
  std::vector<const ContractIndex*> outer_, rows_;  // loops around everything; what tiles run along
  KBlocks blocks_;
  BlockShape shape_;

  /// The innermost of a block's k's.
  const ContractIndex& last_k() const {
    return blocks_.inner.empty() ? *blocks_.split : *blocks_.inner.back();
  }
  // Where the tables of rows, of those that are chosen, and of products in U have an entry.
  Value* row_entry(Value* place) { return entry(row_table_, place); }
  Value* chosen_entry(Value* place) { return entry(chosen_, place); }
  Value* u_entry(Value* k) { return entry(u_table_, k); }
  bool has_row_table() const { return row_table_ != nullptr; }
  bool has_product_tables() const { return u_table_ != nullptr; }

 private:
  /// Whether the epilogue uses the rows' indices in offsets alone, and each of those grows by as
  /// much from the end of one index to the next of the one before.
  bool epilogue_is_even() const {
    std::vector<bool> seen(k_.exprs.size(), false);
    const auto in_order = [&](loop::ExprId offset) {
      for (std::size_t m = 1; m < rows_.size(); ++m) {
        const auto outer = e_.coefficient(offset, rows_[m - 1]->axis),
                   inner = e_.coefficient(offset, rows_[m]->axis);
        if (!outer || !inner || !(*outer == *inner * rows_[m]->extent)) return false;
      }
      return true;
    };
    const std::function<bool(loop::ExprId)> is_even = [&](loop::ExprId id) {
      const auto at = static_cast<std::size_t>(id);
      if (seen[at]) return true;
      seen[at] = true;
      const loop::Expr& e = k_.exprs[at];
      if (e.kind == loop::ExprKind::Load) return in_order(e.operands[0]);
      if (e.kind == loop::ExprKind::Axis)
        return std::none_of(rows_.begin(), rows_.end(),
                            [&](const ContractIndex* m) { return m->axis == e.axis; });
      return std::all_of(e.operands.begin(), e.operands.end(), is_even);
    };
    for (const loop::Stage& stage : k_.stages)
      for (const loop::Store& s : stage.stores)
        if (!in_order(s.offset) || !is_even(s.value)) return false;
    return true;
  }

  void each_row_inside(const std::map<char, Value*>& taps, Value* rows,
                       const std::function<void(Value* row, Value* is_inside)>& body) {
    std::vector<Value*> steps;
    for (const loop::Frame& f : c_.frames)
      steps.push_back(b_.CreateMul(taps.at(f.tap), number(f.dilation)));
    emit_loop(b_, number(0), rows, 1, "choose", [&](Value* row) {
      Value* is_inside = b_.getTrue();
      for (std::size_t f = 0; f < steps.size(); ++f) {
        Value* place = b_.CreateAdd(looked_up(places_[f], row), steps[f]);
        is_inside = b_.CreateAnd(is_inside, b_.CreateICmpULT(place, number(c_.frames[f].extent)));
      }
      body(row, is_inside);
    });
  }

  llvm::AllocaInst *row_table_ = nullptr, *u_table_ = nullptr, *v_table_ = nullptr;
  // Where rows are chosen: all of a block, which of them are, and the places along each frame.
  llvm::AllocaInst *all_rows_ = nullptr, *chosen_ = nullptr;
  std::vector<llvm::AllocaInst*> places_;
  std::optional<bool> is_one_row_;
};

}  // namespace dlc
