#pragma once
// Products of bf16 by the tile unit (AMX), which adds the products of two matrices of 16 rows of 64
// bytes to one of 16 x 16 sums in one instruction.
//
// V is packed two products a lane, as for vectors of dot products, with zeros behind the last; U is
// copied to rows of bf16 that follow the sum, with zeros behind the last product and row, so that
// every tile is whole. Sums always wait in memory: the epilogue reads them from there.
#include <llvm/IR/IntrinsicsX86.h>
#include <llvm/IR/Module.h>

#include "codegen/llvm/contraction_tiles.h"

namespace dlc {

class ContractionMatrices : public ContractionTiles {
 public:
  using ContractionTiles::ContractionTiles;

 protected:
  static constexpr std::int64_t kRows = 16, kRowBytes = 64, kProducts = 32;  // of a matrix
  static constexpr std::int64_t kTall = 2 * kRows;  // rows of C at a time, and two matrices wide

  /// Of the rows of U that are copied at a time.
  std::int64_t matrices_bytes() const {
    return r_.matrices ? round_up(rows_inside(), kTall) * copied_row_bytes() : 0;
  }

  /// The unit's eight registers, as whole matrices.
  void begin_matrices() {
    std::vector<std::uint8_t> shape(64, 0);
    constexpr std::size_t kColumns = 16, kHeights = 48;
    shape[0] = 1;  // the palette
    for (std::size_t t = 0; t < 8; ++t) {
      shape[kColumns + 2 * t] = kRowBytes;
      shape[kHeights + t] = kRows;
    }
    llvm::Module& m = scope_.module;
    llvm::Constant* bytes = llvm::ConstantDataArray::get(m.getContext(), shape);
    auto* global = new llvm::GlobalVariable(m, bytes->getType(), true,
                                            llvm::GlobalValue::PrivateLinkage, bytes, "matrices");
    global->setAlignment(llvm::Align(64));
    unit(llvm::Intrinsic::x86_ldtilecfg, {global});
  }
  void end_matrices() { unit(llvm::Intrinsic::x86_tilerelease, {}); }

  /// Rows [from, to) of U for a block's products.
  void copy_for_matrices(const Block& block, Value* from, Value* to) {
    Value* rows = b_.CreateSub(to, from);
    if (r_.u_stride(last_k()) == Dim(1))
      copy_rows(block, from, rows);
    else
      copy_turned(block, from, rows);
  }

  /// Rows [from, to), of which U is copied, times a panel.
  void matrices(const Panel& p, const Block& block, Value* from, Value* to) {
    emit_loop(b_, from, to, kTall, "rows", [&](Value* i) {
      Value* row = b_.CreateAdd(b_.CreateSub(i, block.first), block.waiting_row);
      Value* u = b_.CreateMul(b_.CreateSub(i, from), number(copied_row_bytes()));
      for (int column = 0; column < p.vectors; column += 2)
        add_products(p, block, row, u, column, std::min(2, p.vectors - column));
      emit_if(b_, block.is_last, [&] {
        Value* left = smaller(b_.CreateSub(to, i), number(kTall));
        emit_loop(b_, number(0), left, 1, "finish", [&](Value* r) {
          for (int s = 0; s < p.vectors; ++s)
            finish(p, b_.CreateAdd(i, r), 0, s,
                   b_.CreateAlignedLoad(vector(), sum_at(p, b_.CreateAdd(row, r), s),
                                        llvm::Align(64)));
        });
      });
    });
  }

 private:
  enum Register { kSums = 0, kOfU = 4, kOfV = 6 };

  void unit(llvm::Intrinsic::ID f, const std::vector<Value*>& operands) {
    b_.CreateIntrinsic(f, llvm::ArrayRef<llvm::Type*>(), operands);
  }
  llvm::Type* i16() { return b_.getInt16Ty(); }
  Value* bytes_from(Value* pointer, Value* offset) {
    return b_.CreateGEP(b_.getInt8Ty(), pointer, offset);
  }
  Value* sum_at(const Panel& p, Value* row, int s) {
    return waiting(b_.CreateMul(row, number(p.vectors)), number(s));
  }
  std::int64_t copied_row_bytes() const { return 2 * round_up(blocks_.products(), kProducts); }

  /// To the sums of two by `wide` matrices, from vector `column` of the panel on.
  void add_products(const Panel& p, const Block& block, Value* row, Value* u, int column,
                    int wide) {
    const auto id = [&](int t) { return b_.getInt8(static_cast<std::uint8_t>(t)); };
    const std::int64_t line = line_bytes(p);
    const auto each_sum = [&](const std::function<void(int t, Value* place)>& body) {
      for (int half = 0; half < 2; ++half)
        for (int s = 0; s < wide; ++s)
          body(kSums + 2 * half + s,
               sum_at(p, b_.CreateAdd(row, number(half * kRows)), column + s));
    };
    emit_if(b_, block.is_first, [&] {
      each_sum([&](int t, Value*) { unit(llvm::Intrinsic::x86_tilezero, {id(t)}); });
    });
    emit_if(b_, b_.CreateNot(block.is_first), [&] {
      each_sum([&](int t, Value* place) {
        unit(llvm::Intrinsic::x86_tileloadd64, {id(t), place, number(line)});
      });
    });
    Value* v = b_.CreateAdd(packed_line(p, block), number(column * kRowBytes));
    emit_loop(b_, number(0), block.count, kProducts, "k", [&](Value* k) {
      Value* here = bytes_from(copied_, b_.CreateAdd(u, b_.CreateMul(k, number(2))));
      for (int half = 0; half < 2; ++half)
        unit(llvm::Intrinsic::x86_tileloadd64,
             {id(kOfU + half), bytes_from(here, number(half * kRows * copied_row_bytes())),
              number(copied_row_bytes())});
      Value* pairs = b_.CreateMul(b_.CreateLShr(k, 1), number(line));
      for (int s = 0; s < wide; ++s)
        unit(llvm::Intrinsic::x86_tileloadd64,
             {id(kOfV + s),
              bytes_from(packed_, b_.CreateAdd(b_.CreateAdd(v, number(s * kRowBytes)), pairs)),
              number(line)});
      for (int half = 0; half < 2; ++half)
        for (int s = 0; s < wide; ++s)
          unit(llvm::Intrinsic::x86_tdpbf16ps,
               {id(kSums + 2 * half + s), id(kOfU + half), id(kOfV + s)});
    });
    each_sum([&](int t, Value* place) {
      unit(llvm::Intrinsic::x86_tilestored64, {id(t), place, number(line)});
    });
  }

  Value* halves(Value* offset, Value* mask, int lanes) {
    llvm::Type* whole = vector_of(i16(), lanes);
    return b_.CreateMaskedLoad(whole, b_.CreateGEP(i16(), e_.buffer(u_buffer()), offset),
                               llvm::Align(2), mask, llvm::Constant::getNullValue(whole));
  }
  Value* offset_of(const Block& block, Value* row, Value* k) {
    return b_.CreateAdd(b_.CreateAdd(block.u, b_.CreateMul(row, row_step())),
                        b_.CreateMul(k, e_.dim(r_.u_stride(last_k()))));
  }
  Value* copied_at(Value* row, Value* k) {
    return bytes_from(copied_, b_.CreateAdd(b_.CreateMul(row, number(copied_row_bytes())),
                                            b_.CreateMul(k, number(2))));
  }

  /// U's rows follow the sum.
  void copy_rows(const Block& block, Value* from, Value* rows) {
    emit_loop(b_, number(0), rounded_up(rows, kTall), 1, "row", [&](Value* row) {
      Value* exists = b_.CreateICmpSLT(row, rows);
      Value* count = b_.CreateSelect(exists, block.count, number(0));
      emit_loop(b_, number(0), block.count, kProducts, "copy", [&](Value* k) {
        Value* mask = e_.lanes_below(b_.CreateSub(count, k), kProducts);
        Value* v = halves(offset_of(block, b_.CreateAdd(from, row), k), mask, kProducts);
        b_.CreateAlignedStore(v, copied_at(row, k), llvm::Align(64));
      });
    });
  }

  /// U has a row of memory for each product: 16 rows by 32 products are turned over in registers,
  /// two products a lane.
  void copy_turned(const Block& block, Value* from, Value* rows) {
    emit_loop(b_, number(0), rounded_up(rows, kTall), kRows, "row", [&](Value* row) {
      Value* mask = e_.lanes_below(b_.CreateSub(rows, row), kRows);
      Value* none = llvm::Constant::getNullValue(mask->getType());
      emit_loop(b_, number(0), block.count, kProducts, "copy", [&](Value* k) {
        const auto product = [&](std::int64_t j) {
          Value* at = b_.CreateAdd(k, number(j));
          Value* exists = b_.CreateSelect(b_.CreateICmpSLT(at, block.count), mask, none);
          return b_.CreateZExt(halves(offset_of(block, b_.CreateAdd(from, row), at), exists, kRows),
                               pairs());
        };
        std::vector<Value*> lines;
        for (std::int64_t j = 0; j < kProducts; j += 2)
          lines.push_back(b_.CreateOr(product(j), b_.CreateShl(product(j + 1), 16)));
        lines = emit_turned(b_, std::move(lines));
        for (std::int64_t r = 0; r < kRows; ++r)
          b_.CreateAlignedStore(lines[static_cast<std::size_t>(r)],
                                copied_at(b_.CreateAdd(row, number(r)), k), llvm::Align(64));
      });
    });
  }
};

}  // namespace dlc
