#pragma once
// A tile of C: its sums in registers, the products that are added to them, what is asked for ahead
// meanwhile, and the epilogue.
#include <llvm/IR/IntrinsicsX86.h>

#include <algorithm>

#include "codegen/llvm/contraction_places.h"

namespace dlc {

class ContractionTiles : public ContractionPlaces {
 public:
  using ContractionPlaces::ContractionPlaces;

 protected:
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
    if (i && s == 0) go_to_row(b_.CreateAdd(i, number(r)));
    if (r_.stack) {
      e_.set_axis(r_.stack->axis, b_.CreateAdd(p.j, number(s)));
      e_.set_axis(r_.n->axis, number(0));
    } else {
      e_.set_axis(r_.n->axis, b_.CreateAdd(p.j, number(s * r_.lanes)));
    }
  }

  /// Whether so large a buffer, at typical extents, does not stay in the second cache.
  bool is_beyond_cache(loop::ExprId offset, ElementType type) const {
    Dim count(1);
    for (const loop::AxisId a : k_.outer)
      if (e_.depends(offset, a)) count = count * axis(a).extent;
    return count.typical() * size_in_bytes(type) > scope_.unit.core.l2_size();
  }
  bool runs_along_vectors(loop::ExprId offset) const {
    const auto step = e_.coefficient(offset, r_.n->axis);
    return step && *step == Dim(1);
  }
  /// Loads of the epilogue from far buffers: the parameter that a weight gradient changes, what an
  /// activation's gradient is a factor of.
  std::vector<loop::ExprId> far_epilogue() const {
    std::vector<loop::ExprId> loads;
    if (r_.stack) return loads;
    for (std::size_t id = 0; id < k_.exprs.size(); ++id) {
      const loop::Expr& e = k_.exprs[id];
      if (e.kind == loop::ExprKind::Load && runs_along_vectors(e.operands[0]) &&
          is_beyond_cache(e.operands[0], e.type))
        loads.push_back(static_cast<loop::ExprId>(id));
    }
    return loads;
  }
  /// Stores whose lines are not there yet: to rows that are apart in memory (a part of a concat),
  /// and, where few stores can wait, to far buffers.
  std::vector<const loop::Store*> far_stores() const {
    std::vector<const loop::Store*> stores;
    if (r_.stack || rows_.empty() || (scope_.unit.core.wide_fma <= 1 && !short_vectors()))
      return stores;
    for (const loop::Stage& stage : k_.stages)
      for (const loop::Store& s : stage.stores) {
        const auto row = e_.coefficient(s.offset, rows_.back()->axis);
        if (!runs_along_vectors(s.offset) || !row) continue;
        if (!(*row == r_.n->extent) || (short_vectors() && is_beyond_cache(s.offset, c_.type)))
          stores.push_back(&s);
      }
    return stores;
  }
  bool asks_for_epilogue() const { return !far_loads_.empty() || !far_stores_.empty(); }
  /// Its rows are far apart, so that hardware does not see them coming; while the sum runs, they
  /// do.
  void prefetch_epilogue(const Panel& p, Value* i, int rows) {
    for (int r = 0; r < rows; ++r) prefetch_row(p, i, r, far_loads_, far_stores_);
  }
  /// These loads and stores of the epilogue of row i + r.
  void prefetch_row(const Panel& p, Value* i, int r, const std::vector<loop::ExprId>& loads,
                    const std::vector<const loop::Store*>& stores) {
    for (int s = 0; s < p.vectors; ++s) {
      go_to(p, i, r, s);
      e_.forget();
      for (const loop::ExprId load : loads) e_.prefetch(load, 1);
      for (const loop::Store* store : stores) e_.prefetch(*store);
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

  /// The epilogues of a tile that begins at row i. Long ones are emitted for one row and repeated,
  /// with the sums in memory.
  void finish_all(const Panel& p, const Tile& t) {
    const bool repeats = has_long_epilogue() && t.rows > 1;
    if (repeats && !finished_)
      finished_ = array(vector(), static_cast<std::int64_t>(s_.rows) * s_.vectors, "finished");
    for (int r = 0; r < t.rows; ++r)
      for (int s = 0; s < t.vectors; ++s) {
        if (repeats)
          b_.CreateStore(value(t, r, s), vector_at(finished_, number(r * t.vectors + s)));
        else
          finish(p, t.i, r, s, value(t, r, s));
      }
    if (repeats)
      finish_all(p, t,
                 [&](Value* at) { return b_.CreateLoad(vector(), vector_at(finished_, at)); });
  }
  /// With the sums in memory, row by row.
  void finish_all(const Panel& p, const Tile& t, const std::function<Value*(Value* at)>& sum_at) {
    const auto row = [&](Value* i, int r, Value* first) {
      for (int s = 0; s < t.vectors; ++s)
        finish(p, i, r, s, sum_at(b_.CreateAdd(first, number(s))));
    };
    if (!has_long_epilogue() || t.rows == 1) {
      for (int r = 0; r < t.rows; ++r) row(t.i, r, number(r * t.vectors));
    } else {
      emit_loop(b_, number(0), number(t.rows), 1, "finish", [&](Value* r) {
        row(b_.CreateAdd(t.i, r), 0, b_.CreateMul(r, number(t.vectors)));
      });
    }
  }
  /// A sum that waits for the next block.
  Value* waiting(Value* at, Value* s) { return vector_at(waiting_, b_.CreateAdd(at, s)); }
  Value* vector_at(Value* first, Value* at) { return b_.CreateInBoundsGEP(vector(), first, at); }
  bool has_long_epilogue() const {
    return std::any_of(k_.exprs.begin(), k_.exprs.end(), [](const loop::Expr& e) {
      return e.kind == loop::ExprKind::Scalar && is_long(e.op);
    });
  }

  // ---- Products of a block ----

  /// Where U has a row of memory for each product, rows of it that are powers of two apart push
  /// each other out of the first cache: a part's rows are copied side by side for all its panels.
  bool copies_u() const {
    return copies_tabled() || (has_rows_to_copy() && r_.even_rows && blocks_.inner.empty() &&
                               (scope_.unit.core.wide_fma > 1 ||
                                (short_vectors() && (steps_by_pages() || has_many_columns()))));
  }
  /// So many that a copy is a small part of the work.
  bool has_many_columns() const {
    constexpr std::int64_t kMany = 192;
    return !r_.n->extent.is_constant() || r_.n->extent.value() >= kMany;
  }
  /// Half a page, at which a cache has two places for all rows.
  bool steps_by_pages() const {
    constexpr std::int64_t kStep = 2048;
    const Dim& step = r_.u_stride(last_k());
    return step.is_constant() && step.value() * size_in_bytes(c_.type) % kStep == 0;
  }
  /// Of a copied row of memory, in elements: the most rows of a part.
  std::int64_t copied_width() const { return round_up(rows_inside(), r_.lanes); }
  std::int64_t columns_bytes() const {
    return copies_u() ? blocks_.products() * copied_width() * size_in_bytes(c_.type) : 0;
  }
  void copy_columns(const Block& block, Value* from, Value* to) {
    struct Rows {
      Value *u, *mask;  // where a vector of rows is from the first product's place
    };
    std::vector<Rows> rows;
    for (std::int64_t x = 0; x < copied_width(); x += r_.lanes) {
      Value *first = b_.CreateAdd(from, number(x)), *left = b_.CreateSub(to, first);
      Value* u = first;
      if (has_row_table()) {
        Value* exists = b_.CreateICmpSGT(left, number(0));
        u = u_of_row(b_.CreateSub(b_.CreateSelect(exists, first, from), block.first));
      }
      rows.push_back({b_.CreateAdd(block.u, u), lanes_below(left)});
    }
    emit_loop(b_, number(0), block.count, 1, "copy", [&](Value* k) {
      Value* line = b_.CreateMul(k, number(copied_width()));
      Value *here = u_of(k), *ahead = u_of(b_.CreateAdd(k, number(kCopyAhead)));
      for (std::size_t n = 0; n < rows.size(); ++n) {
        const std::int64_t x = static_cast<std::int64_t>(n) * r_.lanes;
        if (short_vectors() && x % kLine == 0)
          e_.prefetch(address_of_u(b_.CreateAdd(rows[n].u, ahead)));
        Value* v = b_.CreateMaskedLoad(vector(), address_of_u(b_.CreateAdd(rows[n].u, here)),
                                       align(c_.type), rows[n].mask, zeros());
        b_.CreateAlignedStore(v, b_.CreateGEP(type(), copied_, b_.CreateAdd(line, number(x))),
                              vector_align());
      }
    });
  }
  /// What is copied after the rows up to `to`: the next ones, or of the next block the first ones.
  /// Null where hardware sees it coming, or it is in no order.
  Value* next_columns(const Block& block, Value* to) {
    if (!short_vectors() || has_row_table() || has_product_tables()) return nullptr;
    Value* step = b_.CreateMul(number(blocks_.chunk), e_.dim(r_.u_stride(*blocks_.split)));
    Value* next_block = b_.CreateAdd(step, block.first);
    return b_.CreateAdd(block.u, b_.CreateSelect(b_.CreateICmpSLT(to, block.last), to, next_block));
  }
  /// What is copied next may be far away, and a copy does not last long enough to wait for memory
  /// meanwhile: each tile asks for all rows' elements of a few products.
  void prefetch_columns(const Block& block, Value* i) {
    if (!block.next_u) return;
    constexpr std::int64_t kMost = 4;
    const std::int64_t height = ceil_div(rows_inside(), s_.rows), tiles = height * shape_.panels,
                       products = std::min(ceil_div(blocks_.products(), tiles), kMost);
    Value* tile = b_.CreateAdd(b_.CreateMul(block.panel, number(height)),
                               b_.CreateUDiv(b_.CreateSub(i, block.copied_from), number(s_.rows)));
    for (std::int64_t n = 0; n < products; ++n) {
      Value* k = b_.CreateAdd(b_.CreateMul(tile, number(products)), number(n));
      emit_if(b_, b_.CreateICmpSLT(k, block.count), [&] {
        Value* first = b_.CreateAdd(block.next_u, u_of(k));
        for (std::int64_t x = 0; x < copied_width(); x += kLine)
          e_.prefetch(address_of_u(b_.CreateAdd(first, number(x))),
                      ExpressionEmitter::Cache::Second);
      });
    }
  }
  /// From product to product.
  Dim u_step(const Block& block) const {
    return block.copied_from ? Dim(copied_width()) : r_.u_stride(last_k());
  }

  /// How many k's one turn of a block's loop takes, for a step of so many multiply-adds. Each row
  /// of a table is a pointer, and there are more than registers: within a run of the last k they
  /// are fetched once for several. And where a step is few multiply-adds, the loop's own
  /// instructions are as many as a core has time for beside them.
  std::int64_t products_of_turn(int step, const Block& block) {
    constexpr int kMost = 64;
    const bool has_products = has_product_tables() && !block.copied_from;
    if (reads_rows(block) || (has_products && short_vectors())) {
      const Dim& run = last_k().extent;
      for (std::int64_t turn = std::min(8, kMost / step); turn > 1; --turn)
        if (run.is_constant() && run.value() % turn == 0 && divides_blocks(turn)) return turn;
    }
    if (has_products) return 1;
    return short_turn([&](std::int64_t turn) { return divides_blocks(turn); });
  }
  /// A tile's rows in U are found in a table.
  bool reads_rows(const Block& block) const { return has_row_table() && !block.copied_from; }
  /// Every block has a multiple of so many products.
  bool divides_blocks(std::int64_t turn) const {
    if (blocks_.inner_products % turn == 0) return true;
    const Dim& extent = blocks_.split->extent;
    return extent.is_constant() && blocks_.products() % turn == 0 &&
           extent.value() * blocks_.inner_products % turn == 0;
  }
  /// Of a loop over products that lie evenly.
  std::int64_t short_turn(const std::function<bool(std::int64_t)>& divides) const {
    constexpr std::int64_t kTurn = 4;
    if (!short_vectors()) return 1;
    for (std::int64_t turn = kTurn; turn > 1; --turn)
      if (divides(turn)) return turn;
    return kTurn;
  }

  /// A tile's rows in U for the k that is `at_k` from the block's first.
  std::function<RowsOfU(Value* at_k)> rows_from(const Block& block, Value* i, int rows) {
    if (!reads_rows(block)) {
      // As a pointer, which the loop does not add to again.
      Value* first = block.copied_from
                         ? b_.CreateGEP(type(), copied_, b_.CreateSub(i, block.copied_from))
                         : address_of_u(b_.CreateAdd(block.u, b_.CreateMul(i, row_step())));
      return [this, first](Value* at_k) -> RowsOfU {
        return [this, here = b_.CreateGEP(u_memory(), first, at_k)](int r) {
          return r == 0 ? here
                        : b_.CreateGEP(u_memory(), here, b_.CreateMul(row_step(), number(r)));
        };
      };
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

  /// An offset that grows from product to product.
  struct Growing {
    Value *from, *step;
  };
  /// The products of a range, `turn` at a time (for `body`, where they begin); what is left one by
  /// one, unless `turn` always divides them.
  void for_each_turn(Range range, std::int64_t turn, bool divides, std::int64_t typical,
                     const std::vector<Growing>& offsets,
                     const std::function<void(Value* first, const std::vector<Value*>& at,
                                              std::int64_t products)>& body) {
    std::vector<llvm::AllocaInst*> growing;
    Value* whole = range.to;
    if (turn > 1 && !divides) whole = b_.CreateSub(range.to, b_.CreateURem(range.to, number(turn)));
    const bool from_first = range.from == number(0);
    if (!from_first) range.from = smaller(range.from, whole);
    for (const Growing& g : offsets) {
      Value* skipped = from_first ? number(0) : b_.CreateMul(range.from, g.step);
      growing.push_back(emit_variable(b_, b_.getInt64Ty(), "at"));
      b_.CreateStore(b_.CreateAdd(g.from, skipped), growing.back());
    }
    const auto turns = [&](Value* from, Value* to, std::int64_t products) {
      emit_loop(
          b_, from, to, products, "k",
          [&](Value* first) {
            std::vector<Value*> now;
            for (llvm::AllocaInst* g : growing) now.push_back(b_.CreateLoad(b_.getInt64Ty(), g));
            body(first, now, products);
            for (std::size_t g = 0; g < growing.size(); ++g)
              b_.CreateStore(b_.CreateAdd(now[g], b_.CreateMul(number(products), offsets[g].step)),
                             growing[g]);
          },
          typical / products);
    };
    turns(range.from, whole, turn);
    if (whole != range.to) turns(whole, range.to, 1);
  }

  /// Loops over summed indices from these offsets in U and V on.
  void loops_of_sum(const std::vector<const ContractIndex*>& indices, Value* u, Value* v,
                    const std::function<void(Value* u, Value* v)>& body) {
    sum_loops(indices, 0, r_.u_is_a ? u : v, r_.u_is_a ? v : u,
              [&](Value* a, Value* b) { r_.u_is_a ? body(a, b) : body(b, a); });
  }
  /// So many products at a time leave none over of the last k.
  bool divides_sum(std::int64_t turn) const {
    const Dim& extent = r_.k.back()->extent;
    return extent.is_constant() && extent.value() % turn == 0;
  }
  /// Of a sum from these offsets on, `turn` products of the last k at a time and what is left one
  /// by one: `body` gets where they begin, and how many they are.
  void each_turn_of_sum(
      Value* u, Value* v, const Range& range, std::int64_t turn,
      const std::function<void(Value* u, Value* v, std::int64_t products)>& body) {
    const ContractIndex& k = *r_.k.back();
    loops_of_sum({r_.k.begin(), r_.k.end() - 1}, u, v, [&](Value* pu, Value* pv) {
      for_each_turn(range, turn, divides_sum(turn), k.extent.typical(),
                    {{pu, e_.dim(r_.u_stride(k))}, {pv, e_.dim(r_.v_stride(k))}},
                    [&](Value*, const std::vector<Value*>& at, std::int64_t products) {
                      body(at[0], at[1], products);
                    });
    });
  }

  /// The products of a turn: the first one, and where it is, in U and, unless packed, V from the
  /// block's first; among what is packed, in bytes.
  struct Turn {
    Value *first, *u, *v, *line;
    std::int64_t products;
  };
  /// The turns of a block. Offsets that are in no table grow from turn to turn.
  void for_each_turn(const Panel& p, const Block& block, const Range& range, std::int64_t turn,
                     const std::function<void(const Turn&)>& body) {
    const bool tables = has_product_tables() && !block.copied_from,
               grows_v = !has_product_tables() && !s_.packed;
    std::vector<Growing> offsets;
    if (!tables) offsets.push_back({number(0), e_.dim(u_step(block))});
    if (grows_v) offsets.push_back({number(0), e_.dim(r_.v_stride(last_k()))});
    if (s_.packed) offsets.push_back({packed_line(p, block), number(line_bytes(p))});
    for_each_turn(range, turn, divides_blocks(turn), blocks_.products(), offsets,
                  [&](Value* first, const std::vector<Value*>& at, std::int64_t products) {
                    body({first, tables ? u_of(first) : at[0],
                          grows_v     ? at[1]
                          : s_.packed ? nullptr
                                      : v_of(first),
                          s_.packed ? at.back() : nullptr, products});
                  });
  }

  /// Loads of several products that are near each other in memory would be moved together, and
  /// sixteen registers have no room for that beside the sums. Of a single row, they are part of the
  /// multiply-adds.
  Value* in_place(int rows, Value* loaded) {
    if (auto* load = llvm::dyn_cast<llvm::LoadInst>(loaded); load && short_vectors() && rows > 1)
      load->setVolatile(true);
    return loaded;
  }

  /// A block's products of a turn.
  void products(const Tile& t, const Panel& p, const Block& block, const Turn& at,
                const std::function<RowsOfU(Value*)>& rows_of_u) {
    const std::int64_t turn = at.products;
    const auto columns = [&](std::int64_t j) {
      std::vector<Value*> result;
      for (int s = 0; s < p.vectors; ++s)
        result.push_back(
            s_.packed
                ? in_place(t.rows, b_.CreateAlignedLoad(vector(), in_line(p, at.line, j, s),
                                                        vector_align()))
                : widened(in_place(t.rows, read(p, block, stepped(at.v, j, r_.v_stride(last_k())),
                                                s, nullptr))));
      return result;
    };
    const auto rows_at = [&](std::int64_t j) { return rows_of_u(stepped(at.u, j, u_step(block))); };
    // Row by row where V's vectors of all of them fit beside the sums: each pointer is used up
    // before the next one is fetched.
    const int registers = short_vectors() ? 16 : 32;
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

  /// A panel that does not stay in the first cache comes from the second one: in time, when it is
  /// asked for ahead.
  void prefetch_panel(const Panel& p, const Turn& at) {
    if (scope_.unit.core.wide_fma <= 1 || !s_.packed) return;
    for (std::int64_t j = 0; j < at.products; ++j)
      for (int s = 0; s < p.vectors; ++s) e_.prefetch(in_line(p, at.line, j + kAhead, s));
  }

  /// The elements of a tile's rows lie side by side, in one line or two; the second one is not
  /// worth an instruction in a short step.
  void prefetch_ends(const RowsOfU& elements, int rows) {
    e_.prefetch(elements(0));
    if (rows > 1 && !short_vectors()) e_.prefetch(elements(rows - 1));
  }

  /// Where U has a row of memory for each k, a tile uses a few elements of each, in one line or
  /// two: hardware does not foresee such steps. Nor does it follow many rows of windows at once: a
  /// line of each of those is asked for in the turn that comes to it.
  void prefetch_u(int rows, const Turn& at, const std::function<RowsOfU(Value*)>& rows_of_u) {
    const std::int64_t turn = at.products;
    constexpr int kFollowed = 8;
    const auto ahead = [&](std::int64_t j) {
      return has_product_tables() ? u_of(b_.CreateAdd(at.first, number(j + kAhead)))
                                  : stepped(at.u, j + kAhead, r_.u_stride(last_k()));
    };
    if (is_u_strided(r_)) {
      for (std::int64_t j = 0; j < turn; ++j) prefetch_ends(rows_of_u(ahead(j)), rows);
      if (!is_u_streamed(scope_.program, c_, r_, scope_.unit)) return;
      // The next block's; earlier tiles have asked for all rows but the last.
      Value* step = b_.CreateMul(number(blocks_.chunk), e_.dim(r_.u_stride(*blocks_.split)));
      for (std::int64_t j = 0; j < turn; ++j) {
        Value* next = b_.CreateAdd(step, stepped(at.u, j, r_.u_stride(last_k())));
        e_.prefetch(rows_of_u(next)(rows - 1), ExpressionEmitter::Cache::Second);
      }
    } else if (has_row_table() && has_product_tables() && rows > kFollowed) {
      Value* in_line = b_.CreateAnd(at.first, number(kLine - 1));
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

  /// Rows of V that are not packed, and of U where it has one for each k, are a step apart in
  /// memory that hardware does not foresee in time.
  void prefetch_far(Value* u, Value* v, int rows, int vectors) {
    if (scope_.unit.core.wide_fma <= 1 || r_.k.empty()) return;
    const Dim& products = r_.k.back()->extent;
    if (products.is_constant() && products.value() < 2 * kAhead) return;
    const auto ahead = [&](Value* from, const Dim& stride) {
      return b_.CreateAdd(from, b_.CreateMul(number(kAhead), e_.dim(stride)));
    };
    if (is_u_strided(r_)) {
      prefetch_ends(rows_below(ahead(u, r_.u_stride(*r_.k.back()))), rows);
    }
    Value* next = ahead(v, r_.v_stride(*r_.k.back()));
    for (int s = 0; s < vectors; ++s)
      e_.prefetch(address_of_v(b_.CreateAdd(next, number(s * r_.lanes))));
  }

  Value* copied_ = nullptr;   // of U
  Value* waiting_ = nullptr;  // sums between two blocks
  llvm::AllocaInst* finished_ = nullptr;
  const std::vector<loop::ExprId> far_loads_ = far_epilogue();
  const std::vector<const loop::Store*> far_stores_ = far_stores();
};

}  // namespace dlc
