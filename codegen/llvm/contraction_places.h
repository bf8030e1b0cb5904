#pragma once
// Many small products side by side (the heads of attention): the loops around everything go from
// place to place, and hardware does not see the next one's short rows coming.
#include "codegen/llvm/contraction_bands.h"

namespace dlc {

class ContractionPlaces : public ContractionBands {
 public:
  using ContractionBands::ContractionBands;

 protected:
  /// At a place of the outer loops: where the operands of the next one are, and how much of them
  /// each tile of this one asks for.
  void note_next_place() {
    next_.clear();
    if (!short_vectors() || outer_.empty() || !is_plain()) return;
    const std::vector<Value*> indices = next_indices();
    const auto count = [&](const ContractIndex& i, std::int64_t of) {
      return divided_up(e_.dim(i.extent), number(of));
    };
    panels_ = count(*r_.n, static_cast<std::int64_t>(s_.vectors) * r_.lanes);
    Value* tiles = b_.CreateMul(panels_, count(*rows_[0], s_.rows));
    for (const bool is_a : {true, false}) {
      if (!exceeds_cache(scope_.program, c_, is_a, scope_.unit.core)) continue;
      const auto stride = [&](const ContractIndex& i) { return is_a ? i.a_stride : i.b_stride; };
      const ContractIndex *k = r_.k[0], *other = is_a == r_.u_is_a ? rows_[0] : r_.n;
      if (!(stride(*k) == Dim(1))) std::swap(k, other);
      if (!(stride(*k) == Dim(1))) continue;
      Matrix m{is_a ? c_.a : c_.b,    e_.dim(is_a ? c_.a_base : c_.b_base),
               e_.dim(other->extent), e_.dim(stride(*other)),
               e_.dim(k->extent),     nullptr};
      for (std::size_t at = 0; at < outer_.size(); ++at)
        m.first = b_.CreateAdd(m.first, b_.CreateMul(indices[at], e_.dim(stride(*outer_[at]))));
      // More than that would push out what this place still needs.
      const std::int64_t most =
          scope_.unit.core.l2_size() / (4 * size_in_bytes(e_.element(m.buffer)));
      Value* fits = b_.CreateICmpSLE(b_.CreateMul(m.rows, m.length), number(most));
      m.rows_of_tile = b_.CreateSelect(fits, divided_up(m.rows, tiles), number(0));
      next_.push_back(m);
    }
  }

  /// In the tile of a panel that begins at row i.
  void prefetch_place(Value* panel, Value* i) {
    if (next_.empty()) return;
    Value* tile = b_.CreateAdd(b_.CreateMul(b_.CreateUDiv(i, number(s_.rows)), panels_), panel);
    for (const Matrix& m : next_) {
      llvm::Type* memory = e_.memory_type(e_.element(m.buffer));
      Value* from = b_.CreateMul(tile, m.rows_of_tile);
      Value* to = smaller(b_.CreateAdd(from, m.rows_of_tile), m.rows);
      emit_loop(b_, from, to, 1, "ahead", [&](Value* row) {
        Value* first = b_.CreateAdd(m.first, b_.CreateMul(row, m.step));
        emit_loop(b_, number(0), m.length, kLine, "line", [&](Value* at) {
          e_.prefetch(b_.CreateGEP(memory, e_.buffer(m.buffer), b_.CreateAdd(first, at)),
                      ExpressionEmitter::Cache::Second);
        });
      });
    }
  }

 private:
  /// An operand's rows of memory at a place.
  struct Matrix {
    loop::BufferId buffer;
    Value *first, *rows, *step, *length;
    Value* rows_of_tile;
  };

  /// Of the outer loops, one place on. Behind the last one is a place that nobody uses.
  std::vector<Value*> next_indices() {
    std::vector<Value*> next(outer_.size());
    Value* carry = b_.getTrue();
    for (std::size_t at = outer_.size(); at-- > 0;) {
      Value* here = e_.axis_index(outer_[at]->axis);
      Value* there = b_.CreateAdd(here, b_.CreateZExt(carry, b_.getInt64Ty()));
      Value* wraps = at > 0 ? b_.CreateICmpEQ(there, high(*outer_[at])) : b_.getFalse();
      next[at] = b_.CreateSelect(wraps, number(0), there);
      carry = wraps;
    }
    return next;
  }

  std::vector<Matrix> next_;
  Value* panels_ = nullptr;  // of a place
};

}  // namespace dlc
