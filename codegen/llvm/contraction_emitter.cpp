// The loops of a contraction around its tiles; codegen/native/contract_schedule.h has the names and
// the reasons.
//
// The order of the sum for an element of C is k's alone, whatever tile or block it is in, so
// neither the batch size nor the split over threads changes a bit.
//
// Unblocked: panels of some vectors of n are the outer loop (the panel of V stays in a cache), rows
// the inner one, and a tile's epilogue follows its sum. What is left of the rows is done in tiles
// of one row less or in single rows, what is left of n in a narrower masked tile.
//
// Blocked: k runs in blocks; the sums of a panel wait in memory between them (the function's
// stack), for at most block_rows() rows at a time, and the epilogue follows the last block. A sum
// of one block is as if there were none.
//
// Where V is larger than a cache keeps, the tiles of a block ask ahead for the next one, and a tile
// for what its epilogue reads of a large buffer. Few rows run through several such panels with
// short blocks of k (several_panels).
//
// Several m's are one row number that is taken apart where it matters: at the epilogue, and for the
// offsets in U of a block's rows, which are computed once. Several k's are a list of offsets in U
// and V, the same for every block but for where it begins.
//
// Without such an n (a dot product, a matrix times a vector): dot_emitter.cpp.
#include "codegen/llvm/contraction_emitter.h"

#include <llvm/IR/Intrinsics.h>
#include <llvm/IR/IntrinsicsX86.h>

#include <algorithm>

#include "codegen/llvm/contraction_panels.h"
#include "codegen/llvm/dot_emitter.h"
#include "ir/support/check.h"

namespace dlc {

using llvm::Value;
namespace {

// With fewer rows than this packing V costs more than it saves.
constexpr int kLeastPackedRows = 48;

class ContractionEmitter : ContractionPanels {
 public:
  ContractionEmitter(const ProgramScope& scope, const loop::Kernel& k, llvm::IRBuilder<>& b,
                     ExpressionEmitter& e, Value* begin, Value* end)
      : ContractionPanels(scope, k, b, e, begin, end) {}

  void emit() {
    DLC_CHECK(!r_.pairs || (s_.packed && s_.k_block % 2 == 0),
              "{}: products two at a time come from packed blocks", k_.name);
    DLC_CHECK(!r_.turned || (s_.packed && s_.k_block % (2 * r_.lanes) == 0),
              "{}: an operand is turned over as it is packed", k_.name);
    if (s_.k_block > 0) {
      make_tables();
      make_panel();
      waiting_ = array(vector(), static_cast<std::int64_t>(block_rows()) * s_.vectors, "waiting");
    }
    others(0);
  }

 private:
  // ---- Loops over C ----

  void others(std::size_t at) {
    if (at == outer_.size()) return passes();
    const ContractIndex& i = *outer_[at];
    emit_loop(b_, low(i), high(i), 1, axis(i.axis).name.c_str(), [&](Value* v) {
      e_.set_axis(i.axis, v);
      others(at + 1);
    });
  }

  /// With many rows as the schedule says; what a few rows need instead is known when they are few.
  void passes() {
    const bool through_memory = s_.k_block > 0;
    if (!through_memory) return unblocked();
    Value *from = first_row(), *to = end_row();
    const int together = panels_together(scope_.program, k_, r_, scope_.unit, s_.vectors);
    const bool always = rows_.size() > 1 || (rows_known() && together == 1);
    if (always || r_.pairs || r_.turned || !s_.packed) return blocked(from, to);
    Value* many = b_.CreateICmpSGE(b_.CreateSub(to, from),
                                   number(together > 1 ? block_rows() : kLeastPackedRows));
    emit_if(b_, many, [&] { blocked(from, to); });
    emit_if(b_, b_.CreateNot(many), [&] {
      if (together > 1)
        several_panels(from, to, together);
      else
        unblocked();
    });
  }

  /// Rows of the stack, as many as a tile has vectors, and what is left.
  void for_each_stack(const std::function<void(const Panel&)>& body) {
    const std::int64_t extent = r_.stack->extent.value(), rest = extent % s_.vectors;
    const std::int64_t columns = r_.n->extent.value();
    Value* mask = columns == r_.lanes ? nullptr : lanes_below(number(columns));
    emit_loop(b_, number(0), number(extent - rest), s_.vectors, "panel", [&](Value* j) {
      body({j, s_.vectors, mask});
    });
    if (rest > 0) body({number(extent - rest), static_cast<int>(rest), mask});
  }
  /// From a vector of a tile to the next in V.
  Value* vector_step() { return r_.stack ? e_.dim(r_.v_stride(*r_.stack)) : number(r_.lanes); }
  void for_each_panel(const std::function<void(const Panel&)>& body) {
    if (r_.stack) return for_each_stack(body);
    Value *from = low(*r_.n), *to = high(*r_.n);
    const std::int64_t width = static_cast<std::int64_t>(s_.vectors) * r_.lanes;
    Value* count = b_.CreateUDiv(b_.CreateSub(to, from), number(width));
    Value* middle = b_.CreateAdd(from, b_.CreateMul(count, number(width)));
    emit_loop(b_, from, middle, width, "panel", [&](Value* j) { body({j, s_.vectors, nullptr}); });
    // What is left: as one narrower tile where its width is known, else vector by vector.
    if (r_.n->extent.is_constant() && !is_range(*r_.n)) {
      const std::int64_t rest = r_.n->extent.value() % width;
      if (rest == 0) return;
      const int vectors = static_cast<int>((rest + r_.lanes - 1) / r_.lanes);
      const std::int64_t last = rest - static_cast<std::int64_t>(vectors - 1) * r_.lanes;
      return body({middle, vectors, last == r_.lanes ? nullptr : lanes_below(number(last))});
    }
    emit_loop(b_, middle, to, r_.lanes, "rest", [&](Value* j) {
      body({j, 1, lanes_below(b_.CreateSub(to, j))});
    });
  }

  /// Tiles of R rows and, where the extent is known and R does not divide it, of R - 1: 32 rows are
  /// 2 * 6 + 4 * 5. What fits neither way is done in single rows.
  void for_each_tile(Value* from, Value* to, const std::function<void(Value*, int)>& body) {
    const auto tiles = [&](Value* begin, Value* count, int height) {
      Value* end = b_.CreateAdd(begin, b_.CreateMul(count, number(height)));
      emit_loop(
          b_, begin, end, height, "rows", [&](Value* i) { body(i, height); },
          block_rows() / height);
      return end;
    };
    const int tall = s_.rows;
    Value* length = b_.CreateSub(to, from);
    Value* whole = b_.CreateUDiv(length, number(tall));
    const bool known = std::all_of(rows_.begin(), rows_.end(),
                                   [](const ContractIndex* m) { return m->extent.is_constant(); });
    if (known && rows_.size() == 1 && rows_[0]->extent.value() % tall == 0) {
      tiles(from, whole, tall);  // chunks and blocks are multiples of the tile
      return;
    }
    Value* middle = nullptr;
    if (known && tall > 2) {
      Value* count = b_.CreateUDiv(b_.CreateAdd(length, number(tall - 1)), number(tall));
      Value* low_rows = b_.CreateMul(count, number(tall - 1));
      Value* fits = b_.CreateICmpSLE(low_rows, length);
      Value* tall_tiles = b_.CreateSelect(fits, b_.CreateSub(length, low_rows), whole);
      Value* short_tiles = b_.CreateSelect(fits, b_.CreateSub(count, tall_tiles), number(0));
      middle = tiles(tiles(from, tall_tiles, tall), short_tiles, tall - 1);
    } else {
      middle = tiles(from, whole, tall);
    }
    emit_loop(b_, middle, to, 1, "row", [&](Value* i) { body(i, 1); });
  }

  void unblocked() {
    for_each_panel([&](const Panel& p) {
      const auto tile = [&](Value* i, int rows) {
        Tile t{i, rows, p.vectors, {}};
        start(t, [&](int, int) { return zeros(); });
        Value* first = r_.stack ? b_.CreateMul(p.j, vector_step()) : p.j;
        Value *u = base(r_.u_is_a), *v = b_.CreateAdd(base(!r_.u_is_a), first);
        if (i) u = b_.CreateAdd(u, b_.CreateMul(i, row_step()));
        sum_loops(r_.k, 0, r_.u_is_a ? u : v, r_.u_is_a ? v : u, [&](Value* pa, Value* pb) {
          Value *pu = r_.u_is_a ? pa : pb, *pv = r_.u_is_a ? pb : pa;
          std::vector<Value*> columns;
          for (int s = 0; s < p.vectors; ++s)
            columns.push_back(load(v_buffer(),
                                   b_.CreateAdd(pv, b_.CreateMul(vector_step(), number(s))),
                                   r_.lanes, mask_of(p, s)));
          step(t, rows_below(pu), columns);
        });
        for (int r = 0; r < rows; ++r)
          for (int s = 0; s < p.vectors; ++s) finish(p, i, r, s, value(t, r, s));
      };
      if (!rows_.empty())
        for_each_tile(first_row(), end_row(), tile);
      else
        tile(nullptr, 1);
    });
  }

  // ---- A tile of C ----

  struct Tile {
    Value* i;  // the first row; null without rows
    int rows, vectors;
    std::vector<llvm::AllocaInst*> sums;
  };
  llvm::AllocaInst* sum(const Tile& t, int r, int s) const {
    return t.sums[static_cast<std::size_t>(r * t.vectors + s)];
  }
  Value* value(const Tile& t, int r, int s) { return b_.CreateLoad(vector(), sum(t, r, s)); }
  void start(Tile& t, const std::function<Value*(int r, int s)>& from) {
    for (int r = 0; r < t.rows; ++r)
      for (int s = 0; s < t.vectors; ++s) {
        t.sums.push_back(emit_variable(b_, vector(), "c"));
        b_.CreateStore(from(r, s), t.sums.back());
      }
  }

  /// The offset of the point of `other` in a or b.
  Value* base(bool of_a) {
    Value* sum = e_.dim(of_a ? c_.a_base : c_.b_base);
    for (const ContractIndex* i : outer_)
      sum = b_.CreateAdd(
          sum, b_.CreateMul(e_.axis_index(i->axis), e_.dim(of_a ? i->a_stride : i->b_stride)));
    return sum;
  }
  /// The address of the element of U for one k and a row of the tile.
  using RowsOfU = std::function<Value*(int r)>;
  RowsOfU rows_below(Value* first) {
    return [this, first](int r) {
      return address_of_u(r == 0 ? first
                                 : b_.CreateAdd(first, b_.CreateMul(row_step(), number(r))));
    };
  }
  Value* address_of_u(Value* offset) {
    // Not in bounds: what is asked for ahead may lie behind the end.
    return b_.CreateGEP(u_memory(), e_.buffer(u_buffer()), offset);
  }
  llvm::Type* u_memory() { return e_.memory_type(e_.element(u_buffer())); }

  /// The vectors of V times row r's element of U.
  void add_row(const Tile& t, int r, Value* u, const std::vector<Value*>& columns) {
    const ElementType e = e_.element(u_buffer());
    Value* x = e_.from_memory(e, b_.CreateAlignedLoad(u_memory(), u, align(e)));
    Value* spread = b_.CreateVectorSplat(static_cast<unsigned>(r_.lanes), x);
    for (int s = 0; s < t.vectors; ++s)
      b_.CreateStore(fma(spread, columns[static_cast<std::size_t>(s)], value(t, r, s)),
                     sum(t, r, s));
  }
  void step(const Tile& t, const RowsOfU& rows, const std::vector<Value*>& columns) {
    for (int r = 0; r < t.rows; ++r) add_row(t, r, rows(r), columns);
  }

  /// Points the expressions at row i + r and vector s.
  void go_to(const Panel& p, Value* i, int r, int s) {
    if (i && s == 0) {
      const std::vector<Value*> digits = digits_of_row(b_.CreateAdd(i, number(r)));
      for (std::size_t m = 0; m < digits.size(); ++m) e_.set_axis(rows_[m]->axis, digits[m]);
    }
    if (r_.stack) {
      e_.set_axis(r_.stack->axis, b_.CreateAdd(p.j, number(s)));
      e_.set_axis(r_.n->axis, number(0));
    } else {
      e_.set_axis(r_.n->axis, b_.CreateAdd(p.j, number(s * r_.lanes)));
    }
  }

  /// Loads of the epilogue from so large a buffer that it comes from beyond the second cache: the
  /// parameter that a weight gradient changes.
  std::vector<loop::ExprId> far_epilogue() const {
    std::vector<loop::ExprId> loads;
    if (r_.stack) return loads;
    for (std::size_t id = 0; id < k_.exprs.size(); ++id) {
      const loop::Expr& e = k_.exprs[id];
      if (e.kind != loop::ExprKind::Load) continue;
      Dim count(1);
      for (const loop::AxisId a : k_.outer)
        if (e_.depends(e.operands[0], a)) count = count * axis(a).extent;
      const auto step = e_.coefficient(e.operands[0], r_.n->axis);
      if (step && *step == Dim(1) && count.is_constant() &&
          count.value() * size_in_bytes(e.type) > scope_.unit.core.l2_size())
        loads.push_back(static_cast<loop::ExprId>(id));
    }
    return loads;
  }
  /// Its rows are far apart, so that hardware does not see them coming; while the sum runs, they
  /// do.
  void prefetch_epilogue(const Panel& p, Value* i, int rows) {
    for (int r = 0; r < rows; ++r)
      for (int s = 0; s < p.vectors; ++s) {
        go_to(p, i, r, s);
        e_.forget();
        for (const loop::ExprId load : far_loads_) e_.prefetch(load, 1);
      }
    e_.forget();
  }

  /// The epilogue of row i + r and vector s.
  void finish(const Panel& p, Value* i, int r, int s, Value* c) {
    go_to(p, i, r, s);
    e_.set_vector(r_.n->axis, r_.lanes, mask_of(p, s));
    e_.set_accumulator(c);
    epilogue();
    e_.set_vector(-1, 1, nullptr);
  }

  // ---- Blocks of k ----

  void blocked(Value* from, Value* to) {
    const ContractIndex& k = *blocks_.split;
    const std::vector<const ContractIndex*>& rest = blocks_.rest;
    const std::int64_t chunk = blocks_.chunk;
    // Which block of how many it is.
    llvm::AllocaInst* number_of_block = emit_variable(b_, b_.getInt64Ty(), "block");
    Value* blocks = b_.CreateUDiv(b_.CreateAdd(e_.dim(k.extent), number(chunk - 1)), number(chunk));
    for (const ContractIndex* i : rest) blocks = b_.CreateMul(blocks, e_.dim(i->extent));
    Value* last_block = b_.CreateSub(blocks, number(1));
    emit_loop(b_, from, to, block_rows(), "block", [&](Value* first) {
      Value* last = smaller(b_.CreateAdd(first, number(block_rows())), to);
      fill_row_table(first, last);
      for_each_panel([&](const Panel& p) {
        b_.CreateStore(number(0), number_of_block);
        Value *u = base(r_.u_is_a),
              *v = b_.CreateAdd(base(!r_.u_is_a), b_.CreateMul(p.j, e_.dim(r_.v_stride(*r_.n))));
        sum_loops(rest, 0, r_.u_is_a ? u : v, r_.u_is_a ? v : u, [&](Value* pa, Value* pb) {
          Value* extent = e_.dim(k.extent);
          emit_loop(b_, number(0), extent, chunk, "kblock", [&](Value* k0) {
            Value* here = b_.CreateLoad(b_.getInt64Ty(), number_of_block);
            b_.CreateStore(b_.CreateAdd(here, number(1)), number_of_block);
            Block block{first, last};
            block.is_first = b_.CreateICmpEQ(here, number(0));
            block.is_last = b_.CreateICmpEQ(here, last_block);
            block.count = b_.CreateMul(smaller(b_.CreateSub(extent, k0), number(chunk)),
                                       number(blocks_.inner_products));
            block.u = b_.CreateAdd(r_.u_is_a ? pa : pb, b_.CreateMul(k0, e_.dim(r_.u_stride(k))));
            block.v = b_.CreateAdd(r_.u_is_a ? pb : pa, b_.CreateMul(k0, e_.dim(r_.v_stride(k))));
            if (is_far(scope_.program, c_, r_, scope_.unit))
              block.next_v = next_block(p, block, k0);
            pack(p, block);
            tiles(p, block, is_one_block());
          });
        });
      });
    });
  }

  /// As blocked, with short blocks of `panels` panels at a time and fewer rows.
  void several_panels(Value* from, Value* to, int panels) {
    const ContractIndex& k = *blocks_.split;
    const std::int64_t width = static_cast<std::int64_t>(s_.vectors) * r_.lanes;
    // The sums of all of them wait.
    const std::int64_t chunk = blocks_.chunk / panels, most_rows = block_rows() / panels;
    emit_loop(b_, from, to, most_rows, "block", [&](Value* first) {
      Value* last = smaller(b_.CreateAdd(first, number(most_rows)), to);
      emit_loop(b_, number(0), high(*r_.n), panels * width, "panels", [&](Value* column) {
        emit_loop(b_, number(0), e_.dim(k.extent), chunk, "kblock", [&](Value* k0) {
          Value* next = b_.CreateAdd(k0, number(chunk));
          Block block{first, last};
          block.is_first = b_.CreateICmpEQ(k0, number(0));
          block.is_last = b_.CreateICmpSGE(next, e_.dim(k.extent));
          block.count = b_.CreateSub(smaller(next, e_.dim(k.extent)), k0);
          block.u = b_.CreateAdd(base(r_.u_is_a), b_.CreateMul(k0, e_.dim(r_.u_stride(k))));
          Value* v = b_.CreateAdd(base(!r_.u_is_a), b_.CreateMul(k0, e_.dim(r_.v_stride(k))));
          const auto panel = [&](Value* number_of, const auto& body) {
            Panel p{b_.CreateAdd(column, b_.CreateMul(number_of, number(width))), s_.vectors,
                    nullptr};
            block.v = b_.CreateAdd(v, p.j);
            block.packed_row = b_.CreateMul(number_of, number(chunk));
            block.waiting_row = b_.CreateMul(number_of, number(most_rows));
            body(p);
          };
          emit_loop(b_, number(0), block.count, 1, "pack", [&](Value* row) {
            for (int q = 0; q < panels; ++q)
              panel(number(q), [&](const Panel& p) { pack_row(p, block, row); });
          });
          emit_loop(b_, number(0), number(panels), 1, "panel",
                    [&](Value* q) { panel(q, [&](const Panel& p) { tiles(p, block, false); }); });
        });
      });
    });
  }

  /// Where V goes on after the block from k0: what follows it in the sum, where that is one index
  /// or several that are one in memory; then the next panel.
  Value* next_block(const Panel& p, const Block& block, Value* k0) {
    const ContractIndex& k = *blocks_.split;
    Value* step = b_.CreateMul(number(blocks_.chunk), e_.dim(r_.v_stride(k)));
    Value* next = b_.CreateAdd(block.v, step);
    if (!blocks_.rest.empty()) return next;
    Value* is_last = b_.CreateICmpSGE(b_.CreateAdd(k0, number(blocks_.chunk)), e_.dim(k.extent));
    Value* column = b_.CreateAdd(p.j, number(static_cast<std::int64_t>(p.vectors) * r_.lanes));
    Value* panel = b_.CreateAdd(base(!r_.u_is_a), b_.CreateMul(column, e_.dim(r_.v_stride(*r_.n))));
    return b_.CreateSelect(is_last, panel, next);
  }
  bool is_one_block() const {
    const Dim& extent = blocks_.split->extent;
    return blocks_.rest.empty() && extent.is_constant() && extent.value() <= blocks_.chunk;
  }
  /// Read anew: a sum that lives in a register beyond its block's loop, on several ways, is one
  /// that may be spilled inside of it.
  Value* waiting_sum(Value* place) {
    return b_.CreateAlignedLoad(vector(), place, llvm::Align(64), /*isVolatile=*/true);
  }

  Value* waiting(Value* at, int s) {
    return b_.CreateInBoundsGEP(vector(), waiting_, b_.CreateAdd(at, number(s)));
  }

  /// `one`: there is no other block of the sum.
  void tiles(const Panel& p, const Block& block, bool one) {
    for_each_tile(block.first, block.last, [&](Value* i, int rows) {
      Tile t{i, rows, p.vectors, {}};
      Value* row = b_.CreateSub(i, block.first);
      if (block.waiting_row) row = b_.CreateAdd(row, block.waiting_row);
      Value* at = b_.CreateMul(row, number(p.vectors));
      const auto each = [&](const std::function<void(int, int, Value*)>& body) {
        for (int r = 0; r < rows; ++r)
          for (int s = 0; s < p.vectors; ++s) body(r, s, waiting(at, r * p.vectors + s));
      };
      if (!one)
        emit_if(b_, block.is_first,
                [&] { each([&](int, int, Value* place) { b_.CreateStore(zeros(), place); }); });
      start(t, [&](int r, int s) {
        return one ? zeros() : waiting_sum(waiting(at, r * p.vectors + s));
      });
      if (!far_loads_.empty()) emit_if(b_, block.is_last, [&] { prefetch_epilogue(p, i, rows); });
      const auto rows_of_u = rows_from(block, i, rows);
      if (r_.pairs) {
        sum_pairs(t, p, block, rows_of_u);
      } else {
        const std::int64_t turn = products_of_turn(rows * p.vectors);
        Value* tile = b_.CreateUDiv(b_.CreateSub(i, block.first), number(s_.rows));
        emit_loop(
            b_, number(0), block.count, turn, "k",
            [&](Value* first) {
              prefetch_u(rows, first, turn, rows_of_u);
              prefetch_next(p, block, tile, first, turn);
              products(t, p, block, first, turn, rows_of_u);
            },
            blocks_.products() / turn);
      }
      if (one) return each([&](int r, int s, Value*) { finish(p, i, r, s, value(t, r, s)); });
      each([&](int r, int s, Value* place) { b_.CreateStore(value(t, r, s), place); });
      emit_if(b_, block.is_last, [&] {
        each([&](int r, int s, Value* place) { finish(p, i, r, s, waiting_sum(place)); });
      });
    });
  }

  /// How many k's one turn of a block's loop takes, for a step of so many multiply-adds. Each row
  /// of a table is a pointer, and there are more than registers: within a run of the last k they
  /// are fetched once for several.
  std::int64_t products_of_turn(int step) {
    constexpr int kMost = 64;
    const ContractIndex& k = last_k();
    if (!has_row_table() || !k.extent.is_constant()) return 1;
    for (std::int64_t turn = std::min(8, kMost / step); turn > 1; --turn)
      if (k.extent.value() % turn == 0 && blocks_.products() % turn == 0) return turn;
    return 1;
  }

  /// A tile's rows in U for the k that is `at_k` from the block's first.
  std::function<RowsOfU(Value* at_k)> rows_from(const Block& block, Value* i, int rows) {
    if (!has_row_table()) {
      Value* first = b_.CreateAdd(block.u, b_.CreateMul(i, row_step()));
      return [this, first](Value* at_k) { return rows_below(b_.CreateAdd(first, at_k)); };
    }
    std::vector<Value*> begins;
    for (int r = 0; r < rows; ++r) {
      Value* place = b_.CreateAdd(b_.CreateSub(i, block.first), number(r));
      begins.push_back(address_of_u(b_.CreateAdd(block.u, u_of_row(place))));
    }
    return [this, begins](Value* at_k) -> RowsOfU {
      return [this, begins, at_k](int r) {
        return b_.CreateGEP(u_memory(), begins[static_cast<std::size_t>(r)], at_k);
      };
    };
  }

  /// A block's products from the `first` on, as many as a turn has.
  void products(const Tile& t, const Panel& p, const Block& block, Value* first, std::int64_t turn,
                const std::function<RowsOfU(Value*)>& rows_of_u) {
    Value *u = u_of(first), *v = s_.packed ? nullptr : v_of(first);
    const auto columns = [&](std::int64_t j) {
      std::vector<Value*> result;
      Value* k = b_.CreateAdd(first, number(j));
      for (int s = 0; s < p.vectors; ++s)
        result.push_back(
            s_.packed ? b_.CreateLoad(vector(), packed(vector(), p, block, k, number(s)))
                      : widened(read(p, block, stepped(v, j, r_.v_stride(last_k())), s, nullptr)));
      return result;
    };
    const auto rows_at = [&](std::int64_t j) {
      return rows_of_u(stepped(u, j, r_.u_stride(last_k())));
    };
    // Row by row where V's vectors of all of them fit beside the sums: each pointer is used up
    // before the next one is fetched.
    const int registers = scope_.unit.bits >= 512 ? 32 : 16;
    if (turn == 1 || (turn + t.rows) * t.vectors + 1 > registers) {
      for (std::int64_t j = 0; j < turn; ++j) step(t, rows_at(j), columns(j));
      return;
    }
    std::vector<std::vector<Value*>> all;
    for (std::int64_t j = 0; j < turn; ++j) all.push_back(columns(j));
    for (int r = 0; r < t.rows; ++r)
      for (std::int64_t j = 0; j < turn; ++j)
        add_row(t, r, rows_at(j)(r), all[static_cast<std::size_t>(j)]);
  }

  /// Where U has a row of memory for each k, a tile uses a few elements of each, in one line or
  /// two: hardware does not foresee such steps. Nor does it follow many rows of windows at once: a
  /// line of each of those is asked for in the turn that comes to it.
  void prefetch_u(int rows, Value* first, std::int64_t turn,
                  const std::function<RowsOfU(Value*)>& rows_of_u) {
    constexpr int kFollowed = 8, kLine = 16;
    const auto ahead = [&](std::int64_t j) {
      return u_of(b_.CreateAdd(first, number(j + kAhead)));
    };
    if (is_u_strided(r_)) {
      for (std::int64_t j = 0; j < turn; ++j) {
        const RowsOfU next = rows_of_u(ahead(j));
        e_.prefetch(next(0));
        if (rows > 1) e_.prefetch(next(rows - 1));
      }
      if (!is_u_streamed(scope_.program, c_, r_, scope_.unit)) return;
      // The next block's; earlier tiles have asked for all rows but the last.
      Value* step = b_.CreateMul(number(blocks_.chunk), e_.dim(r_.u_stride(*blocks_.split)));
      for (std::int64_t j = 0; j < turn; ++j) {
        Value* next = b_.CreateAdd(step, u_of(b_.CreateAdd(first, number(j))));
        e_.prefetch(rows_of_u(next)(rows - 1), ExpressionEmitter::Cache::Second);
      }
    } else if (has_row_table() && has_product_tables() && rows > kFollowed) {
      Value* in_line = b_.CreateAnd(first, number(kLine - 1));
      emit_if(b_, b_.CreateICmpSLT(in_line, number(turn)), [&] {
        const RowsOfU next = rows_of_u(ahead(0));
        for (int r = 0; r < rows; ++r) e_.prefetch(next(r));
      });
    }
  }

  // ---- Products two at a time ----

  void sum_pairs(const Tile& t, const Panel& p, const Block& block,
                 const std::function<RowsOfU(Value*)>& rows_of_u) {
    Value* count = block.count;
    Value* u_step = e_.dim(r_.u_stride(*r_.k.back()));
    const bool adjacent = r_.u_stride(*r_.k.back()) == Dim(1);
    llvm::Type *i16 = b_.getInt16Ty(), *i32 = b_.getInt32Ty();
    llvm::Type* halves = vector_of(b_.getBFloatTy(), 2 * r_.lanes);
    const auto element_at = [&](Value* address, llvm::Type* as) {
      return b_.CreateAlignedLoad(as, address, llvm::Align(2));
    };
    const auto products = [&](Value* k, bool both) {
      std::vector<Value*> columns;
      for (int s = 0; s < p.vectors; ++s)
        columns.push_back(b_.CreateBitCast(
            b_.CreateLoad(pairs(), packed(pairs(), p, block, b_.CreateLShr(k, 1), number(s))),
            halves));
      const RowsOfU here = rows_of_u(b_.CreateMul(k, u_step));
      for (int r = 0; r < t.rows; ++r) {
        Value* at = here(r);
        Value* pair = nullptr;
        if (both && adjacent) {
          pair = element_at(at, i32);
        } else {
          pair = b_.CreateZExt(element_at(at, i16), i32);
          if (both) {
            Value* next =
                b_.CreateZExt(element_at(b_.CreateInBoundsGEP(i16, at, u_step), i16), i32);
            pair = b_.CreateOr(pair, b_.CreateShl(next, 16));
          }
        }
        Value* spread =
            b_.CreateBitCast(b_.CreateVectorSplat(static_cast<unsigned>(r_.lanes), pair), halves);
        for (int s = 0; s < t.vectors; ++s)
          b_.CreateStore(
              b_.CreateIntrinsic(llvm::Intrinsic::x86_avx512bf16_dpbf16ps_512, {},
                                 {value(t, r, s), spread, columns[static_cast<std::size_t>(s)]}),
              sum(t, r, s));
      }
    };
    Value* even = b_.CreateAnd(count, number(-2));
    emit_loop(b_, number(0), even, 2, "k", [&](Value* k) { products(k, true); });
    const Dim& extent = r_.k.back()->extent;
    if (extent.is_constant() && extent.value() % 2 == 0) return;
    emit_loop(b_, even, count, 2, "last", [&](Value* k) { products(k, false); });
  }

  const std::vector<loop::ExprId> far_loads_ = far_epilogue();
  llvm::AllocaInst* waiting_ = nullptr;
};

}  // namespace

void emit_contraction(const ProgramScope& scope, const loop::Kernel& k, llvm::IRBuilder<>& b,
                      ExpressionEmitter& e, Value* begin, Value* end) {
  if (contract_roles(scope.program, k, scope.unit).n)
    ContractionEmitter(scope, k, b, e, begin, end).emit();
  else
    emit_dot(scope, k, b, e, begin, end);
}

int contraction_rows(const loop::Program& p, const loop::Kernel& k, const VectorUnit& unit) {
  const ContractRoles r = contract_roles(p, k, unit);
  if (!r.n) return r.short_rows && r.short_rows->axis == k.outer[0] ? r.lanes : 1;
  const loop::ContractSchedule s = contract_schedule(p, k, unit);
  if (!r.m.empty() && r.m[0]->axis == k.outer[0]) return r.m.size() == 1 ? s.rows : 1;
  return r.n->axis == k.outer[0] ? s.vectors * r.lanes : 1;
}

}  // namespace dlc
