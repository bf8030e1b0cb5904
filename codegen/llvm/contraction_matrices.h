#pragma once
// Products by the tile unit (AMX), which adds the products of two matrices of bf16, 16 rows of 32
// by 32 of 16 columns, to one of 16 x 16 sums in f32 in one instruction. Sums always wait in
// memory: the epilogue reads them from there.
//
// Of the nine products of an f32's parts the six largest are added; the others are under 2^-24 of
// the whole, as the rounding of a sum in f32 is. So six products of bf16 do the work of one of f32,
// on a unit that does sixteen in the time of one.
//
// The unit works beside the rest of the core: 32 rows of U are copied (matrix_operands.h) for all
// panels, and while the last panel uses them, each step of their copy is replaced by that of the
// next rows.
#include <llvm/IR/IntrinsicsX86.h>
#include <llvm/IR/Module.h>

#include "codegen/llvm/matrix_operands.h"

namespace dlc {

class ContractionMatrices : public MatrixOperands {
 public:
  using MatrixOperands::MatrixOperands;

 protected:
  /// The unit's eight registers, as whole matrices.
  void begin_matrices() {
    if (r_.parts > 1) upper_ = emit_upper_mask(b_, pairs());
    std::vector<std::uint8_t> shape(64, 0);
    constexpr std::size_t kColumns = 16, kHeights = 48;
    shape[0] = 1;  // the palette
    for (std::size_t t = 0; t < 8; ++t) {
      shape[kColumns + 2 * t] = kLine;
      shape[kHeights + t] = kMatrixRows;
    }
    llvm::Module& m = scope_.module;
    llvm::Constant* bytes = llvm::ConstantDataArray::get(m.getContext(), shape);
    auto* global = new llvm::GlobalVariable(m, bytes->getType(), true,
                                            llvm::GlobalValue::PrivateLinkage, bytes, "matrices");
    global->setAlignment(llvm::Align(64));
    unit(llvm::Intrinsic::x86_ldtilecfg, {global});
  }
  void end_matrices() { unit(llvm::Intrinsic::x86_tilerelease, {}); }

  /// All rows of a block times all panels, which are packed.
  void multiply_block(const Block& block, const EachPanel& each_panel, Value* panels) {
    Value* rows = smaller(b_.CreateSub(block.last, block.first), number(kTall));
    ring_ = emit_variable(b_, b_.getInt64Ty(), "ring");
    b_.CreateStore(number(0), ring_);
    emit_loop(b_, number(0), whole_steps(block), 1, "step", [&](Value* step) {
      copy_rows(block, block.first, number(0), rows, rows, step, step);
    });
    emit_loop(b_, block.first, block.last, kTall, "rows", [&](Value* i) {
      each_panel([&](const Panel& p) { multiply_tile(p, block, i, panels); });
      b_.CreateStore(next_ring(ring()), ring_);
    });
  }

 private:
  enum Register { kSums = 0, kOfU = 4, kOfV = 6 };

  void unit(llvm::Intrinsic::ID f, const std::vector<Value*>& operands) {
    b_.CreateIntrinsic(f, llvm::ArrayRef<llvm::Type*>(), operands);
  }
  Value* sum_at(const Panel& p, Value* row, int s) {
    return waiting(b_.CreateMul(row, number(p.vectors)), number(s));
  }

  /// The rows from i on, whose U is copied, times a panel.
  void multiply_tile(const Panel& p, const Block& block, Value* i, Value* panels) {
    Value* row = b_.CreateAdd(b_.CreateSub(i, block.first), block.waiting_row);
    add_products(p, block, row, {i, panels});
    emit_if(b_, block.is_last, [&] {
      Value* left = smaller(b_.CreateSub(block.last, i), number(kTall));
      emit_loop(b_, number(0), left, 1, "finish", [&](Value* r) {
        for (int s = 0; s < p.vectors; ++s)
          finish(
              p, b_.CreateAdd(i, r), 0, s,
              b_.CreateAlignedLoad(vector(), sum_at(p, b_.CreateAdd(row, r), s), llvm::Align(64)));
      });
    });
  }

  /// A tile's rows and the number of panels.
  struct Place {
    Value *i, *panels;
  };
  /// Adds to the sums that wait from `row` on.
  void add_products(const Panel& p, const Block& block, Value* row, const Place& place) {
    const auto id = [&](int t) { return b_.getInt8(static_cast<std::uint8_t>(t)); };
    const std::int64_t sums_line = line_bytes(p);
    const auto each_sum = [&](const std::function<void(int t, Value* place)>& body) {
      for (int half = 0; half < 2; ++half)
        for (int s = 0; s < p.vectors; ++s)
          body(kSums + 2 * half + s, sum_at(p, after(row, half * kMatrixRows), s));
    };
    emit_if(b_, block.is_first, [&] {
      each_sum([&](int t, Value*) { unit(llvm::Intrinsic::x86_tilezero, {id(t)}); });
    });
    emit_if(b_, b_.CreateNot(block.is_first), [&] {
      each_sum([&](int t, Value* at) {
        unit(llvm::Intrinsic::x86_tileloadd64, {id(t), at, number(sums_line)});
      });
    });
    emit_loop(b_, number(0), whole_steps(block), 1, "k", [&](Value* step) {
      Value* slot = slot_of(ring(), step);
      const auto load_u = [&](int part) {
        for (int half = 0; half < 2; ++half)
          unit(llvm::Intrinsic::x86_tileloadd64,
               {id(kOfU + half), copied_line(number(half * kMatrixRows), slot, number(part)),
                number(copied_step())});
      };
      const auto load_v = [&](int part) {
        for (int s = 0; s < p.vectors; ++s)
          unit(llvm::Intrinsic::x86_tileloadd64,
               {id(kOfV + s), packed_at(p, block, step, number(0), number(part), number(s)),
                number(packed_step(p))});
      };
      const auto multiply = [&] {
        for (int half = 0; half < 2; ++half)
          for (int s = 0; s < p.vectors; ++s)
            unit(llvm::Intrinsic::x86_tdpbf16ps,
                 {id(kSums + 2 * half + s), id(kOfU + half), id(kOfV + s)});
      };
      ask_ahead(p, block, place, step);
      if (r_.parts == 1) {
        load_u(0), load_v(0), multiply();
        replace_copy(block, place, step, 0, 1);
        return;
      }
      // Each time one of the two stays.
      struct Pair {
        int u, v;
      };
      constexpr Pair kPairs[] = {{0, 2}, {0, 1}, {1, 1}, {1, 0}, {2, 0}, {0, 0}};
      Pair before{-1, -1};
      int turn = 0;
      for (const Pair& pair : kPairs) {
        if (pair.u != before.u) load_u(pair.u);
        if (pair.v != before.v) load_v(pair.v);
        before = pair;
        multiply();
        replace_copy(block, place, step, turn++, static_cast<int>(std::size(kPairs)));
      }
    });
    each_sum([&](int t, Value* at) {
      unit(llvm::Intrinsic::x86_tilestored64, {id(t), at, number(sums_line)});
    });
  }

  // ---- What is done beside ----

  /// The next rows take the place of those that the last panel has used: some of them in each turn,
  /// so that the unit is not left waiting.
  void replace_copy(const Block& block, const Place& place, Value* step, int turn, int turns) {
    const std::int64_t pieces = kTall / copied_at_once(), first = pieces * turn / turns,
                       last = pieces * (turn + 1) / turns;
    if (first == last) return;
    Value *next = after(place.i, kTall), *from = number(first * copied_at_once());
    Value* is_last = b_.CreateICmpEQ(after(block.panel, 1), place.panels);
    Value* exist = b_.CreateICmpSLT(b_.CreateAdd(next, from), block.last);
    emit_if(b_, b_.CreateAnd(is_last, exist), [&] {
      Value* rows = smaller(number(kTall), b_.CreateSub(block.last, next));
      copy_rows(block, next, from, smaller(number(last * copied_at_once()), rows), rows, step,
                slot_of(next_ring(ring()), step));
    });
  }

  /// Meanwhile memory is asked for the places of the epilogue, too.
  void ask_ahead(const Panel& p, const Block& block, const Place& place, Value* step) {
    emit_if(b_, block.is_last, [&] {
      Value* rows = smaller(number(kTall), b_.CreateSub(block.last, place.i));
      const auto share = [&](Value* k) {
        return b_.CreateUDiv(b_.CreateMul(rows, k), whole_steps(block));
      };
      emit_loop(b_, share(step), share(after(step, 1)), 1, "ask", [&](Value* r) {
        prefetch_row(p, b_.CreateAdd(place.i, r), 0, epilogue_loads_, epilogue_stores_);
      });
    });
  }

  /// Of what the epilogue reads or writes: places that follow n and the rows.
  bool follows_rows(loop::ExprId offset) const {
    const auto step = e_.coefficient(offset, r_.n->axis);
    return step && *step == Dim(1) &&
           std::any_of(rows_.begin(), rows_.end(),
                       [&](const ContractIndex* m) { return e_.depends(offset, m->axis); });
  }
  std::vector<loop::ExprId> loads_of_epilogue() const {
    std::vector<loop::ExprId> loads;
    for (std::size_t id = 0; id < k_.exprs.size(); ++id)
      if (k_.exprs[id].kind == loop::ExprKind::Load && follows_rows(k_.exprs[id].operands[0]))
        loads.push_back(static_cast<loop::ExprId>(id));
    return loads;
  }
  std::vector<const loop::Store*> stores_of_epilogue() const {
    std::vector<const loop::Store*> stores;
    for (const loop::Stage& stage : k_.stages)
      for (const loop::Store& s : stage.stores)
        if (follows_rows(s.offset)) stores.push_back(&s);
    return stores;
  }

  const std::vector<loop::ExprId> epilogue_loads_ =
      r_.matrices ? loads_of_epilogue() : std::vector<loop::ExprId>();
  const std::vector<const loop::Store*> epilogue_stores_ =
      r_.matrices ? stores_of_epilogue() : std::vector<const loop::Store*>();
};

}  // namespace dlc
