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
// stack), for at most kBlockRows rows at a time, and the epilogue follows the last block. A sum of
// one block is as if there were none.
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

#include "codegen/llvm/contraction_indices.h"
#include "codegen/llvm/dot_emitter.h"
#include "codegen/llvm/turn.h"
#include "ir/support/check.h"

namespace dlc {

using llvm::Value;
namespace {

// With fewer rows than this packing V costs more than it saves.
constexpr int kLeastPackedRows = 48;

class ContractionEmitter : ContractionIndices {
 public:
  ContractionEmitter(const ProgramScope& scope, const loop::Kernel& k, llvm::IRBuilder<>& b,
                     ExpressionEmitter& e, Value* begin, Value* end)
      : ContractionIndices(scope, k, b, e, begin, end) {}

  void emit() {
    DLC_CHECK(!r_.pairs || (s_.packed && s_.k_block % 2 == 0),
              "{}: products two at a time come from packed blocks", k_.name);
    DLC_CHECK(!r_.turned || (s_.packed && s_.k_block % (2 * r_.lanes) == 0),
              "{}: an operand is turned over as it is packed", k_.name);
    if (s_.k_block > 0) make_tables();
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
    const bool always = rows_.size() > 1 || rows_known();
    if (always || r_.pairs || r_.turned || !s_.packed) return blocked(from, to);
    Value* many = b_.CreateICmpSGE(b_.CreateSub(to, from), number(kLeastPackedRows));
    emit_if(b_, many, [&] { blocked(from, to); });
    emit_if(b_, b_.CreateNot(many), [&] { unblocked(); });
  }

  struct Panel {
    Value* j;  // the first column, or row of the stack
    int vectors;
    Value* last_mask;  // the columns that exist in the last vector; null: all
  };

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
  Value* mask_of(const Panel& p, int s) const {
    return r_.stack || s == p.vectors - 1 ? p.last_mask : nullptr;
  }

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
          b_, begin, end, height, "rows", [&](Value* i) { body(i, height); }, kBlockRows / height);
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

  /// One k: the vectors of V times the elements of U at `rows`.
  void step(const Tile& t, const RowsOfU& rows, const std::vector<Value*>& columns) {
    for (int r = 0; r < t.rows; ++r) {
      const ElementType e = e_.element(u_buffer());
      Value* x = e_.from_memory(e, b_.CreateAlignedLoad(u_memory(), rows(r), align(e)));
      Value* spread = b_.CreateVectorSplat(static_cast<unsigned>(r_.lanes), x);
      for (int s = 0; s < t.vectors; ++s)
        b_.CreateStore(fma(spread, columns[static_cast<std::size_t>(s)], value(t, r, s)),
                       sum(t, r, s));
    }
  }

  /// The epilogue of row i + r and vector s.
  void finish(const Panel& p, Value* i, int r, int s, Value* c) {
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
    waiting_ = array(vector(), static_cast<std::int64_t>(kBlockRows) * s_.vectors, "waiting");
    if (s_.packed) {
      llvm::Type* packed = r_.pairs ? b_.getInt32Ty() : type();
      packed_ =
          array(vector_of(packed, r_.lanes),
                // Turned products come a vector at a time.
                (r_.pairs ? (chunk + 1) / 2 : blocks_.products() + (r_.turned ? r_.lanes : 0)) *
                    s_.vectors,
                "packed");
    }
    // Which block of how many it is.
    llvm::AllocaInst* number_of_block = emit_variable(b_, b_.getInt64Ty(), "block");
    Value* blocks = b_.CreateUDiv(b_.CreateAdd(e_.dim(k.extent), number(chunk - 1)), number(chunk));
    for (const ContractIndex* i : rest) blocks = b_.CreateMul(blocks, e_.dim(i->extent));
    Value* last_block = b_.CreateSub(blocks, number(1));
    emit_loop(b_, from, to, kBlockRows, "block", [&](Value* first) {
      Value* last = smaller(b_.CreateAdd(first, number(kBlockRows)), to);
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
            Block block{first, last, nullptr, nullptr, nullptr, nullptr, nullptr};
            block.is_first = b_.CreateICmpEQ(here, number(0));
            block.is_last = b_.CreateICmpEQ(here, last_block);
            block.count = b_.CreateMul(smaller(b_.CreateSub(extent, k0), number(chunk)),
                                       number(blocks_.inner_products));
            block.u = b_.CreateAdd(r_.u_is_a ? pa : pb, b_.CreateMul(k0, e_.dim(r_.u_stride(k))));
            block.v = b_.CreateAdd(r_.u_is_a ? pb : pa, b_.CreateMul(k0, e_.dim(r_.v_stride(k))));
            emit_block(p, block);
          });
        });
      });
    });
  }

  struct Block {
    Value *first, *last;        // the rows
    Value *u, *v;               // offsets of the first product of row 0
    Value* count;               // products
    Value *is_first, *is_last;  // of the panel's blocks
  };

  bool is_one_block() const {
    const Dim& extent = blocks_.split->extent;
    return blocks_.rest.empty() && extent.is_constant() && extent.value() <= blocks_.chunk;
  }
  /// Read anew: a sum that lives in a register beyond its block's loop, on several ways, is one
  /// that may be spilled inside of it.
  Value* waiting_sum(Value* place) {
    return b_.CreateAlignedLoad(vector(), place, llvm::Align(64), /*isVolatile=*/true);
  }

  Value* smaller(Value* a, Value* b) { return b_.CreateSelect(b_.CreateICmpSLT(a, b), a, b); }
  Value* waiting(Value* at, int s) {
    return b_.CreateInBoundsGEP(vector(), waiting_, b_.CreateAdd(at, number(s)));
  }

  void emit_block(const Panel& p, const Block& block) {
    const auto read = [&](Value* k, int s, Value* mask) {
      Value* at = b_.CreateAdd(block.v, v_of(k));
      at = b_.CreateAdd(at, number(s * r_.lanes));
      Value* edge = s == p.vectors - 1 ? p.last_mask : nullptr;
      return load_raw(at, edge && mask ? b_.CreateAnd(edge, mask) : edge ? edge : mask);
    };
    if (r_.turned) {
      pack_turned(p, block);
    } else if (r_.pairs) {
      pack_pairs(p, block.count, read);
    } else if (s_.packed) {
      emit_loop(b_, number(0), block.count, 1, "pack", [&](Value* k) {
        for (int s = 0; s < p.vectors; ++s)
          b_.CreateStore(widened(read(k, s, nullptr)), packed(vector(), p, k, number(s)));
      });
    }
    for_each_tile(block.first, block.last, [&](Value* i, int rows) {
      Tile t{i, rows, p.vectors, {}};
      Value* at = b_.CreateMul(b_.CreateSub(i, block.first), number(p.vectors));
      const auto each = [&](const std::function<void(int, int, Value*)>& body) {
        for (int r = 0; r < rows; ++r)
          for (int s = 0; s < p.vectors; ++s) body(r, s, waiting(at, r * p.vectors + s));
      };
      const bool one = is_one_block();
      if (!one)
        emit_if(b_, block.is_first,
                [&] { each([&](int, int, Value* place) { b_.CreateStore(zeros(), place); }); });
      start(t, [&](int r, int s) {
        return one ? zeros() : waiting_sum(waiting(at, r * p.vectors + s));
      });
      const auto rows_of_u = rows_from(block, i, rows);
      if (r_.pairs) {
        sum_pairs(t, p, rows_of_u, block.count);
      } else {
        const std::int64_t turn = products_of_turn(rows * p.vectors);
        emit_loop(
            b_, number(0), block.count, turn, "k",
            [&](Value* first) {
              Value* u = u_of(first);
              for (std::int64_t j = 0; j < turn; ++j) {
                Value* k = b_.CreateAdd(first, number(j));
                std::vector<Value*> columns;
                for (int s = 0; s < p.vectors; ++s)
                  columns.push_back(s_.packed
                                        ? b_.CreateLoad(vector(), packed(vector(), p, k, number(s)))
                                        : widened(read(k, s, nullptr)));
                const RowsOfU here = rows_of_u(u);
                prefetch_u(block, i, rows, k, rows_of_u);
                step(t, here, columns);
                u = b_.CreateAdd(u, e_.dim(r_.u_stride(last_k())));
              }
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

  /// Where U has a row of memory for each k, a tile uses a few elements of each: hardware does not
  /// foresee such steps. Nor does it follow many rows of windows at once: of those another one is
  /// asked for with each k, so that each line is once.
  void prefetch_u(const Block& block, Value* i, int rows, Value* k,
                  const std::function<RowsOfU(Value*)>& rows_of_u) {
    constexpr int kFollowed = 8;
    Value* ahead = u_of(b_.CreateAdd(k, number(kAhead)));
    if (!(r_.u_stride(last_k()) == Dim(1))) {
      e_.prefetch(rows_of_u(ahead)(0));
    } else if (has_row_table() && has_product_tables() && rows > kFollowed) {
      Value* row = smaller(b_.CreateAnd(k, number(kAhead - 1)), number(rows - 1));
      Value* place = b_.CreateAdd(b_.CreateSub(i, block.first), row);
      e_.prefetch(address_of_u(b_.CreateAdd(b_.CreateAdd(block.u, u_of_row(place)), ahead)));
    }
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
  Value* packed(llvm::Type* t, const Panel& p, Value* row, Value* s) {
    return b_.CreateInBoundsGEP(t, packed_, b_.CreateAdd(b_.CreateMul(row, number(p.vectors)), s));
  }

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
                         packed(rows[0]->getType(), p, b_.CreateAdd(line, number(r)), s));
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

  // ---- Products two at a time ----

  llvm::Type* pairs() { return vector_of(b_.getInt32Ty(), r_.lanes); }

  /// Rows k and k + 1 of V side by side; behind the last one comes a row of zeros.
  void pack_pairs(const Panel& p, Value* count,
                  const std::function<Value*(Value*, int, Value*)>& read) {
    const auto wide = [&](Value* row) { return b_.CreateZExt(row, pairs()); };
    emit_loop(b_, number(0), count, 2, "pack", [&](Value* k) {
      Value* next = b_.CreateAdd(k, number(1));
      Value* exists =
          b_.CreateVectorSplat(static_cast<unsigned>(r_.lanes), b_.CreateICmpSLT(next, count));
      for (int s = 0; s < p.vectors; ++s) {
        Value *even = wide(read(k, s, nullptr)), *odd = wide(read(next, s, exists));
        Value* both = b_.CreateOr(even, b_.CreateShl(odd, 16));
        b_.CreateStore(both, packed(pairs(), p, b_.CreateLShr(k, 1), number(s)));
      }
    });
  }

  void sum_pairs(const Tile& t, const Panel& p, const std::function<RowsOfU(Value*)>& rows_of_u,
                 Value* count) {
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
            b_.CreateLoad(pairs(), packed(pairs(), p, b_.CreateLShr(k, 1), number(s))), halves));
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

  llvm::AllocaInst *waiting_ = nullptr, *packed_ = nullptr;
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
