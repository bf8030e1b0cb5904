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
#include "codegen/llvm/contraction_tiles.h"

namespace dlc {

class MatrixOperands : public ContractionTiles {
 public:
  using ContractionTiles::ContractionTiles;

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
  /// In all steps of a block; the last one may not be whole.
  void each_step(const Block& block, const std::function<void(Value* step, bool whole)>& body) {
    Value* whole = b_.CreateUDiv(block.count, number(kProducts));
    emit_loop(b_, number(0), whole, 1, "step", [&](Value* step) { body(step, true); });
    if (has_whole_steps(block)) return;
    emit_loop(b_, whole, whole_steps(block), 1, "last", [&](Value* step) { body(step, false); });
  }
  /// The same for much code, of which there is one copy.
  void each_step_alike(const Block& block,
                       const std::function<void(Value* step, bool whole)>& body) {
    emit_loop(b_, number(0), whole_steps(block), 1, "step",
              [&](Value* step) { body(step, has_whole_steps(block)); });
  }
  /// A product of a block by its number, which is that of another one where it does not exist.
  struct Product {
    Value *at, *exists;  // exists: null where it is known to
  };
  Product product(const Block& block, Value* k, bool whole) {
    if (whole) return {k, nullptr};
    Value* exists = b_.CreateICmpSLT(k, block.count);
    return {b_.CreateSelect(exists, k, number(0)), exists};
  }
  Value* mask_of_product(const Product& k, int lanes, Value* mask) {
    if (!k.exists) return mask;
    Value* all = b_.CreateVectorSplat(static_cast<unsigned>(lanes), k.exists);
    return mask ? b_.CreateAnd(all, mask) : all;
  }
  /// Products from `k` on that are side by side in memory.
  Value* run_of_u(const Block& block, Value* row, Value* is_inside, Value* k, int lanes,
                  bool whole) {
    const Product first = product(block, k, whole);
    return raw(u_buffer(), b_.CreateAdd(row, u_of(first.at)), lanes,
               mask_of_run(block, is_inside, k, lanes, whole));
  }
  Value* run_of_v(const Block& block, Value* row, Value* k, int lanes, bool whole) {
    const Product first = product(block, k, whole);
    return raw(v_buffer(), b_.CreateAdd(row, v_of(first.at)), lanes,
               mask_of_run(block, nullptr, k, lanes, whole));
  }
  Value* mask_of_run(const Block& block, Value* is_inside, Value* k, int lanes, bool whole) {
    if (whole && !is_inside) return nullptr;
    Value* left = whole ? number(lanes) : b_.CreateSub(block.count, k);
    if (is_inside) left = b_.CreateSelect(is_inside, left, number(0));
    return e_.lanes_below(left, lanes);
  }
  Value* first_of(Value* step) { return b_.CreateMul(step, number(kProducts)); }

  /// Memory as it is.
  Value* raw(loop::BufferId buffer, Value* offset, int lanes, Value* mask) {
    const ElementType t = e_.element(buffer);
    llvm::Type* whole = vector_of(e_.memory_type(t), lanes);
    Value* at = b_.CreateGEP(e_.memory_type(t), e_.buffer(buffer), offset);
    if (!mask) return b_.CreateAlignedLoad(whole, at, align(t));
    return b_.CreateMaskedLoad(whole, at, align(t), mask, llvm::Constant::getNullValue(whole));
  }
  /// A line for each part of the pairs of two vectors, as they are in memory.
  void store_pairs(Value* x, Value* y, const std::function<Value*(int part)>& place) {
    if (r_.parts == 1) {
      const auto wide = [&](Value* v) { return b_.CreateZExt(v, pairs()); };
      return store_line(b_.CreateOr(wide(x), b_.CreateShl(wide(y), 16)), place(0));
    }
    const auto low = emit_parts(b_, x), high = emit_parts(b_, y);
    for (int part = 0; part < r_.parts; ++part) {
      const auto at = static_cast<std::size_t>(part);
      store_line(emit_pairs(b_, low[at], high[at]), place(part));
    }
  }
  /// 16 lines of 64 bytes, turned over: 16 numbers of 32 bits, or pairs of bf16, each.
  std::vector<Value*> turned(const std::function<Value*(int line)>& line) {
    std::vector<Value*> lines;
    for (int r = 0; r < kMatrixRows; ++r) {
      Value* v = line(r);
      const bool halves = v->getType()->getScalarSizeInBits() == 16;
      lines.push_back(halves ? b_.CreateBitCast(v, pairs()) : v);
    }
    return emit_turned(b_, std::move(lines));
  }
  void store_line(Value* v, Value* at) { b_.CreateAlignedStore(v, at, llvm::Align(64)); }

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
  Value* packed_at(const Panel& p, const Block& block, Value* step, Value* line, int part,
                   Value* s) {
    Value* down = b_.CreateAdd(b_.CreateMul(step, number(kMatrixRows)), line);
    Value* across = b_.CreateAdd(number(part * p.vectors), s);
    return bytes_from(packed_, b_.CreateAdd(packed_line(p, block),
                                            b_.CreateAdd(b_.CreateMul(down, number(packed_step(p))),
                                                         b_.CreateMul(across, number(kLine)))));
  }

  /// Two rows of V side by side, through all panels.
  void pack_lines(const Block& block, const EachPanel& each_panel) {
    each_step(block, [&](Value* step, bool whole) {
      emit_loop(b_, number(0), number(kMatrixRows), 1, "pack", [&](Value* line) {
        Value* k =
            b_.CreateAdd(first_of(step), r_.parts == 1 ? b_.CreateMul(line, number(2)) : line);
        const Product x = product(block, k, whole),
                      y = product(block, after(k, r_.parts == 1 ? 1 : kHalf), whole);
        each_panel([&](const Panel& p) {
          const auto row = [&](const Product& of, int s) {
            return read(p, block, v_of(of.at), s, mask_of_product(of, r_.lanes, nullptr));
          };
          for (int s = 0; s < p.vectors; ++s)
            store_pairs(row(x, s), row(y, s),
                        [&](int part) { return packed_at(p, block, step, line, part, number(s)); });
        });
      });
    });
  }

  /// V has a row of memory for each column: 16 columns of a line of memory each are turned over in
  /// registers.
  void pack_turned_matrices(const Panel& p, const Block& block) {
    Value* row_step = e_.dim(r_.v_stride(*r_.n));
    // Columns that do not exist repeat the last one that does.
    Value* last = p.columns ? b_.CreateSub(p.columns, number(1)) : nullptr;
    each_step_alike(block, [&](Value* step, bool whole) {
      emit_loop(b_, number(0), number(p.vectors), 1, "vector", [&](Value* s) {
        const auto lines = [&](std::int64_t first, int lanes) {
          return turned([&](int r) {
            Value* column = b_.CreateAdd(b_.CreateMul(s, number(r_.lanes)), number(r));
            if (last) column = smaller(column, last);
            Value* v = b_.CreateAdd(block.v, b_.CreateMul(column, row_step));
            return run_of_v(block, v, after(first_of(step), first), lanes, whole);
          });
        };
        const auto place = [&](int line) {
          return [this, &p, &block, step, s, line](int part) {
            return packed_at(p, block, step, number(line), part, s);
          };
        };
        if (r_.parts == 1) {
          const std::vector<Value*> pairs = lines(0, kMatrixProducts);
          for (int k = 0; k < kMatrixRows; ++k)
            store_line(pairs[static_cast<std::size_t>(k)], place(k)(0));
          return;
        }
        const std::vector<Value*> low = lines(0, kHalf), high = lines(kHalf, kHalf);
        for (int k = 0; k < kMatrixRows; ++k)
          store_pairs(low[static_cast<std::size_t>(k)], high[static_cast<std::size_t>(k)],
                      place(k));
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
  Value* copied_line(Value* row, Value* slot, int part) {
    Value* across = b_.CreateAdd(b_.CreateMul(slot, number(r_.parts)), number(part));
    return bytes_from(copied_, b_.CreateAdd(b_.CreateMul(row, number(copied_step())),
                                            b_.CreateMul(across, number(kLine))));
  }
  /// The offset of a row's first product in a block.
  Value* u_of_copied(const Block& block, Value* i) {
    return b_.CreateAdd(block.u, has_row_table() ? u_of_row(b_.CreateSub(i, block.first))
                                                 : b_.CreateMul(i, row_step()));
  }
  /// So many rows are copied at once.
  std::int64_t copied_at_once() const { return is_u_strided(r_) ? kMatrixRows : 1; }

  /// A step of row `row` of the `rows` that begin at `from`; or of as many as are copied at once.
  void copy_step(const Block& block, Value* from, Value* row, Value* rows, Value* step, Value* slot,
                 bool whole) {
    Value* i = b_.CreateAdd(from, row);
    Value* u = u_of_copied(block, i);
    if (is_u_strided(r_))
      return copy_turned(block, u, row, b_.CreateSub(rows, row), step, slot, whole);
    Value* is_inside = r_.skips ? is_noted_inside(b_.CreateSub(i, block.first)) : nullptr;
    const auto products = [&](int first, int lanes) {
      return run_of_u(block, u, is_inside, after(first_of(step), first), lanes, whole);
    };
    const auto place = [&](int part) { return copied_line(row, slot, part); };
    if (r_.parts == 1)
      store_line(products(0, kMatrixProducts), place(0));
    else
      store_pairs(products(0, kHalf), products(kHalf, kHalf), place);
  }

 private:
  /// U has a row of memory for each product: 16 rows by 32 products are turned over in registers.
  void copy_turned(const Block& block, Value* u, Value* row, Value* rows, Value* step, Value* slot,
                   bool whole) {
    Value* mask = e_.lanes_below(rows, kMatrixRows);
    const auto line = [&](std::int64_t j) {
      const Product k = product(block, after(first_of(step), j), whole);
      return raw(u_buffer(), b_.CreateAdd(u, u_of(k.at)), kMatrixRows,
                 mask_of_product(k, kMatrixRows, mask));
    };
    const auto place = [&](int r) {
      return [this, row, slot, r](int part) { return copied_line(after(row, r), slot, part); };
    };
    if (r_.parts == 1) {
      const auto wide = [&](Value* v) { return b_.CreateZExt(v, pairs()); };
      const std::vector<Value*> all = turned([&](int j) {
        return b_.CreateOr(wide(line(2 * j)), b_.CreateShl(wide(line(2 * j + 1)), 16));
      });
      for (int r = 0; r < kMatrixRows; ++r)
        store_line(all[static_cast<std::size_t>(r)], place(r)(0));
      return;
    }
    const std::vector<Value*> low = turned(line),
                              high = turned([&](int j) { return line(j + kHalf); });
    for (int r = 0; r < kMatrixRows; ++r)
      store_pairs(low[static_cast<std::size_t>(r)], high[static_cast<std::size_t>(r)], place(r));
  }
};

}  // namespace dlc
