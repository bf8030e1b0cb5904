// A contraction of which no axis of C runs in vectors: each element of C is a sum of its own.
//
//   dot         k runs in vectors where both operands step by 1 along it
//   grid        the same for several elements of C along a short axis of each operand, so that what
//               is loaded serves more than one product
//   short rows  one operand has rows of a few elements side by side (two features a row): as many
//               rows as a vector has lanes are read whole and dealt out, so that the lanes are rows
//   plain       anything else, element by element
#include "codegen/llvm/dot_emitter.h"

#include <algorithm>

#include "codegen/llvm/contraction_base.h"

namespace dlc {

namespace {

class DotEmitter : ContractionBase {
 public:
  using ContractionBase::ContractionBase;

  void emit() {
    if (r_.grid_a)
      grid();
    else if (r_.short_rows)
      outer_loops(0, {r_.short_rows->axis}, [&] { rows_in_lanes(); });
    else
      outer_loops(0, {}, [&] { one_sum(); });
  }

 private:
  /// Where the current point of C has its operand, from that of the first one on.
  Value* offset_here(Value* offset, Dim ContractIndex::*stride) {
    for (const ContractIndex& i : c_.indices)
      if (i.axis >= 0)
        offset = b_.CreateAdd(offset, b_.CreateMul(e_.axis_index(i.axis), e_.dim(i.*stride)));
    return offset;
  }

  void one_sum() {
    Value *a = offset_here(e_.dim(c_.a_base), &ContractIndex::a_stride),
          *b = offset_here(e_.dim(c_.b_base), &ContractIndex::b_stride);
    e_.set_accumulator(r_.dot ? dot_product(a, b) : scalar_sum(a, b));
    epilogue();
  }

  Value* scalar_sum(Value* a, Value* b) {
    llvm::AllocaInst* sum = emit_variable(b_, type(), "sum");
    b_.CreateStore(llvm::Constant::getNullValue(type()), sum);
    sum_loops(r_.k, 0, a, b, [&](Value* pa, Value* pb) {
      Value *x = load(c_.a, pa, 0), *y = load(c_.b, pb, 0);
      b_.CreateStore(fma(x, y, b_.CreateLoad(type(), sum)), sum);
    });
    return b_.CreateLoad(type(), sum);
  }

  /// Four vectors of sums (so that one need not wait for the last), added up in a fixed tree.
  Value* dot_product(Value* a, Value* b) {
    constexpr int kSums = 4;
    std::vector<llvm::AllocaInst*> sums;
    for (int s = 0; s < kSums; ++s) {
      sums.push_back(emit_variable(b_, vector(), "sum"));
      b_.CreateStore(zeros(), sums.back());
    }
    const auto step = [&](int s, Value* pa, Value* pb, Value* mask) {
      Value *x = load(c_.a, pa, r_.lanes, mask), *y = load(c_.b, pb, r_.lanes, mask);
      b_.CreateStore(fma(x, y, b_.CreateLoad(vector(), sums[static_cast<std::size_t>(s)])),
                     sums[static_cast<std::size_t>(s)]);
    };
    std::vector<const ContractIndex*> rest = r_.k;
    std::erase(rest, r_.dot);
    sum_loops(rest, 0, a, b, [&](Value* pa, Value* pb) {
      Value* extent = e_.dim(r_.dot->extent);
      const std::int64_t whole = static_cast<std::int64_t>(kSums) * r_.lanes;
      Value* middle = b_.CreateAnd(extent, number(-whole));
      emit_loop(b_, number(0), middle, whole, "dot", [&](Value* i) {
        for (int s = 0; s < kSums; ++s) {
          Value* at = b_.CreateAdd(i, number(s * r_.lanes));
          step(s, b_.CreateAdd(pa, at), b_.CreateAdd(pb, at), nullptr);
        }
      });
      emit_loop(b_, middle, extent, r_.lanes, "rest", [&](Value* i) {
        step(0, b_.CreateAdd(pa, i), b_.CreateAdd(pb, i), lanes_below(b_.CreateSub(extent, i)));
      });
    });
    const auto sum = [&](int s) {
      return b_.CreateLoad(vector(), sums[static_cast<std::size_t>(s)]);
    };
    Value* total = b_.CreateFAdd(b_.CreateFAdd(sum(0), sum(1)), b_.CreateFAdd(sum(2), sum(3)));
    return e_.combine_lanes(loop::ReduceKind::Sum, c_.type, total);
  }

  // ---- A grid of dot products ----

  /// All of C's sums wait in memory while the outermost k runs: what is summed may be large, and is
  /// read once.
  void grid() {
    std::vector<const ContractIndex*> inner = r_.k;
    std::erase(inner, r_.dot);
    waiting_ = array(vector(), r_.grid_sums, "waiting");
    each_tile([&](Value* row, Value* column) {
      each_sum(row, column, [&](Value* place, int, int) { b_.CreateStore(zeros(), place); });
    });
    const auto sums = [&](Value* a, Value* b) {
      each_tile([&](Value* row, Value* column) { add_products(row, column, inner, a, b); });
    };
    Value *a = e_.dim(c_.a_base), *b = e_.dim(c_.b_base);
    if (inner.empty()) {
      sums(a, b);
    } else {
      const ContractIndex& first = *inner.front();
      inner.erase(inner.begin());
      emit_loop(b_, number(0), e_.dim(first.extent), 1, "k", [&](Value* i) {
        sums(b_.CreateAdd(a, b_.CreateMul(i, e_.dim(first.a_stride))),
             b_.CreateAdd(b, b_.CreateMul(i, e_.dim(first.b_stride))));
      });
    }
    each_tile([&](Value* row, Value* column) {
      each_sum(row, column, [&](Value* place, int r, int c) {
        point_at(b_.CreateAdd(row, number(r)), b_.CreateAdd(column, number(c)));
        e_.set_accumulator(
            e_.combine_lanes(loop::ReduceKind::Sum, c_.type, b_.CreateLoad(vector(), place)));
        epilogue();
      });
    });
  }

  void point_at(Value* row, Value* column) {
    e_.set_axis(r_.grid_a->axis, row);
    e_.set_axis(r_.grid_b->axis, column);
  }

  /// Loops over C; the body gets the first row and column of a tile.
  void each_tile(const std::function<void(Value*, Value*)>& body) {
    const auto [rows, columns] = grid_tile();
    outer_loops(0, {r_.grid_a->axis, r_.grid_b->axis}, [&, rows = rows, columns = columns] {
      emit_loop(b_, number(0), e_.dim(r_.grid_a->extent), rows, "rows", [&](Value* row) {
        emit_loop(b_, number(0), e_.dim(r_.grid_b->extent), columns, "columns",
                  [&](Value* column) { body(row, column); });
      });
    });
  }
  /// The places of a tile's sums.
  void each_sum(Value* row, Value* column, const std::function<void(Value*, int, int)>& body) {
    const auto [rows, columns] = grid_tile();
    for (int r = 0; r < rows; ++r)
      for (int c = 0; c < columns; ++c) {
        point_at(b_.CreateAdd(row, number(r)), b_.CreateAdd(column, number(c)));
        Value* place = number(0);
        for (const AxisId a : k_.outer)
          place = b_.CreateAdd(b_.CreateMul(place, e_.dim(axis(a).extent)), e_.axis_index(a));
        body(b_.CreateInBoundsGEP(vector(), waiting_, place), r, c);
      }
  }

  /// Divisors of the two extents, so that the sums and what is loaded fit the registers: all of the
  /// shorter side, and one of the other.
  std::pair<int, int> grid_tile() const {
    const int registers = scope_.unit.bits >= 512 ? 32 : 16;
    std::pair<int, int> best{1, 1};
    const auto a = static_cast<int>(r_.grid_a->extent.value()),
               b = static_cast<int>(r_.grid_b->extent.value());
    for (int rows = 1; rows <= a; ++rows)
      for (int columns = 1; columns <= b; ++columns)
        if (a % rows == 0 && b % columns == 0 &&
            rows * columns + std::min(rows, columns) + 1 <= registers &&
            rows * columns > best.first * best.second)
          best = {rows, columns};
    return best;
  }

  /// The products over `inner` and the dot's index, from offsets a and b of C's first element on.
  void add_products(Value* row, Value* column, const std::vector<const ContractIndex*>& inner,
                    Value* a, Value* b) {
    const auto [rows, columns] = grid_tile();
    std::vector<llvm::AllocaInst*> sums;
    std::vector<Value*> places;
    each_sum(row, column, [&](Value* place, int, int) {
      sums.push_back(emit_variable(b_, vector(), "sum"));
      b_.CreateStore(b_.CreateLoad(vector(), place), sums.back());
      places.push_back(place);
    });
    point_at(row, column);
    a = offset_here(a, &ContractIndex::a_stride);
    b = offset_here(b, &ContractIndex::b_stride);
    const auto step = [&, rows = rows, columns = columns](Value* pa, Value* pb, Value* mask) {
      const auto of_a = [&](int r) {
        return load(c_.a, stepped(pa, r, r_.grid_a->a_stride), r_.lanes, mask);
      };
      const auto of_b = [&](int c) {
        return load(c_.b, stepped(pb, c, r_.grid_b->b_stride), r_.lanes, mask);
      };
      const bool keeps_a = rows < columns;
      std::vector<Value*> kept;
      for (int k = 0; k < std::min(rows, columns); ++k) kept.push_back(keeps_a ? of_a(k) : of_b(k));
      for (int n = 0; n < std::max(rows, columns); ++n) {
        Value* x = keeps_a ? of_b(n) : of_a(n);
        for (int k = 0; k < std::min(rows, columns); ++k) {
          const int r = keeps_a ? k : n, c = keeps_a ? n : k;
          llvm::AllocaInst* sum = sums[static_cast<std::size_t>(r * columns + c)];
          b_.CreateStore(fma(x, kept[static_cast<std::size_t>(k)], b_.CreateLoad(vector(), sum)),
                         sum);
        }
      }
    };
    sum_loops(inner, 0, a, b, [&](Value* pa, Value* pb) {
      Value* extent = e_.dim(r_.dot->extent);
      Value* middle = b_.CreateAnd(extent, number(-r_.lanes));
      emit_loop(b_, number(0), middle, r_.lanes, "dot",
                [&](Value* i) { step(b_.CreateAdd(pa, i), b_.CreateAdd(pb, i), nullptr); });
      emit_loop(b_, middle, extent, r_.lanes, "rest", [&](Value* i) {
        step(b_.CreateAdd(pa, i), b_.CreateAdd(pb, i), lanes_below(b_.CreateSub(extent, i)));
      });
    });
    for (std::size_t k = 0; k < sums.size(); ++k)
      b_.CreateStore(b_.CreateLoad(vector(), sums[k]), places[k]);
  }
  // ---- Short rows ----

  void rows_in_lanes() {
    const ContractIndex& m = *r_.short_rows;
    Value *from = low(m), *to = high(m);
    Value* whole = b_.CreateAnd(b_.CreateSub(to, from), number(-r_.lanes));
    Value* middle = b_.CreateAdd(from, whole);
    emit_loop(b_, from, middle, r_.lanes, "rows", [&](Value* i) { some_rows(i, nullptr); });
    emit_loop(b_, middle, to, r_.lanes, "rest",
              [&](Value* i) { some_rows(i, b_.CreateSub(to, i)); });
  }

  /// Rows from `i` on: a vector of them, or the first `count`.
  void some_rows(Value* i, Value* count) {
    const ContractIndex &m = *r_.short_rows, &k = *r_.k[0];
    const bool in_a = m.in_a;
    const auto size = static_cast<int>(k.extent.value());
    e_.set_axis(m.axis, i);
    Value *a = offset_here(e_.dim(c_.a_base), &ContractIndex::a_stride),
          *b = offset_here(e_.dim(c_.b_base), &ContractIndex::b_stride);
    Value *rows = in_a ? a : b, *other = in_a ? b : a;
    std::vector<Value*> vectors;
    for (int v = 0; v < size; ++v) {
      Value* skipped = number(v * r_.lanes);
      Value* mask =
          count ? lanes_below(b_.CreateSub(b_.CreateMul(count, number(size)), skipped)) : nullptr;
      vectors.push_back(load(in_a ? c_.a : c_.b, b_.CreateAdd(rows, skipped), r_.lanes, mask));
    }
    Value* sum = zeros();
    for (int p = 0; p < size; ++p) {
      Value* at =
          b_.CreateAdd(other, b_.CreateMul(number(p), e_.dim(in_a ? k.b_stride : k.a_stride)));
      sum = fma(dealt(vectors, p), e_.splat(load(in_a ? c_.b : c_.a, at, 0), r_.lanes), sum);
    }
    e_.set_vector(m.axis, r_.lanes, count ? lanes_below(count) : nullptr);
    e_.set_accumulator(sum);
    epilogue();
    e_.set_vector(-1, 1, nullptr);
  }

  /// Element `p` of each row, where the rows lie behind one another in the vectors.
  Value* dealt(const std::vector<Value*>& vectors, int p) {
    const auto size = static_cast<int>(vectors.size());
    Value* result = llvm::PoisonValue::get(vector());
    for (int v = 0; v < size; ++v) {
      std::vector<int> lanes;
      for (int lane = 0; lane < r_.lanes; ++lane) {
        const int place = lane * size + p;
        lanes.push_back(place / r_.lanes == v ? r_.lanes + place % r_.lanes : lane);
      }
      result = b_.CreateShuffleVector(result, vectors[static_cast<std::size_t>(v)], lanes);
    }
    return result;
  }

  llvm::AllocaInst* waiting_ = nullptr;  // of a grid
};

}  // namespace

void emit_dot(const ProgramScope& scope, const loop::Kernel& k, llvm::IRBuilder<>& b,
              ExpressionEmitter& e, llvm::Value* begin, llvm::Value* end) {
  DotEmitter(scope, k, b, e, begin, end).emit();
}

}  // namespace dlc
