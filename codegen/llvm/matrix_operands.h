#pragma once
// What the tile unit (AMX) multiplies: copies of both operands as matrices of bf16, 16 lines of 32
// numbers. Matrices lie side by side, so that what is written together is together.
//
// A line of V's has two products of each of 16 columns, a line of U's the products of a row. What
// does not exist behind the last product is zero. In a step of 32 products the pairs may be any, if
// they are the same in both operands: bf16 is taken as it lies in memory; of f32 the first half of
// a step's products has the second half beside it.
//
// An f32 is copied as its three parts of bf16 (bf16_parts.h), in matrices of their own.
#include "codegen/llvm/bf16_parts.h"
#include "codegen/llvm/contraction_rows.h"
#include "codegen/llvm/matrix_copies.h"

namespace dlc {

class MatrixOperands : public ContractionRows {
 public:
  using ContractionRows::ContractionRows;

 protected:
  static constexpr std::int64_t kLine = 64, kProducts = kMatrixProducts;
  static constexpr int kHalf = kMatrixProducts / 2;
  static constexpr std::int64_t kTall = 2 * kMatrixRows;  // rows of C, and of U's copy, at a time

  /// Of the rows of U that are copied at a time.
  std::int64_t matrices_bytes() const { return r_.matrices ? kTall * copied_step() : 0; }
  Value* bytes_from(Value* pointer, Value* offset) {
    return b_.CreateGEP(b_.getInt8Ty(), pointer, offset);
  }
  Value* after(Value* k, std::int64_t j) { return b_.CreateAdd(k, number(j)); }

  // ---- A step's products ----

  /// Matrices of a block's products in a row.
  std::int64_t steps() const { return round_up(blocks_.products(), kProducts) / kProducts; }
  Value* whole_steps(const Block& block) {
    return b_.CreateUDiv(b_.CreateAdd(block.count, number(kProducts - 1)), number(kProducts));
  }
  bool has_whole_steps(const Block& block) {
    const auto* known = llvm::dyn_cast<llvm::ConstantInt>(block.count);
    return known && known->getSExtValue() % kProducts == 0;
  }
  /// A product of a block by its number, which is that of another one where it does not exist.
  struct Product {
    Value *at, *exists;  // exists: null where it is known to
  };
  Product product(const Block& block, Value* k) {
    if (has_whole_steps(block)) return {k, nullptr};
    Value* exists = b_.CreateICmpSLT(k, block.count);
    return {b_.CreateSelect(exists, k, number(0)), exists};
  }
  Value* first_of(Value* step) { return b_.CreateMul(step, number(kProducts)); }

  /// A function of matrix_copies.h for a step.
  CopyKind copy_kind(const Block& block, bool by_table) {
    return {r_.parts, has_whole_steps(block), by_table, r_.skips};
  }
  /// The products of a step that exist, and the places of its halves.
  Value* left_of(const Block& block, Value* step) {
    return b_.CreateSub(block.count, first_of(step));
  }
  struct Halves {
    Value *x, *y;
  };
  template <class Offset>
  Halves halves_of(const Block& block, Value* step, const Offset& offset) {
    const auto half = [&](std::int64_t first) {
      return offset(product(block, after(first_of(step), first)).at);
    };
    return {half(0), half(kHalf)};
  }
  llvm::Module& module() { return scope_.module; }
  Value* no_table() { return llvm::ConstantPointerNull::get(b_.getPtrTy()); }

  // ---- What is packed of V ----

  /// All panels of a group.
  void pack_matrices(const Block& block, const EachPanel& each_panel) {
    if (r_.turned)
      each_panel([&](const Panel& p) { pack_turned_matrices(p, block); });
    else
      pack_lines(block, each_panel);
  }

  /// From line to line of a panel's matrices, which lie side by side.
  std::int64_t packed_step(const Panel& p) const { return r_.parts * line_bytes(p); }
  /// Line `line` of a step's matrix for vector s of a panel.
  Value* packed_at(const Panel& p, const Block& block, Value* step, Value* line, Value* part,
                   Value* s) {
    Value* down = b_.CreateAdd(b_.CreateMul(step, number(kMatrixRows)), line);
    Value* across = b_.CreateAdd(b_.CreateMul(part, number(p.vectors)), s);
    return bytes_from(packed_, b_.CreateAdd(packed_line(p, block),
                                            b_.CreateAdd(b_.CreateMul(down, number(packed_step(p))),
                                                         b_.CreateMul(across, number(kLine)))));
  }

  /// Two rows of V side by side, through all panels.
  void pack_lines(const Block& block, const EachPanel& each_panel) {
    emit_loop(b_, number(0), whole_steps(block), 1, "step", [&](Value* step) {
      emit_loop(b_, number(0), number(kMatrixRows), 1, "pack", [&](Value* line) {
        Value* k =
            b_.CreateAdd(first_of(step), r_.parts == 1 ? b_.CreateMul(line, number(2)) : line);
        const Product x = product(block, k),
                      y = product(block, after(k, r_.parts == 1 ? 1 : kHalf));
        each_panel([&](const Panel& p) {
          const auto row = [&](const Product& of, int s) {
            Value* mask = of.exists
                              ? b_.CreateVectorSplat(static_cast<unsigned>(r_.lanes), of.exists)
                              : nullptr;
            return read(p, block, v_of(of.at), s, mask);
          };
          for (int s = 0; s < p.vectors; ++s)
            store_pairs(p, block, step, line, s, row(x, s), row(y, s));
        });
      });
    });
  }
  /// A line for each part of the pairs of two vectors, as they are in memory.
  void store_pairs(const Panel& p, const Block& block, Value* step, Value* line, int s, Value* x,
                   Value* y) {
    const auto store = [&](int part, Value* v) {
      b_.CreateAlignedStore(v, packed_at(p, block, step, line, number(part), number(s)),
                            llvm::Align(64));
    };
    if (r_.parts == 1) return store(0, emit_pairs(b_, x, y));
    int part = 0;
    for (Value* pairs : emit_pairs_of_parts(b_, x, y, upper_)) store(part++, pairs);
  }

  /// V has a row of memory for each column: 16 columns are turned over in registers.
  void pack_turned_matrices(const Panel& p, const Block& block) {
    llvm::Function* turn = turn_columns_function(module(), copy_kind(block, false));
    Value* columns = e_.dim(r_.v_stride(*r_.n));
    emit_loop(b_, number(0), whole_steps(block), 1, "step", [&](Value* step) {
      const Halves h = halves_of(block, step, [&](Value* k) { return v_of(k); });
      emit_loop(b_, number(0), number(p.vectors), 1, "vector", [&](Value* s) {
        Value* first = b_.CreateMul(s, number(r_.lanes));
        Value* v = b_.CreateAdd(block.v, b_.CreateMul(first, columns));
        Value* last = p.columns ? b_.CreateSub(b_.CreateSub(p.columns, first), number(1))
                                : number(r_.lanes - 1);
        // A vector behind the last column repeats that, too.
        Value* back = b_.CreateMul(smaller(last, number(0)), columns);
        b_.CreateCall(
            turn,
            {b_.CreateGEP(e_.memory_type(e_.element(v_buffer())), e_.buffer(v_buffer()),
                          b_.CreateAdd(v, back)),
             h.x, h.y, columns, b_.CreateSelect(b_.CreateICmpSLT(last, number(0)), number(0), last),
             left_of(block, step), packed_at(p, block, step, number(0), number(0), s),
             number(packed_step(p)), number(p.vectors * kLine)});
      });
    });
  }

  // ---- What is copied of U ----

  // A ring of one step more than a block has: the next rows begin a step before the present ones,
  // so that each of their steps takes the place of one that has been used.
  std::int64_t slots() const { return steps() + 1; }
  Value* ring() { return b_.CreateLoad(b_.getInt64Ty(), ring_); }
  Value* next_ring(Value* ring) {
    Value* before = b_.CreateSub(ring, number(1));
    return b_.CreateSelect(b_.CreateICmpSLT(before, number(0)), number(steps()), before);
  }
  Value* slot_of(Value* ring, Value* step) {
    Value* at = b_.CreateAdd(ring, step);
    Value* over = b_.CreateSub(at, number(slots()));
    return b_.CreateSelect(b_.CreateICmpSLT(over, number(0)), at, over);
  }
  llvm::AllocaInst* ring_ = nullptr;  // where the rows that are copied begin

  /// From row to row of U's copy.
  std::int64_t copied_step() const { return slots() * r_.parts * kLine; }
  Value* copied_line(Value* row, Value* slot, Value* part) {
    Value* across = b_.CreateAdd(b_.CreateMul(slot, number(r_.parts)), part);
    return bytes_from(copied_, b_.CreateAdd(b_.CreateMul(row, number(copied_step())),
                                            b_.CreateMul(across, number(kLine))));
  }
  /// So many rows are copied at once.
  std::int64_t copied_at_once() const { return is_u_strided(r_) ? kMatrixRows : 1; }

  /// A step of the rows from `row` to `to` of the `rows` that begin at `from`.
  void copy_rows(const Block& block, Value* from, Value* row, Value* to, Value* rows, Value* step,
                 Value* slot) {
    Value *place = b_.CreateSub(from, block.first), *left = left_of(block, step);
    const auto u_at = [&](Value* i) {
      return address_of_u(b_.CreateAdd(block.u, b_.CreateMul(i, row_step())));
    };
    if (!is_u_strided(r_)) {
      const Halves h = halves_of(block, step, [&](Value* k) { return u_of(k); });
      const bool by_table = has_row_table();
      b_.CreateCall(
          copy_rows_function(module(), copy_kind(block, by_table)),
          {by_table ? address_of_u(block.u) : u_at(from), h.x, h.y,
           by_table ? row_entry(place) : row_step(), r_.skips ? chosen_entry(place) : no_table(),
           row, to, left, copied_line(number(0), slot, number(0)), number(copied_step())});
      return;
    }
    const bool by_table = has_product_tables();
    Value* k = first_of(step);
    emit_loop(b_, row, to, kMatrixRows, "turn", [&](Value* r) {
      Value* u = has_row_table()
                     ? address_of_u(b_.CreateAdd(block.u, u_of_row(b_.CreateAdd(place, r))))
                     : u_at(b_.CreateAdd(from, r));
      Value* products = by_table ? u_entry(k) : e_.dim(r_.u_stride(last_k()));
      if (!by_table) u = b_.CreateGEP(u_memory(), u, u_of(k));
      b_.CreateCall(turn_products_function(module(), copy_kind(block, by_table)),
                    {u, products, b_.CreateSub(rows, r), left, copied_line(r, slot, number(0)),
                     number(copied_step())});
    });
  }

  Value* upper_ = nullptr;
};

}  // namespace dlc
