// The loops of a contraction around its tiles; codegen/native/contract_schedule.h has the names and
// the reasons.
//
// The order of the sum for an element of C is k's alone, whatever tile or block it is in, so
// neither the batch size nor the split over threads changes a bit.
//
// Unblocked: a few rows at a time go through all panels of V (some vectors of n each), tile by
// tile, and a tile's epilogue follows its sum. So V is read from the second cache again and again,
// and what the rows have of U from the first. What is left of the rows is done in tiles of one row
// less or in single rows, what is left of n in a narrower masked tile.
//
// Blocked: k runs in blocks. As many panels as the second cache has room for are packed side by
// side, and rows go through them as above; a block of rows is as long as its sums, which wait in
// memory for the next block of k, have room beside. The epilogue follows the last block. A sum of
// one block is as if there were none.
//
// Where V is larger than a cache keeps, the tiles of a block ask ahead for the next one, or, with
// short vectors, packing does so; and a tile asks for what its epilogue reads of a large buffer.
//
// Several m's are one row number that is taken apart where it matters: at the epilogue, and, unless
// they are evenly spaced, for the offsets in U of a block's rows, which are computed once. Several
// k's are a list of offsets in U and V, the same for every block but for where it begins.
//
// A single row, or a few, and a large V: contraction_rows.h. Without such an n (a dot product, a
// matrix times a vector): dot_emitter.cpp.
#include "codegen/llvm/contraction_emitter.h"

#include <algorithm>
#include <map>

#include "codegen/llvm/contraction_matrices.h"
#include "codegen/llvm/dot_emitter.h"
#include "codegen/llvm/fold_emitter.h"
#include "ir/support/check.h"

namespace dlc {

using llvm::Value;
namespace {

// With fewer rows than this packing V costs more than it saves.
constexpr int kLeastPackedRows = 48, kLeastRowsOfMatrices = 24;
// And so few go through a V that is far one by one.
constexpr int kFewFarRows = 5;

class ContractionEmitter : ContractionMatrices {
 public:
  ContractionEmitter(const ProgramScope& scope, const loop::Kernel& k, llvm::IRBuilder<>& b,
                     ExpressionEmitter& e, Value* begin, Value* end)
      : ContractionMatrices(scope, k, b, e, begin, end) {}

  void emit() {
    DLC_CHECK(!r_.pairs || (s_.packed && s_.k_block % 2 == 0),
              "{}: products two at a time come from packed blocks", k_.name);
    DLC_CHECK(!r_.turned || (s_.packed && s_.k_block % (2 * r_.lanes) == 0),
              "{}: an operand is turned over as it is packed", k_.name);
    if (s_.k_block > 0) {
      make_tables();
      const std::int64_t vector_bytes = scope_.unit.bits / 8;
      const std::int64_t packed = packed_vectors() * vector_bytes;
      const std::int64_t waiting =
          sums_wait(r_, blocks_) ? waiting_rows() * most_panels() * s_.vectors * vector_bytes : 0;
      if (packed + waiting > 0) {
        const auto after = [&](std::int64_t bytes) {
          return b_.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), packed_,
                                               static_cast<std::uint64_t>(bytes));
        };
        packed_ = e_.scratch(packed + waiting + matrices_bytes() + columns_bytes());
        waiting_ = after(packed);
        copied_ = after(packed + waiting);
      }
    }
    r_.matrices ? by_matrices() : others(0);
  }

 private:
  // ---- Loops over C ----

  void others(std::size_t at) {
    if (at == outer_.size()) {
      note_next_place();
      return passes();
    }
    const ContractIndex& i = *outer_[at];
    emit_loop(b_, low(i), high(i), 1, axis(i.axis).name.c_str(), [&](Value* v) {
      e_.set_axis(i.axis, v);
      others(at + 1);
    });
  }

  /// With many rows as the schedule says; what a few rows need instead is known when they are few.
  void passes() {
    if (rows_.empty() && !r_.stack && has_far_rows()) return far_row(nullptr);
    if (s_.k_block == 0) return unblocked();
    Value *from = first_row(), *to = end_row();
    const bool may_be_few =
        r_.even_rows && !rows_known() && !r_.pairs && !r_.turned && !r_.matrices && has_far_rows();
    if (!may_be_few) return many_rows(from, to);
    Value* few = b_.CreateICmpSLT(b_.CreateSub(to, from), number(kFewFarRows));
    emit_if(b_, few, [&] { emit_loop(b_, from, to, 1, "row", [&](Value* i) { far_row(i); }); });
    emit_if(b_, b_.CreateNot(few), [&] { many_rows(from, to); });
  }
  void many_rows(Value* from, Value* to) {
    const bool always = !r_.even_rows || rows_known() || r_.pairs || r_.turned || !s_.packed ||
                        r_.matrices || comes_from_far(scope_.program, c_, r_, scope_.unit);
    if (always) return blocked(from, to);
    Value* many = b_.CreateICmpSGE(b_.CreateSub(to, from), number(kLeastPackedRows));
    emit_if(b_, many, [&] { blocked(from, to); });
    emit_if(b_, b_.CreateNot(many), [&] { unblocked(); });
  }

  /// Other bits than those of vectors: the rows of all threads decide.
  void by_matrices() {
    const auto many = [&] {
      begin_matrices();
      others(0);
      end_matrices();
    };
    Dim rows = 1;
    std::int64_t least = 1;  // of places, whatever the batch
    for (const ContractIndex* m : r_.m) {
      rows = rows * m->extent;
      if (m->extent.is_constant()) least *= m->extent.value();
    }
    if (rows.is_constant() || least >= kLeastRowsOfMatrices || r_.turned) return many();
    Value* are_many = b_.CreateICmpSGE(e_.dim(rows), number(kLeastRowsOfMatrices));
    emit_if(b_, are_many, many);
    emit_if(b_, b_.CreateNot(are_many), [&] { few_rows(); });
  }
  /// Rows that are too few for matrices. Where V comes from far, or rows are not evenly spaced,
  /// that is work of its own.
  void few_rows() {
    if (!r_.even_rows || comes_from_far(scope_.program, c_, r_, scope_.unit)) {
      ProgramScope vectors = scope_;
      vectors.unit.bf16_matrices = false;
      return ContractionEmitter(vectors, k_, b_, e_, begin_, end_).emit();
    }
    s_ = few_rows_schedule(r_, scope_.unit);
    others(0);
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
    for_each_group(1, [&](const Group& g) { body(g.first); });
  }
  /// Panels of one width side by side, `most` at a time; and what is left: as one narrower panel
  /// where its width is known, else vector by vector.
  void for_each_group(std::int64_t most, const std::function<void(const Group&)>& body) {
    Value *from = low(*r_.n), *to = high(*r_.n);
    const std::int64_t width = static_cast<std::int64_t>(s_.vectors) * r_.lanes;
    Value* count = b_.CreateUDiv(b_.CreateSub(to, from), number(width));
    Value* middle = b_.CreateAdd(from, b_.CreateMul(count, number(width)));
    const bool joins = most > 1 && joins_rest();
    emit_loop(b_, from, middle, most * width, "panel", [&](Value* j) {
      Value* here = b_.CreateUDiv(b_.CreateSub(middle, j), number(width));
      Group g{{j, s_.vectors, nullptr}, most == 1 ? number(1) : smaller(here, number(most))};
      if (joins) g.rest = rest_from(middle), g.has_rest = b_.CreateICmpSLE(here, number(most));
      body(g);
    });
    if (knows_rest()) {
      if (!joins && rest_columns() > 0) body({rest_from(middle), number(1)});
      return;
    }
    // A single short vector of a few rows waits for its multiply-adds: two at a time, if there are.
    if (short_vectors() && s_.vectors > 2) {
      Value* second = b_.CreateSub(b_.CreateSub(to, middle), number(r_.lanes));
      Value* both = b_.CreateICmpSGT(second, number(0));
      emit_if(b_, both, [&] { body({{middle, 2, lanes_below(second)}, number(1)}); });
      middle = b_.CreateSelect(both, b_.CreateAdd(middle, number(2 * r_.lanes)), middle);
    }
    emit_loop(b_, middle, to, r_.lanes, "rest", [&](Value* j) {
      body({{j, 1, lanes_below(b_.CreateSub(to, j))}, number(1)});
    });
  }
  /// The panel of the columns that are left from `j` on.
  Panel rest_from(Value* j) {
    const auto vectors = static_cast<int>(ceil_div(rest_columns(), r_.lanes));
    const std::int64_t last = rest_columns() - static_cast<std::int64_t>(vectors - 1) * r_.lanes;
    return {j, vectors, last == r_.lanes ? nullptr : lanes_below(number(last))};
  }
  /// The same for matrices: the last panel is filled up.
  void for_each_filled_group(const std::function<void(const Group&)>& body) {
    const std::int64_t width = static_cast<std::int64_t>(s_.vectors) * r_.lanes;
    emit_loop(b_, low(*r_.n), high(*r_.n), shape_.panels * width, "panel", [&](Value* j) {
      Value* left = rounded_up(b_.CreateSub(high(*r_.n), j), width);
      body({{j, s_.vectors, nullptr},
            smaller(b_.CreateUDiv(left, number(width)), number(shape_.panels))});
    });
  }
  /// Panel number `at` of a group.
  Panel panel_of(const Group& g, Value* at) {
    Panel p = g.first;
    const std::int64_t width = static_cast<std::int64_t>(p.vectors) * r_.lanes;
    p.j = b_.CreateAdd(p.j, b_.CreateMul(at, number(width)));
    const Dim& columns = r_.n->extent;
    if (r_.matrices && !(columns.is_constant() && columns.value() % width == 0))
      p.columns = b_.CreateSub(high(*r_.n), p.j);
    return p;
  }

  /// Rows [from, to) in parts of about equal size: whole tiles, `most` rows at most.
  void for_each_part(Value* from, Value* to, std::int64_t most, const char* name,
                     const std::function<void(Value*, Value*)>& body) {
    Value* rows = b_.CreateSub(to, from);
    Value* parts = larger(divided_up(rows, number(most)), number(1));
    Value* step = rounded_up(divided_up(rows, parts), granule_);
    emit_loop(b_, from, to, step, name,
              [&](Value* first) { body(first, smaller(b_.CreateAdd(first, step), to)); });
  }

  /// Tiles of R rows and, where the extent is known and R does not divide it, of R - 1: 32 rows are
  /// 2 * 6 + 4 * 5. What fits neither way is done in single rows.
  void for_each_tile(Value* from, Value* to, const std::function<void(Value*, int)>& body) {
    const auto tiles = [&](Value* begin, Value* count, int height) {
      Value* end = b_.CreateAdd(begin, b_.CreateMul(count, number(height)));
      emit_loop(
          b_, begin, end, height, "rows", [&](Value* i) { body(i, height); },
          rows_inside() / height);
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
    const auto panels = [&](Value* from, Value* to) {
      for_each_panel([&](const Panel& p) {
        const auto tile = [&](Value* i, int rows) { whole_sum(p, i, rows); };
        if (from)
          for_each_tile(from, to, tile);
        else
          tile(nullptr, 1);
      });
    };
    if (rows_.empty()) return panels(nullptr, nullptr);
    const bool one_panel = r_.n->extent.is_constant() &&
                           r_.n->extent.value() <= static_cast<std::int64_t>(s_.vectors) * r_.lanes;
    if (r_.stack || one_panel || is_far(scope_.program, c_, r_, scope_.unit))
      return panels(first_row(), end_row());
    // A few rows at a time through all panels: V is in L2, and what they need of U stays in L1.
    for_each_part(first_row(), end_row(), rows_inside(), "inside", panels);
  }

  /// A tile of `rows` rows of C from i on (null: there are no rows), all of its sum at once.
  void whole_sum(const Panel& p, Value* i, int rows) {
    Tile t{i, rows, p.vectors, {}};
    start(t, [&](int, int) { return zeros(); });
    // Panels are as long as the sum.
    Value* first = r_.stack       ? b_.CreateMul(p.j, vector_step())
                   : c_.panel > 0 ? b_.CreateMul(p.j, e_.dim(r_.k[0]->extent))
                                  : p.j;
    Value *u = base(r_.u_is_a), *v = b_.CreateAdd(base(!r_.u_is_a), first);
    if (i) u = b_.CreateAdd(u, b_.CreateMul(i, row_step()));
    const auto product = [&](Value* pu, Value* pv) {
      std::vector<Value*> columns;
      for (int s = 0; s < p.vectors; ++s)
        columns.push_back(widened(in_place(
            rows,
            load_raw(b_.CreateAdd(pv, b_.CreateMul(vector_step(), number(s))), mask_of(p, s)))));
      if (i && !r_.stack) prefetch_far(pu, pv, rows, p.vectors);
      step(t, rows_below(pu), columns);
    };
    each_product(p, i, rows, u, v, product);
    finish_all(p, t);
  }

  /// The products of a tile's sums, whose operands begin at these offsets.
  void each_product(const Panel& p, Value* i, int rows, Value* u, Value* v,
                    const std::function<void(Value* u, Value* v)>& body) {
    const std::int64_t turn =
        r_.k.empty() ? 1 : short_turn([&](std::int64_t t) { return divides_sum(t); });
    if (turn == 1 && !has_bands()) return loops_of_sum(r_.k, u, v, body);
    const ContractIndex& k = *r_.k.back();
    const Range range = range_of(p, i, rows, number(0), e_.dim(k.extent), turn);
    each_turn_of_sum(u, v, range, turn, [&](Value* pu, Value* pv, std::int64_t products) {
      for (std::int64_t j = 0; j < products; ++j)
        body(stepped(pu, j, r_.u_stride(k)), stepped(pv, j, r_.v_stride(k)));
    });
  }

  // ---- Blocks of k ----

  void blocked(Value* from, Value* to) {
    for_each_part(from, to, shape_.rows, "block", [&](Value* first, Value* last) {
      fill_row_table(first, last);
      if (r_.skips) note_places(first, last);
      const auto group = [&](const Group& g) {
        if (r_.skips && !r_.matrices)
          blocks_of_taps(g, first, last);
        else
          blocks(g, first, last);
      };
      r_.matrices ? for_each_filled_group(group) : for_each_group(shape_.panels, group);
    });
  }

  /// All blocks of k for rows [first, last) of a group of panels.
  void blocks(const Group& g, Value* first, Value* last) {
    const ContractIndex& k = *blocks_.split;
    const std::vector<const ContractIndex*>& rest = blocks_.rest;
    const std::int64_t chunk = blocks_.chunk;
    // Which block of how many it is.
    llvm::AllocaInst* number_of_block = emit_variable(b_, b_.getInt64Ty(), "block");
    b_.CreateStore(number(0), number_of_block);
    Value* count = divided_up(e_.dim(k.extent), number(chunk));
    for (const ContractIndex* i : rest) count = b_.CreateMul(count, e_.dim(i->extent));
    Value* last_block = b_.CreateSub(count, number(1));
    Value *u = base(r_.u_is_a), *v = base(!r_.u_is_a);
    const auto products = [&](Value* pu, Value* pv) {
      Value* extent = e_.dim(k.extent);
      emit_loop(b_, number(0), extent, chunk, "kblock", [&](Value* k0) {
        Value* here = b_.CreateLoad(b_.getInt64Ty(), number_of_block);
        b_.CreateStore(b_.CreateAdd(here, number(1)), number_of_block);
        Block block{first, last};
        block.is_first = b_.CreateICmpEQ(here, number(0));
        block.is_last = b_.CreateICmpEQ(here, last_block);
        block.k0 = k0;
        block.count = b_.CreateMul(smaller(b_.CreateSub(extent, k0), number(chunk)),
                                   number(blocks_.inner_products));
        block.u = b_.CreateAdd(pu, b_.CreateMul(k0, e_.dim(r_.u_stride(k))));
        Value* v0 = b_.CreateAdd(pv, b_.CreateMul(k0, e_.dim(r_.v_stride(k))));
        const EachPanel each_panel = panels_of(g, block, v0, k0);
        pack_panels(block, each_panel);
        if (r_.matrices) return multiply_block(block, each_panel, g.panels);
        const auto through_panels = [&](Value* from, Value* to) {
          if (copies_u()) {
            copy_columns(block, block.copied_from = from, to);
            block.next_u = next_columns(block, to);
          }
          each_panel([&](const Panel& p) { tiles(p, block, from, to); });
        };
        // A few rows at a time through all panels: what they need of U stays near.
        if (llvm::isa<llvm::ConstantInt>(g.panels) && !copies_u())
          through_panels(first, last);
        else
          for_each_part(first, last, rows_inside(), "inside", through_panels);
      });
    };
    if (!r_.skips)
      return sum_loops(rest, 0, r_.u_is_a ? u : v, r_.u_is_a ? v : u, [&](Value* pa, Value* pb) {
        r_.u_is_a ? products(pa, pb) : products(pb, pa);
      });
    std::map<char, Value*> taps;
    each_tap(0, u, v, taps, [&](Value* pu, Value* pv) {
      note_inside(taps, b_.CreateSub(last, first));
      products(pu, pv);
    });
  }

  /// A loop over a group's panels, with the block's places in each; V's first product for the k's
  /// from k0 on is at v0.
  EachPanel panels_of(const Group& g, Block& block, Value* v0, Value* k0) {
    return [this, &g, &block, v0, k0](const std::function<void(const Panel&)>& body) {
      const auto panel = [&](const Panel& p, Value* at) {
        // Counted in this panel's rows, of which a narrower one has more in the same memory.
        const auto rows_before = [&](std::int64_t of_each) {
          Value* rows = b_.CreateMul(at, number(of_each));
          if (p.vectors == g.first.vectors) return rows;
          Value* vectors = b_.CreateMul(rows, number(g.first.vectors));
          return divided_up(vectors, number(p.vectors));
        };
        block.v = b_.CreateAdd(v0, b_.CreateMul(p.j, e_.dim(r_.v_stride(*r_.n))));
        block.panel = at;
        block.packed_row = rows_before(packed_rows());
        block.waiting_row = rows_before(waiting_rows());
        const bool packing_asks = short_vectors() && packs_by_rows();
        if (!packing_asks && is_far(scope_.program, c_, r_, scope_.unit))
          block.next_v = next_block(g, block, k0);
        body(p);
      };
      emit_loop(b_, number(0), g.panels, 1, "panel",
                [&](Value* at) { panel(panel_of(g, at), at); });
      if (g.has_rest) emit_if(b_, g.has_rest, [&] { panel(g.rest, g.panels); });
    };
  }
  void pack_panels(const Block& block, const EachPanel& each_panel) {
    if (packs_by_rows())
      emit_loop(b_, number(0), block.count, 1, "pack",
                [&](Value* row) { each_panel([&](const Panel& p) { pack_row(p, block, row); }); });
    else if (r_.matrices)
      pack_matrices(block, each_panel);
    else
      each_panel([&](const Panel& p) { pack(p, block); });
  }

  // ---- Blocks of taps that meet a frame ----

  /// Each block is of one tap, and takes the rows that it finds inside of the frames; the sums of
  /// all rows wait from the first to the last one.
  void blocks_of_taps(const Group& g, Value* first, Value* last) {
    const auto each_panel = [&](const std::function<void(const Panel&, Value* waiting)>& body) {
      emit_loop(b_, number(0), g.panels, 1, "panel", [&](Value* at) {
        body(panel_of(g, at), b_.CreateMul(at, number(waiting_rows())));
      });
    };
    Value* vectors =
        b_.CreateMul(b_.CreateMul(g.panels, number(waiting_rows())), number(g.first.vectors));
    emit_loop(b_, number(0), vectors, 1, "zeros", [&](Value* at) {
      b_.CreateAlignedStore(zeros(), vector_at(waiting_, at), vector_align());
    });
    std::map<char, Value*> taps;
    each_tap(0, base(r_.u_is_a), base(!r_.u_is_a), taps, [&](Value* u, Value* v) {
      Block block{number(0), choose_rows(taps, b_.CreateSub(last, first))};
      block_of_tap(g, block, u, v);
    });
    each_panel([&](const Panel& p, Value* waiting_row) {
      emit_loop(b_, first, last, 1, "finish", [&](Value* i) {
        Value* place = b_.CreateAdd(b_.CreateSub(i, first), waiting_row);
        for (int s = 0; s < p.vectors; ++s)
          finish(
              p, i, 0, s,
              b_.CreateLoad(vector(), waiting(b_.CreateMul(place, number(p.vectors)), number(s))));
      });
    });
  }

  /// Loops over `rest`, whose indices are noted by their letters.
  void each_tap(std::size_t at, Value* u, Value* v, std::map<char, Value*>& taps,
                const std::function<void(Value*, Value*)>& body) {
    if (at == blocks_.rest.size()) return body(u, v);
    const ContractIndex& k = *blocks_.rest[at];
    emit_loop(b_, number(0), e_.dim(k.extent), 1, "tap", [&](Value* i) {
      taps[k.letter] = i;
      each_tap(at + 1, b_.CreateAdd(u, b_.CreateMul(i, e_.dim(r_.u_stride(k)))),
               b_.CreateAdd(v, b_.CreateMul(i, e_.dim(r_.v_stride(k)))), taps, body);
    });
  }

  /// All products of a tap, whose operands begin at `u` and `v`, for the rows that are chosen.
  void block_of_tap(const Group& g, Block& block, Value* u, Value* v) {
    const ContractIndex& k = *blocks_.split;
    Value* extent = e_.dim(k.extent);
    emit_loop(b_, number(0), extent, blocks_.chunk, "kblock", [&](Value* k0) {
      block.count = smaller(b_.CreateSub(extent, k0), number(blocks_.chunk));
      block.u = b_.CreateAdd(u, b_.CreateMul(k0, e_.dim(r_.u_stride(k))));
      Value* v0 = b_.CreateAdd(v, b_.CreateMul(k0, e_.dim(r_.v_stride(k))));
      const EachPanel each_panel = panels_of(g, block, v0, k0);
      pack_panels(block, each_panel);
      // Whole tiles: the last one is filled up.
      emit_loop(b_, number(0), block.last, rows_inside(), "inside", [&](Value* from) {
        Value* to = smaller(b_.CreateAdd(from, number(rows_inside())), block.last);
        each_panel([&](const Panel& p) {
          emit_loop(b_, from, to, s_.rows, "rows", [&](Value* t) { tile_of_chosen(p, block, t); });
        });
      });
    });
  }

  /// A tile of the rows from number t of the chosen ones on.
  void tile_of_chosen(const Panel& p, const Block& block, Value* t) {
    Tile tile{t, s_.rows, p.vectors, {}};
    std::vector<Value*> sums;
    for (int r = 0; r < s_.rows; ++r) {
      Value* place = b_.CreateAdd(place_of_chosen(b_.CreateAdd(t, number(r))), block.waiting_row);
      sums.push_back(b_.CreateMul(place, number(p.vectors)));
    }
    start(tile, [&](int r, int s) {
      return waiting_sum(waiting(sums[static_cast<std::size_t>(r)], number(s)));
    });
    const auto rows_of_u = rows_from(block, t, s_.rows);
    const std::int64_t turn = products_of_turn(s_.rows * p.vectors, block);
    for_each_turn(p, block, {number(0), block.count}, turn, [&](const Turn& at) {
      prefetch_u(s_.rows, at, rows_of_u);
      prefetch_panel(p, at);
      prefetch_next(p, block, b_.CreateUDiv(t, number(s_.rows)), at.first, at.products);
      products(tile, p, block, at, rows_of_u);
    });
    for (int r = 0; r < s_.rows; ++r)
      for (int s = 0; s < p.vectors; ++s)
        b_.CreateStore(value(tile, r, s), waiting(sums[static_cast<std::size_t>(r)], number(s)));
  }

  /// Where V goes on after the block from k0: what follows it in the sum, where that is one index
  /// or several that are one in memory; then the next group of panels.
  Value* next_block(const Group& g, const Block& block, Value* k0) {
    const ContractIndex& k = *blocks_.split;
    Value* step = b_.CreateMul(number(blocks_.chunk), e_.dim(r_.v_stride(k)));
    Value* next = b_.CreateAdd(block.v, step);
    if (!blocks_.rest.empty()) return next;
    Value* is_last = b_.CreateICmpSGE(b_.CreateAdd(k0, number(blocks_.chunk)), e_.dim(k.extent));
    Value* width =
        b_.CreateMul(g.panels, number(static_cast<std::int64_t>(g.first.vectors) * r_.lanes));
    Value* back = b_.CreateMul(k0, e_.dim(r_.v_stride(k)));
    Value* panel =
        b_.CreateAdd(b_.CreateSub(block.v, back), b_.CreateMul(width, e_.dim(r_.v_stride(*r_.n))));
    return b_.CreateSelect(is_last, panel, next);
  }
  /// Of a panel's sums: whole matrices may reach beyond the last row, and what fills a tile up has
  /// one for all.
  std::int64_t waiting_rows() const {
    return shape_.rows + (r_.matrices ? kTall : r_.skips ? 1 : 0);
  }
  /// Read anew: a sum that lives in a register beyond its block's loop, on several ways, is one
  /// that may be spilled inside of it.
  Value* waiting_sum(Value* place) {
    return b_.CreateAlignedLoad(vector(), place, vector_align(), /*isVolatile=*/true);
  }

  /// Rows [from, to) of a block.
  void tiles(const Panel& p, const Block& block, Value* from, Value* to) {
    const bool one = !sums_wait(r_, blocks_);
    for_each_tile(from, to, [&](Value* i, int rows) {
      Tile t{i, rows, p.vectors, {}};
      Value* row = b_.CreateSub(i, block.first);
      Value* at = b_.CreateMul(b_.CreateAdd(row, block.waiting_row), number(p.vectors));
      const auto each = [&](const std::function<void(int, int, Value*)>& body) {
        for (int r = 0; r < rows; ++r)
          for (int s = 0; s < p.vectors; ++s)
            body(r, s, one ? nullptr : waiting(at, number(r * p.vectors + s)));
      };
      if (!one)
        emit_if(b_, block.is_first,
                [&] { each([&](int, int, Value* place) { b_.CreateStore(zeros(), place); }); });
      start(t, [&](int r, int s) {
        return one ? zeros() : waiting_sum(waiting(at, number(r * p.vectors + s)));
      });
      if (asks_for_epilogue()) emit_if(b_, block.is_last, [&] { prefetch_epilogue(p, i, rows); });
      prefetch_columns(block, i);
      prefetch_place(block.panel, i);
      const auto rows_of_u = rows_from(block, i, rows);
      if (r_.pairs) {
        sum_pairs(t, p, block, rows_of_u);
      } else {
        const std::int64_t turn = products_of_turn(rows * p.vectors, block);
        Value* tile = b_.CreateUDiv(b_.CreateSub(i, block.first), number(s_.rows));
        const Range range = range_of(p, i, rows, block.k0, block.count, turn);
        for_each_turn(p, block, range, turn, [&](const Turn& at) {
          if (!block.copied_from) prefetch_u(rows, at, rows_of_u);
          prefetch_panel(p, at);
          prefetch_next(p, block, tile, at.first, at.products);
          products(t, p, block, at, rows_of_u);
        });
      }
      if (one) return finish_all(p, t);
      each([&](int r, int s, Value* place) { b_.CreateStore(value(t, r, s), place); });
      emit_if(b_, block.is_last,
              [&] { finish_all(p, t, [&](Value* n) { return waiting_sum(waiting(at, n)); }); });
    });
  }
};

}  // namespace

void emit_contraction(const ProgramScope& scope, const loop::Kernel& k, llvm::IRBuilder<>& b,
                      ExpressionEmitter& e, Value* begin, Value* end) {
  if (k.contraction[0].folded)
    emit_fold(scope, k, b, e, begin, end);
  else if (contract_roles(scope.program, k, scope.unit).n)
    ContractionEmitter(scope, k, b, e, begin, end).emit();
  else
    emit_dot(scope, k, b, e, begin, end);
}

int contraction_rows(const loop::Program& p, const loop::Kernel& k, const VectorUnit& unit) {
  if (k.contraction[0].folded) return 1;
  const ContractRoles r = contract_roles(p, k, unit);
  if (!r.n) return r.short_rows && r.short_rows->axis == k.outer[0] ? r.lanes : 1;
  const loop::ContractSchedule s = contract_schedule(p, k, unit);
  if (!r.m.empty() && r.m[0]->axis == k.outer[0]) return r.m.size() == 1 ? s.rows : 1;
  return r.n->axis == k.outer[0] ? s.vectors * r.lanes : 1;
}

}  // namespace dlc
