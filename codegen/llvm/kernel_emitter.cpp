// A kernel without a contraction runs in one of two ways:
//   rows     scalar loops over the outer axes; each stage's innermost axis in vectors, its
//   reductions at last combined across
//            the lanes in a fixed tree
//   columns  the last outer axis in vectors (each lane a point), the stages' axes in scalar loops;
//            sums down long rows of memory go through them row by row
// whichever leaves fewer loads and stores that are not contiguous. The end of a vectorised axis is
// a masked step. A transpose is emitted otherwise (transpose_emitter.h).
#include "codegen/llvm/kernel_emitter.h"

#include <llvm/IR/Intrinsics.h>
#include <llvm/IR/Module.h>

#include <algorithm>

#include "codegen/llvm/contraction_emitter.h"
#include "codegen/llvm/loops.h"
#include "codegen/llvm/transpose_emitter.h"
#include "ir/support/check.h"
#include "ir/support/integers.h"

namespace dlc {

using llvm::Value;
using loop::AxisId;
using loop::ExprId;
using loop::ReduceKind;

namespace {

bool is_arg(ReduceKind k) { return k == ReduceKind::ArgMax || k == ReduceKind::ArgMin; }

int lanes_for(const loop::Kernel& k, const VectorUnit& unit) {
  for (const loop::Expr& e : k.exprs)
    if (e.type == ElementType::F64) return unit.bits / 64;
  return unit.bits / 32;
}

// Columns that are summed side by side, in vectors; of bare sums more, where they are short: a pass
// over the rows should read four lines of each.
constexpr int kColumnVectors = 4;
int bare_column_vectors(const VectorUnit& unit) { return unit.bits < 512 ? 8 : kColumnVectors; }

class KernelEmitter {
 public:
  KernelEmitter(const ProgramScope& scope, const loop::Kernel& k, llvm::Function* f)
      : scope_(scope),
        k_(k),
        b_(llvm::BasicBlock::Create(scope.module.getContext(), "entry", f)),
        e_(scope, k, b_, f->getArg(0), f->getArg(1)),
        begin_(f->getArg(2)),
        end_(f->getArg(3)),
        width_(lanes_for(k, scope.unit)) {}

  void emit() {
    if (!k_.contraction.empty()) {
      emit_contraction(scope_, k_, b_, e_, begin_, end_);
    } else if (k_.scatter != loop::Scatter::None) {
      scatter(k_.stages[0]);
    } else if (TransposeEmitter transpose(k_, b_, e_, begin_, end_, width_); transpose.applies()) {
      transpose.emit();
    } else if (columns_are_better()) {
      if (sums_by_rows()) sums_ = e_.scratch(sums_bytes());
      outer(0, k_.outer.size() - 1, [&] {
        if (sums_) return columns_by_rows();
        each_column(column_vectors(), [&] { stages(); });
      });
    } else {
      outer(0, k_.outer.size(), [&] { stages(); });
    }
    b_.CreateRetVoid();
  }

 private:
  const loop::Axis& axis(AxisId a) const { return k_.axes[static_cast<std::size_t>(a)]; }

  // ---- The choice ----

  /// Loads and stores of the stages that have axes, or of all, that are far apart along
  /// `axis_of(stage)`.
  int scattered(const std::function<AxisId(const loop::Stage&)>& axis_of) const {
    int count = 0;
    for (const loop::Stage& s : k_.stages) {
      const AxisId a = axis_of(s);
      if (a < 0) continue;
      const auto bad = [&](ExprId offset) { return !e_.in_rows(offset, a); };
      std::vector<bool> seen(k_.exprs.size(), false);
      const std::function<void(ExprId)> visit = [&](ExprId id) {
        if (seen[static_cast<std::size_t>(id)]) return;
        seen[static_cast<std::size_t>(id)] = true;
        const loop::Expr& e = k_.exprs[static_cast<std::size_t>(id)];
        if (e.kind == loop::ExprKind::Load) count += bad(e.operands[0]);
        for (const ExprId o : e.operands) visit(o);
      };
      for (const loop::Reduction& r : s.reductions) visit(r.value);
      for (const loop::Store& st : s.stores) {
        visit(st.value);
        count += bad(st.offset);
      }
    }
    return count;
  }

  bool columns_are_better() const {
    if (k_.outer.empty() || e_.has_locals()) return false;  // there is one row of each
    bool has_axes = false;
    for (const loop::Stage& s : k_.stages) {
      has_axes = has_axes || !s.axes.empty();
      // The lanes would end in different places.
      for (const AxisId a : s.axes)
        if (axis(a).piece >= 0) return false;
    }
    if (!has_axes) return true;
    const int rows =
        scattered([](const loop::Stage& s) { return s.axes.empty() ? -1 : s.axes.back(); });
    const int columns = scattered([&](const loop::Stage&) { return k_.outer.back(); });
    if (columns != rows) return columns < rows;
    // Vectors along a short axis (the taps of a window) would be mostly empty.
    const auto is_short = [&](AxisId a) {
      const Dim& extent = axis(a).extent;
      return extent.is_constant() && 2 * extent.value() <= width_;
    };
    return !is_short(k_.outer.back()) &&
           std::any_of(k_.stages.begin(), k_.stages.end(), [&](const loop::Stage& s) {
             return !s.axes.empty() && is_short(s.axes.back());
           });
  }

  /// Sums down many columns: a row of memory gives several vectors of them at a time, so that fewer
  /// passes go over the rows.
  int column_vectors() const {
    constexpr std::ptrdiff_t kFewExpressions = 16;  // more would not fit the registers
    const Dim& columns = axis(k_.outer.back()).extent;
    bool sums = false;
    for (const loop::Stage& s : k_.stages)
      sums = sums || (!s.axes.empty() && !s.reductions.empty());
    const auto values = std::count_if(k_.exprs.begin(), k_.exprs.end(), [](const loop::Expr& e) {
      return is_float(e.type) || e.kind == loop::ExprKind::Load;
    });
    if (!sums || values > kFewExpressions || !columns.is_constant()) return 1;
    // Single vectors do the rest, which is not worth code of its own where it is much of it.
    constexpr std::ptrdiff_t kBare = 2;  // what is loaded, and its sum
    int vectors = values <= kBare ? bare_column_vectors(scope_.unit) : kColumnVectors;
    const auto suits = [&](int wide) {
      return columns.value() % wide == 0 || columns.value() >= 8 * wide;
    };
    while (vectors > 1 && !suits(vectors * width_)) vectors /= 2;
    return vectors;
  }

  // ---- Loops ----

  /// Where an inner axis begins, and where it ends.
  Value* first_of(AxisId a) { return cut(a, 0); }
  Value* last_of(AxisId a) { return axis(a).piece < 0 ? e_.dim(axis(a).extent) : cut(a, 1); }
  Value* cut(AxisId a, std::uint64_t next) {
    const AxisId piece = axis(a).piece;
    if (piece < 0) return b_.getInt64(0);
    Value* index = b_.CreateAdd(e_.axis_index(piece), b_.getInt64(next));
    return b_.CreateUDiv(b_.CreateMul(e_.dim(axis(a).extent), index), e_.dim(axis(piece).extent));
  }

  /// A short loop down columns, as over the places of a pooling window: without it, each step's
  /// offsets are known.
  bool is_window(AxisId a) const {
    constexpr std::int64_t kMostSteps = 9;
    constexpr std::size_t kMostExpressions = 48;
    const Dim& extent = axis(a).extent;
    return e_.lanes() > 1 && axis(a).piece < 0 && extent.is_constant() &&
           extent.value() <= kMostSteps && k_.exprs.size() <= kMostExpressions;
  }

  void nest(const std::vector<AxisId>& axes, std::size_t from, std::size_t to,
            const std::function<void()>& body) {
    if (from == to) return body();
    if (from + 1 == to && is_window(axes[from])) {
      for (std::int64_t i = 0; i < axis(axes[from]).extent.value(); ++i) {
        e_.set_axis(axes[from], b_.getInt64(static_cast<std::uint64_t>(i)));
        body();
      }
      return e_.forget();
    }
    emit_loop(b_, first_of(axes[from]), last_of(axes[from]), 1, axis(axes[from]).name.c_str(),
              [&](Value* i) {
                e_.set_axis(axes[from], i);
                nest(axes, from + 1, to, body);
              });
    e_.forget();
  }

  /// Outer axes [from, to); the first one runs over the function's range.
  void outer(std::size_t from, std::size_t to, const std::function<void()>& body) {
    if (from == to) return body();
    if (from > 0) return nest(k_.outer, from, to, body);
    find_scattered_rows();
    emit_loop(b_, begin_, end_, 1, axis(k_.outer[0]).name.c_str(), [&](Value* i) {
      for (const ScatteredRow& row : scattered_rows_) prefetch(row, i);
      e_.set_axis(k_.outer[0], i);
      nest(k_.outer, 1, to, body);
    });
    e_.forget();
  }

  /// A load of rows whose places are data themselves (the rows of a shuffled batch): no hardware
  /// foresees the next one.
  struct ScatteredRow {
    ExprId load;
    std::int64_t bytes;
  };

  void find_scattered_rows() {
    const AxisId rows = k_.outer[0];
    std::vector<bool> reads_row_number(k_.exprs.size(), false);
    for (ExprId id = 0; id < static_cast<ExprId>(k_.exprs.size()); ++id) {
      const loop::Expr& e = k_.exprs[static_cast<std::size_t>(id)];
      bool through_load = false;
      for (const ExprId o : e.operands)
        through_load = through_load || reads_row_number[static_cast<std::size_t>(o)];
      if (e.kind == loop::ExprKind::Load && through_load)
        scattered_rows_.push_back({id, row_bytes(e)});
      reads_row_number[static_cast<std::size_t>(id)] =
          through_load || (e.kind == loop::ExprKind::Load && e_.depends(id, rows));
    }
  }

  /// How much of memory a load touches while the outermost axis stands still; what is not known, or
  /// so long that hardware has seen the pattern by then, is cut off.
  std::int64_t row_bytes(const loop::Expr& load) const {
    constexpr std::int64_t kMost = 2048;
    std::int64_t elements = 1;
    for (AxisId a = 0; a < static_cast<AxisId>(k_.axes.size()); ++a)
      if (a != k_.outer[0] && e_.depends(load.operands[0], a))
        elements *= axis(a).extent.is_constant() ? std::min(axis(a).extent.value(), kMost) : 1;
    return std::min(elements * size_in_bytes(load.type), kMost);
  }

  /// The row that comes some steps after row i of the outermost axis.
  void prefetch(const ScatteredRow& row, Value* i) {
    const std::int64_t ahead = std::clamp<std::int64_t>(4096 / row.bytes, 4, 16);
    Value* last = b_.CreateSub(end_, b_.getInt64(1));
    Value* next = b_.CreateAdd(i, b_.getInt64(static_cast<std::uint64_t>(ahead)));
    for (AxisId a = 0; a < static_cast<AxisId>(k_.axes.size()); ++a) e_.set_axis(a, b_.getInt64(0));
    e_.set_axis(k_.outer[0], b_.CreateBinaryIntrinsic(llvm::Intrinsic::smin, next, last));
    e_.forget();
    e_.prefetch(row.load, row.bytes);
    e_.forget();
  }

  Value* lanes_below(Value* count) { return e_.lanes_below(count, width_); }

  /// Steps of some vectors along an axis, of single ones, and a masked one for the rest.
  void vectorised(AxisId a, bool is_range, const std::function<void()>& body, int vectors = 1) {
    Value *begin = is_range ? begin_ : first_of(a), *end = is_range ? end_ : last_of(a);
    const int width = width_;
    const auto steps = [&](Value* from, int by) {
      Value* whole =
          b_.CreateAnd(b_.CreateSub(end, from), b_.getInt64(~static_cast<std::uint64_t>(by - 1)));
      Value* to = b_.CreateAdd(from, whole);
      width_ = by;
      emit_loop(b_, from, to, by, axis(a).name.c_str(), [&](Value* i) {
        e_.set_axis(a, i);
        e_.set_vector(a, by, nullptr);
        body();
      });
      width_ = width;
      return to;
    };
    Value* middle = begin;
    if (vectors > 1) middle = steps(middle, vectors * width);
    // Threads share out multiples of what divides the whole.
    const Dim& extent = axis(a).extent;
    const bool divides = extent.is_constant() && extent.value() % (vectors * width) == 0;
    if (vectors == 1 || !divides) middle = steps(middle, width);
    const auto rest = [&] {
      e_.set_axis(a, middle);
      e_.set_vector(a, width, lanes_below(b_.CreateSub(end, middle)));
      body();
    };
    if (const auto* none = llvm::dyn_cast<llvm::ConstantInt>(b_.CreateICmpSLT(middle, end))) {
      if (!none->isZero()) rest();
    } else {
      emit_if(b_, b_.CreateICmpSLT(middle, end), rest);
    }
    e_.set_vector(-1, 1, nullptr);
  }

  void each_column(int vectors, const std::function<void()>& body) {
    vectorised(k_.outer.back(), k_.outer.size() == 1, body, vectors);
  }

  // ---- Sums down long rows ----

  static constexpr std::int64_t kMostRows = 4;
  /// Whether the rows of memory that are summed are so long that a pass down a few vectors of each
  /// would leave most of them for later, which no hardware expects. All columns' sums wait in the
  /// first cache instead, and the rows are read to the end, some at a time.
  bool sums_by_rows() const {
    constexpr std::int64_t kLeastColumns = 128, kMostBytes = std::int64_t{16} << 10;
    const loop::Stage& s = k_.stages[0];
    const Dim& columns = axis(k_.outer.back()).extent;
    if (s.axes.empty() || s.reductions.empty() || !s.stores.empty() || !columns.is_constant())
      return false;
    const bool has_other_axes = std::any_of(k_.stages.begin() + 1, k_.stages.end(),
                                            [](const loop::Stage& t) { return !t.axes.empty(); });
    const bool sums =
        std::all_of(s.reductions.begin(), s.reductions.end(), [&](const loop::Reduction& r) {
          return !is_arg(r.kind) && type_of(r) != ElementType::Bool;
        });
    const Dim& rows = axis(s.axes.back()).extent;
    return sums && !has_other_axes && !(rows.is_constant() && rows.value() < kMostRows) &&
           columns.value() >= kLeastColumns && sums_bytes() <= kMostBytes;
  }
  /// Rows that are read side by side, each from a page of its own; those of one page one after the
  /// other, as hardware expects.
  int rows_at_once() const {
    constexpr std::int64_t kColumns = 256;
    const std::int64_t columns = axis(k_.outer.back()).extent.value();
    return static_cast<int>(std::clamp<std::int64_t>(columns / kColumns, 1, kMostRows));
  }
  /// Bytes of one reduction, with the end of the last vectors.
  std::int64_t sums_stride() const {
    constexpr std::int64_t kLanes = 32;
    std::int64_t bytes = size_in_bytes(ElementType::F32);  // as 16-bit floats are summed
    for (const loop::Reduction& r : k_.stages[0].reductions)
      bytes = std::max<std::int64_t>(bytes, size_in_bytes(type_of(r)));
    return (axis(k_.outer.back()).extent.value() + kLanes) * bytes;
  }
  std::int64_t sums_bytes() const {
    return static_cast<std::int64_t>(k_.stages[0].reductions.size()) * sums_stride();
  }
  /// A reduction's sums at the present columns.
  Value* sums_at(std::size_t r) {
    const AxisId columns = k_.outer.back();
    Value* from = k_.outer.size() == 1 ? begin_ : b_.getInt64(0);
    Value* first = b_.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), sums_,
                                                 r * static_cast<std::uint64_t>(sums_stride()));
    return b_.CreateInBoundsGEP(e_.value_type(type_of(k_.stages[0].reductions[r])), first,
                                b_.CreateSub(e_.axis_index(columns), from));
  }
  Value* load_sum(std::size_t r) {
    const ElementType t = type_of(k_.stages[0].reductions[r]);
    auto* type = llvm::FixedVectorType::get(e_.value_type(t), static_cast<unsigned>(width_));
    return b_.CreateAlignedLoad(type, sums_at(r), e_.align(t));
  }
  void store_sum(std::size_t r, Value* v) {
    b_.CreateAlignedStore(v, sums_at(r), e_.align(type_of(k_.stages[0].reductions[r])));
  }

  void columns_by_rows() {
    const loop::Stage& s = k_.stages[0];
    const int at_once = rows_at_once();
    const std::vector<loop::Reduction>& sums = s.reductions;
    each_column(1, [&] {
      for (std::size_t r = 0; r < sums.size(); ++r) {
        const ElementType t = type_of(sums[r]);
        store_sum(r, e_.splat(e_.identity(sums[r].kind, t), width_));
      }
    });
    const auto rows = [&](Value* first, int count) {
      each_column(2, [&] {
        std::vector<Value*> now;
        for (std::size_t r = 0; r < sums.size(); ++r) now.push_back(load_sum(r));
        for (int k = 0; k < count; ++k) {
          e_.set_axis(s.axes.back(),
                      b_.CreateAdd(first, b_.getInt64(static_cast<std::uint64_t>(k))));
          e_.forget();
          for (std::size_t r = 0; r < sums.size(); ++r)
            now[r] = e_.combine(sums[r].kind, type_of(sums[r]), now[r],
                                e_.evaluate_vector(sums[r].value));
        }
        for (std::size_t r = 0; r < sums.size(); ++r) store_sum(r, now[r]);
      });
    };
    nest(s.axes, 0, s.axes.size() - 1, [&] {
      const AxisId a = s.axes.back();
      Value *from = first_of(a), *to = last_of(a);
      Value* count = b_.CreateSub(to, from);
      Value* middle =
          b_.CreateSub(to, b_.CreateURem(count, b_.getInt64(static_cast<std::uint64_t>(at_once))));
      emit_loop(b_, from, middle, at_once, "rows", [&](Value* i) { rows(i, at_once); });
      if (at_once > 1) emit_loop(b_, middle, to, 1, "row", [&](Value* i) { rows(i, 1); });
    });
    each_column(1, [&] {
      for (std::size_t r = 0; r < sums.size(); ++r)
        e_.set_row_value(0, static_cast<int>(r), e_.rounded(type_of(sums[r]), load_sum(r)));
      for (std::size_t at = 1; at < k_.stages.size(); ++at) stage(static_cast<int>(at));
    });
  }

  // ---- Scatters ----

  /// In order at each column, so that threads may share the columns; those of a row, which lie
  /// together in memory, in vectors.
  void scatter(const loop::Stage& s) {
    const auto body = [&] { e_.store_all(s.stores, k_.scatter == loop::Scatter::Add); };
    const bool rows =
        !k_.outer.empty() && std::all_of(s.stores.begin(), s.stores.end(), [&](const auto& st) {
          const auto step = e_.coefficient(st.offset, k_.outer.back());
          return step && *step == Dim(1);
        });
    if (rows)
      nest(s.axes, 0, s.axes.size(), [&] { vectorised(k_.outer.back(), true, body); });
    else
      outer(0, k_.outer.size(), [&] { nest(s.axes, 0, s.axes.size(), body); });
  }

  // ---- Stages ----

  void stages() {
    for (std::size_t s = 0; s < k_.stages.size(); ++s)
      if (!k_.stages[s].reductions.empty() || !k_.stages[s].stores.empty())
        stage(static_cast<int>(s));
  }

  struct Variables {
    llvm::AllocaInst *value, *place;  // place: of argmax and argmin
  };

  void stage(int number) {
    const loop::Stage& s = k_.stages[static_cast<std::size_t>(number)];
    e_.forget();
    const bool columns = e_.lanes() > 1;
    const bool rows = !columns && !s.axes.empty();
    const int lanes = columns || rows ? width_ : 1;
    std::vector<Variables> variables;
    for (const loop::Reduction& r : s.reductions) variables.push_back(start(r, lanes));
    const auto body = [&] {
      for (std::size_t k = 0; k < s.reductions.size(); ++k) step(s, s.reductions[k], variables[k]);
      e_.store_all(s.stores);
    };
    if (rows)
      nest(s.axes, 0, s.axes.size() - 1, [&] {
        for (const ExprId load : loads_that_stay(s)) e_.keep(load);
        vectorised(s.axes.back(), false, body);
        e_.release();
      });
    else
      nest(s.axes, 0, s.axes.size(), body);
    e_.forget();
    for (std::size_t k = 0; k < s.reductions.size(); ++k)
      e_.set_row_value(number, static_cast<int>(k), finish(s.reductions[k], variables[k], rows));
    e_.forget();
  }

  /// What a stage loads that is the same all along its last axis. It is not stored there: stores
  /// are at different places along the axis, and what is loaded from where a stage stores is at
  /// theirs.
  std::vector<ExprId> loads_that_stay(const loop::Stage& s) const {
    std::vector<ExprId> result;
    std::vector<bool> seen(k_.exprs.size(), false);
    const std::function<void(ExprId)> visit = [&](ExprId id) {
      if (seen[static_cast<std::size_t>(id)]) return;
      seen[static_cast<std::size_t>(id)] = true;
      const loop::Expr& e = k_.exprs[static_cast<std::size_t>(id)];
      for (const ExprId o : e.operands) visit(o);
      if (e.kind == loop::ExprKind::Load && !e_.depends(id, s.axes.back())) result.push_back(id);
    };
    for (const loop::Reduction& r : s.reductions) visit(r.value);
    for (const loop::Store& st : s.stores) visit(st.value), visit(st.offset);
    return result;
  }

  ElementType type_of(const loop::Reduction& r) const {
    return k_.exprs[static_cast<std::size_t>(r.value)].type;
  }

  Variables start(const loop::Reduction& r, int lanes) {
    llvm::Type* type = e_.value_type(type_of(r));
    llvm::Type* place = b_.getInt64Ty();
    if (lanes > 1) {
      type = llvm::FixedVectorType::get(type, static_cast<unsigned>(lanes));
      place = llvm::FixedVectorType::get(place, static_cast<unsigned>(lanes));
    }
    Variables v{emit_variable(b_, type, "acc"), nullptr};
    b_.CreateStore(e_.splat(e_.identity(r.kind, type_of(r)), lanes), v.value);
    if (is_arg(r.kind)) {
      v.place = emit_variable(b_, place, "place");
      b_.CreateStore(llvm::Constant::getNullValue(place), v.place);
    }
    return v;
  }

  void step(const loop::Stage& s, const loop::Reduction& r, const Variables& v) {
    const ElementType t = type_of(r);
    llvm::Type* type = v.value->getAllocatedType();
    Value* old = b_.CreateLoad(type, v.value);
    Value* element = type->isVectorTy() ? e_.evaluate_vector(r.value) : e_.evaluate(r.value);
    if (!is_arg(r.kind)) {
      Value* now = e_.combine(r.kind, t, old, element);
      if (e_.mask() && type->isVectorTy()) now = b_.CreateSelect(e_.mask(), now, old);
      b_.CreateStore(now, v.value);
      return;
    }
    Value* better = e_.is_better(r.kind, t, element, old);
    if (e_.mask() && type->isVectorTy()) better = b_.CreateAnd(better, e_.mask());
    Value* place = linear_place(s);
    b_.CreateStore(b_.CreateSelect(better, element, old), v.value);
    llvm::Type* place_type = v.place->getAllocatedType();
    b_.CreateStore(b_.CreateSelect(better, place, b_.CreateLoad(place_type, v.place)), v.place);
  }

  /// The index over all axes of a stage in row-major order, in vectors where there are lanes.
  Value* linear_place(const loop::Stage& s) {
    Value* place = b_.getInt64(0);
    for (const AxisId a : s.axes)
      place = b_.CreateAdd(b_.CreateMul(place, e_.dim(axis(a).extent)), e_.axis_index(a));
    place = e_.splat(place, e_.lanes());
    if (e_.lanes() == 1 || s.axes.empty() || s.axes.back() != e_.vector_axis()) return place;
    return b_.CreateAdd(place, b_.CreateStepVector(place->getType()));
  }

  Value* finish(const loop::Reduction& r, const Variables& v, bool across_lanes) {
    const ElementType t = type_of(r);
    Value* value = b_.CreateLoad(v.value->getAllocatedType(), v.value);
    if (is_arg(r.kind)) {
      Value* place = b_.CreateLoad(v.place->getAllocatedType(), v.place);
      return across_lanes ? e_.best_of_lanes(r.kind, t, value, place) : place;
    }
    if (across_lanes) value = e_.combine_lanes(r.kind, t, value);
    return e_.rounded(t, value);  // sums of 16-bit floats are kept in f32
  }

  const ProgramScope& scope_;
  const loop::Kernel& k_;
  llvm::IRBuilder<> b_;
  ExpressionEmitter e_;
  Value *begin_, *end_;
  int width_;
  std::vector<ScatteredRow> scattered_rows_;
  Value* sums_ = nullptr;  // of all columns; null: a few at a time stay in registers
};

}  // namespace

void emit_kernel(const ProgramScope& scope, const loop::Kernel& kernel, llvm::Function* f) {
  KernelEmitter(scope, kernel, f).emit();
}

Dim work_per_index(const loop::Kernel& k, const VectorUnit& unit) {
  const int lanes = lanes_for(k, unit);
  Dim points = 1;
  for (std::size_t a = 1; a < k.outer.size(); ++a)
    points = points * k.axes[static_cast<std::size_t>(k.outer[a])].extent;
  Dim per_point = 0;
  for (const loop::Stage& s : k.stages) {
    Dim inner = 1;
    for (const AxisId a : s.axes) inner = inner * k.axes[static_cast<std::size_t>(a)].extent;
    per_point =
        per_point + inner * Dim(static_cast<std::int64_t>(k.exprs.size() / k.stages.size() + 1));
  }
  for (const loop::Contraction& c : k.contraction) {
    Dim products = 1;
    for (const loop::ContractIndex& i : c.indices)
      if (i.axis < 0) products = products * i.extent;
    per_point = per_point + products;
  }
  // In units of one vector operation, rounded up term by term. Of an axis in parts a point has one.
  std::int64_t by = lanes;
  for (const loop::Axis& a : k.axes)
    if (a.piece >= 0) by = lanes * k.axes[static_cast<std::size_t>(a.piece)].extent.value();
  const Dim total = points * per_point;
  Dim result = ceil_div(total.constant(), by);
  for (const auto& [monomial, coefficient] : total.terms()) {
    Dim term = ceil_div(coefficient, by);
    for (const std::string& s : monomial) term = term * Dim::symbol(s);
    result = result + term;
  }
  return result;
}

int chunk_multiple(const loop::Program& p, const loop::Kernel& k, const VectorUnit& unit) {
  if (!k.contraction.empty()) return contraction_rows(p, k, unit);
  if (k.outer.size() != 1) return 1;
  const Dim& points = k.axes[static_cast<std::size_t>(k.outer[0])].extent;
  const int lanes = lanes_for(k, unit), wide = bare_column_vectors(unit) * lanes;
  return points.is_constant() && points.value() % wide == 0 ? wide : lanes;
}

}  // namespace dlc
