#pragma once
// Panels of V: some vectors of its columns for a block of k, read where they are or packed side by
// side, turned over where V runs along k.
#include "codegen/llvm/bf16_parts.h"
#include "codegen/llvm/contraction_indices.h"
#include "codegen/llvm/turn.h"

namespace dlc {

class ContractionPanels : public ContractionIndices {
 public:
  using ContractionIndices::ContractionIndices;

 protected:
  struct Panel {
    Value* j;  // the first column, or row of the stack
    int vectors;
    Value* last_mask;  // the columns that exist in the last vector; null: all
    // For matrices, in the stead of that: so many exist from the first on; null: all.
    Value* columns = nullptr;
  };

  /// Panels side by side, which go through the same rows one after the other.
  struct Group {
    Panel first;
    Value* panels;
    Panel rest = {};  // a narrower one that comes after them, where `has_rest`; null: never
    Value* has_rest = nullptr;
  };

  using EachPanel = std::function<void(const std::function<void(const Panel&)>&)>;

  struct Block {
    Value *first, *last;                            // the rows
    Value *u = nullptr, *v = nullptr;               // offsets of the first product of row 0
    Value* count = nullptr;                         // products
    Value* k0 = nullptr;                            // the first one's number in the split index
    Value *is_first = nullptr, *is_last = nullptr;  // of the panel's blocks
    Value* next_v = nullptr;  // as v, of the block that comes after this one; null: nobody asks
    // Where the panel begins among what is packed, and its sums among those that wait, in rows.
    Value *packed_row = nullptr, *waiting_row = nullptr;
    Value* panel = nullptr;        // its number in the group
    Value* copied_from = nullptr;  // the first of the rows of U that are copied; null: none
    Value* next_u = nullptr;       // offset of what is copied next; null: nobody asks for it
  };

  Value* mask_of(const Panel& p, int s) {
    if (p.columns) return lanes_below(b_.CreateSub(p.columns, number(s * r_.lanes)));
    return r_.stack || s == p.vectors - 1 ? p.last_mask : nullptr;
  }

  // ---- Memory ----

  /// Not in bounds: what is asked for ahead may lie behind the end.
  Value* address_of_v(Value* offset) {
    return b_.CreateGEP(e_.memory_type(e_.element(v_buffer())), e_.buffer(v_buffer()), offset);
  }
  /// A vector of V as it is in memory.
  Value* load_raw(Value* offset, Value* mask) {
    const ElementType t = e_.element(v_buffer());
    llvm::Type* whole = vector_of(e_.memory_type(t), r_.lanes);
    Value* at = b_.CreateInBoundsGEP(e_.memory_type(t), e_.buffer(v_buffer()), offset);
    if (!mask) return b_.CreateAlignedLoad(whole, at, align(t));
    return b_.CreateMaskedLoad(whole, at, align(t), mask, llvm::Constant::getNullValue(whole));
  }
  Value* widened(Value* v) { return e_.from_memory(e_.element(v_buffer()), v); }
  /// Vector s of the panel for the product at `v` from the block's first.
  Value* read(const Panel& p, const Block& block, Value* v, int s, Value* mask) {
    Value* at = b_.CreateAdd(block.v, v);
    at = b_.CreateAdd(at, number(s * r_.lanes));
    Value* edge = p.columns || s == p.vectors - 1 ? mask_of(p, s) : nullptr;
    return load_raw(at, edge && mask ? b_.CreateAnd(edge, mask) : edge ? edge : mask);
  }

  /// Rows of V are far apart, so that hardware does not see the next block coming: while this one
  /// is used, the first tiles ask for it, each for one vector of every row.
  void prefetch_next(const Panel& p, const Block& block, Value* tile, Value* first,
                     std::int64_t turn) {
    if (!block.next_v) return;
    emit_if(b_, b_.CreateICmpSLT(tile, number(p.vectors)), [&] {
      Value* column = b_.CreateAdd(block.next_v, b_.CreateMul(tile, number(r_.lanes)));
      for (std::int64_t j = 0; j < turn; ++j) {
        e_.prefetch(address_of_v(b_.CreateAdd(column, v_of(b_.CreateAdd(first, number(j))))),
                    ExpressionEmitter::Cache::Second);
      }
    });
  }

  // ---- Packing ----

  /// A group's panels, where the schedule packs.
  std::int64_t packed_vectors() const {
    return s_.packed ? packed_rows() * most_panels() * s_.vectors : 0;
  }
  /// Of a group, with what is left of n, which is narrower than a panel.
  std::int64_t most_panels() const { return shape_.panels + (joins_rest() ? 1 : 0); }
  bool knows_rest() const { return r_.n->extent.is_constant() && !is_range(*r_.n); }
  /// Columns that are left of whole panels, where that is known.
  std::int64_t rest_columns() const {
    return r_.n->extent.value() % (static_cast<std::int64_t>(s_.vectors) * r_.lanes);
  }
  /// What is left of n goes through the rows with the last group: U is copied, and asked for, once
  /// for all.
  bool joins_rest() const {
    return !r_.skips && !r_.matrices && !r_.stack && knows_rest() && rest_columns() > 0 &&
           rest_columns() < r_.n->extent.value();
  }
  /// Of a panel. Turned products come a vector at a time.
  std::int64_t packed_rows() const {
    if (r_.matrices) return round_up(blocks_.products(), kMatrixProducts) / 2 * r_.parts;
    return r_.pairs ? round_up(blocks_.chunk, 2 * r_.lanes) / 2
                    : blocks_.products() + (r_.turned ? r_.lanes : 0);
  }
  /// Where a panel begins among what is packed, and the step from product to product; in bytes.
  Value* packed_line(const Panel& p, const Block& block) {
    return b_.CreateMul(block.packed_row, number(line_bytes(p)));
  }
  std::int64_t line_bytes(const Panel& p) const {
    return static_cast<std::int64_t>(p.vectors) * scope_.unit.bits / 8;
  }
  /// Vector s of the product that is j after the one at `line`. Not in bounds: what is asked for
  /// ahead may lie behind the end.
  Value* in_line(const Panel& p, Value* line, std::int64_t j, int s) {
    Value* here = b_.CreateGEP(b_.getInt8Ty(), packed_, line);
    return b_.CreateGEP(
        b_.getInt8Ty(), here,
        number(j * line_bytes(p) + static_cast<std::int64_t>(s) * scope_.unit.bits / 8));
  }
  /// Row by row of V through all panels of a group.
  bool packs_by_rows() const { return s_.packed && !r_.turned && !r_.pairs && !r_.matrices; }
  Value* packed(llvm::Type* t, const Panel& p, const Block& block, Value* row, Value* s) {
    row = b_.CreateAdd(row, block.packed_row);
    return b_.CreateInBoundsGEP(t, packed_, b_.CreateAdd(b_.CreateMul(row, number(p.vectors)), s));
  }

  void pack(const Panel& p, const Block& block) {
    if (r_.turned) return pack_turned(p, block);
    if (r_.pairs) return pack_pairs(p, block);
  }
  void pack_row(const Panel& p, const Block& block, Value* k) {
    if (short_vectors()) {
      Value* ahead = b_.CreateAdd(block.v, v_of(b_.CreateAdd(k, number(kCopyAhead))));
      for (int s = 0; s < p.vectors; ++s)
        if (s * r_.lanes % kLine == 0)
          e_.prefetch(address_of_v(b_.CreateAdd(ahead, number(s * r_.lanes))));
    }
    for (int s = 0; s < p.vectors; ++s)
      b_.CreateStore(widened(read(p, block, v_of(k), s, nullptr)),
                     packed(vector(), p, block, k, number(s)));
  }
  llvm::Type* pairs() { return vector_of(b_.getInt32Ty(), r_.lanes); }

  Value* packed_ = nullptr;  // null: nothing is packed

 private:
  /// V has a row of memory for each column of the panel: blocks of `lanes` of them are turned over
  /// in registers. A lane of 32 bits may hold two k's (pairs). Much code for each block, so there
  /// are few copies of it: a mask where another loop could do without.
  void pack_turned(const Panel& p, const Block& block) {
    // The last k runs along memory; what it stands in is one block, or each entry of the others.
    const ContractIndex& k = last_k();
    const bool all = blocks_.inner.empty();
    const int step = r_.pairs ? 2 * r_.lanes : r_.lanes;
    const bool fits = k.extent.is_constant() && k.extent.value() % step == 0;
    Value *row_step = e_.dim(r_.v_stride(*r_.n)), *k_step = e_.dim(r_.v_stride(k));
    Value* run = all ? block.count : e_.dim(k.extent);
    // Columns that do not exist repeat the last one that does.
    const auto columns = [&](Value* s, Value* last, Value* start, Value* v) {
      Value* column = b_.CreateMul(s, number(r_.lanes));
      emit_loop(b_, number(0), run, step, "pack", [&](Value* at) {
        Value* mask = fits ? nullptr : e_.lanes_below(b_.CreateSub(run, at), step);
        std::vector<Value*> rows;
        for (int r = 0; r < r_.lanes; ++r) {
          Value* row = b_.CreateAdd(column, number(r));
          if (last) row = smaller(row, last);
          Value* from = b_.CreateAdd(v, b_.CreateMul(row, row_step));
          rows.push_back(along(k, b_.CreateAdd(from, b_.CreateMul(at, k_step)), mask));
        }
        rows = emit_turned(b_, std::move(rows));
        // A run that is no whole number of vectors writes into the next one, which comes later.
        Value* line = b_.CreateAdd(start, r_.pairs ? b_.CreateLShr(at, 1) : at);
        for (int r = 0; r < r_.lanes; ++r)
          b_.CreateStore(rows[static_cast<std::size_t>(r)],
                         packed(rows[0]->getType(), p, block, b_.CreateAdd(line, number(r)), s));
      });
    };
    const auto each_run = [&](Value* s, Value* last) {
      if (all) return columns(s, last, number(0), block.v);
      emit_loop(b_, number(0), block.count, k.extent.value(), "run",
                [&](Value* start) { columns(s, last, start, b_.CreateAdd(block.v, v_of(start))); });
    };
    const int whole = p.last_mask ? p.vectors - 1 : p.vectors;
    if (whole > 0)
      emit_loop(b_, number(0), number(whole), 1, "vector", [&](Value* s) { each_run(s, nullptr); });
    if (p.last_mask)
      each_run(number(whole), b_.CreateSub(b_.CreateSub(high(*r_.n), p.j), number(1)));
  }

  /// Consecutive k's of V for one column, as the lanes of a packed vector; those outside the mask
  /// are zeros.
  Value* along(const ContractIndex& k, Value* offset, Value* mask) {
    if (!r_.pairs)
      return widened(r_.v_stride(k) == Dim(1) ? load_raw(offset, mask) : gathered(k, offset, mask));
    llvm::Type* halves = vector_of(b_.getInt16Ty(), 2 * r_.lanes);
    Value* at = b_.CreateInBoundsGEP(b_.getInt16Ty(), e_.buffer(v_buffer()), offset);
    Value* v = mask ? static_cast<Value*>(b_.CreateMaskedLoad(halves, at, llvm::Align(2), mask,
                                                              llvm::Constant::getNullValue(halves)))
                    : b_.CreateAlignedLoad(halves, at, llvm::Align(2));
    return b_.CreateBitCast(v, pairs());
  }

  /// Elements that step by something else than 1 along the last k.
  Value* gathered(const ContractIndex& index, Value* offset, Value* mask) {
    const ElementType t = e_.element(v_buffer());
    llvm::Type *memory = e_.memory_type(t), *whole = vector_of(memory, r_.lanes);
    Value* v = llvm::PoisonValue::get(whole);
    for (int i = 0; i < r_.lanes; ++i) {
      Value* k = number(i);
      // What the mask leaves out is read from the first one's place.
      if (mask) k = b_.CreateSelect(b_.CreateExtractElement(mask, number(i)), k, number(0));
      Value* at = b_.CreateAdd(offset, b_.CreateMul(k, e_.dim(r_.v_stride(index))));
      Value* element = b_.CreateAlignedLoad(
          memory, b_.CreateInBoundsGEP(memory, e_.buffer(v_buffer()), at), align(t));
      v = b_.CreateInsertElement(v, element, number(i));
    }
    return v;
  }

  /// Rows k and k + 1 of V side by side; behind the last one comes a row of zeros.
  void pack_pairs(const Panel& p, const Block& block) {
    emit_loop(b_, number(0), block.count, 2, "pack", [&](Value* k) {
      Value* next = b_.CreateAdd(k, number(1));
      Value* exists = b_.CreateVectorSplat(static_cast<unsigned>(r_.lanes),
                                           b_.CreateICmpSLT(next, block.count));
      for (int s = 0; s < p.vectors; ++s) {
        Value *even = read(p, block, v_of(k), s, nullptr),
              *odd = read(p, block, v_of(next), s, exists);
        b_.CreateStore(emit_pairs(b_, even, odd),
                       packed(pairs(), p, block, b_.CreateLShr(k, 1), number(s)));
      }
    });
  }
};

}  // namespace dlc
