#pragma once
// Products under a triangular mask (passes/loop/bands.cpp): which of them a tile takes.
#include "codegen/llvm/contraction_panels.h"

namespace dlc {

class ContractionBands : public ContractionPanels {
 public:
  using ContractionPanels::ContractionPanels;

 protected:
  /// Rows, columns and products are an index each, and tiles of vectors take them as they come.
  bool is_plain() const {
    return rows_.size() == 1 && r_.k.size() == 1 && !r_.stack && !r_.skips && !r_.pairs &&
           !r_.matrices;
  }
  bool has_bands() const { return !c_.bands.empty() && is_plain(); }

  /// Products of a sum, from a multiple of the turn on.
  struct Range {
    Value *from, *to;
  };
  /// Of `count` products from number k0 on, those that the bands leave of a tile of rows from i on,
  /// in whole turns. Without bands, all.
  Range range_of(const Panel& p, Value* i, int rows, Value* k0, Value* count, std::int64_t turn) {
    Value *from = number(0), *to = count;
    if (!has_bands()) return {from, to};
    const ContractIndex &k = *r_.k[0], &m = *rows_[0], &n = *r_.n;
    for (const loop::Band& band : c_.bands) {
      const auto is = [&](const ContractIndex& low, const ContractIndex& high) {
        return band.low == low.letter && band.high == high.letter;
      };
      Value* offset = e_.dim(band.offset);
      Value *last_row = b_.CreateAdd(i, number(rows - 1)),
            *last_column = b_.CreateAdd(p.j, number(p.vectors * r_.lanes - 1));
      const auto begin = [&](Value* at) {
        from = larger(from, b_.CreateSub(b_.CreateSub(at, offset), k0));
      };
      const auto end = [&](Value* last) {
        Value* after = b_.CreateAdd(b_.CreateAdd(last, offset), number(1));
        to = smaller(to, b_.CreateSub(after, k0));
      };
      const auto none_if_above = [&](Value* first, Value* last) {
        Value* above = b_.CreateICmpSGT(first, b_.CreateAdd(last, offset));
        to = b_.CreateSelect(above, number(0), to);
      };
      if (is(k, m)) end(last_row);
      if (is(k, n)) end(last_column);
      if (is(m, k)) begin(i);
      if (is(n, k)) begin(p.j);
      if (is(n, m)) none_if_above(p.j, last_row);
      if (is(m, n)) none_if_above(i, last_column);
    }
    to = larger(to, number(0));
    return {b_.CreateMul(b_.CreateUDiv(from, number(turn)), number(turn)),
            smaller(rounded_up(to, turn), count)};
  }
};

}  // namespace dlc
