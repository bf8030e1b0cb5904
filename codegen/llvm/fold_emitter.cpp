// A contraction that reads its operand a inside of frames of zeros: the input gradient of a
// convolution of few channels.
//
//   C[.., c, w] = sum over i, j, o of a[.., w + j + begin, o] * b[i, j, c, o]
//
// Along the last frame every place x = w + j + begin of a is multiplied by all taps j and all
// columns c side by side, P[x, (j, c)] = sum over i, o of a[x, o] * b[i, j, c, o]: a tile of x by
// vectors of (j, c), in which no lane meets the frame. Then the products are folded (col2im):
// element (w, c) is the sum of P[w + j + begin, (j, c)] over the taps. With the taps backwards the
// lanes of place x are what lies from x * columns on in a row of (w, c), so that places that are a
// number of taps apart fill a row without meeting each other, and C is the sum of as many rows.
//
// Along the other frames a tap that meets the frame is left out of the sum.
#include "codegen/llvm/fold_emitter.h"

#include <algorithm>

#include "codegen/llvm/contraction_base.h"
#include "ir/support/check.h"
#include "ir/support/integers.h"

namespace dlc {

using llvm::Value;

namespace {

class FoldEmitter : ContractionBase {
 public:
  FoldEmitter(const ProgramScope& scope, const loop::Kernel& k, llvm::IRBuilder<>& b,
              ExpressionEmitter& e, Value* begin, Value* end)
      : ContractionBase(scope, k, b, e, begin, end),
        fold_(c_.frames.back()),
        w_(index(fold_.at)),
        j_(index(fold_.tap)) {
    for (const ContractIndex& i : c_.indices) {
      if (i.axis >= 0 && !i.in_a) column_ = &i;
      if (i.axis < 0 && &i != &j_) sums_.push_back(&i);
    }
    DLC_CHECK(column_, "{}: a fold has no columns", k_.name);
    columns_ = column_->extent.value();
    taps_ = j_.extent.value();
    width_ = w_.extent.value();
    vectors_ = ceil_div(columns_ * taps_, lanes_);
    // Place x begins x * columns behind the beginning of a row; the first of C is there or later.
    const std::int64_t first = fold_.begin + taps_ - 1;
    zeros_before_ = std::max<std::int64_t>(0, -first) * columns_;
    out_begin_ = zeros_before_ + first * columns_;
    const std::int64_t written = zeros_before_ + (fold_.extent - 1) * columns_ + vectors_ * lanes_;
    row_length_ = round_up(std::max(written, out_begin_ + width_ * columns_), lanes_) + lanes_;
  }

  void emit() {
    std::int64_t products = 1;
    for (const ContractIndex* s : sums_) products *= s->extent.value();
    packed_ = e_.scratch(products * line_bytes());
    pack(0, packed_row(number(0)), e_.dim(c_.b_base));
    rows_ = array(type(), taps_ * row_length_, "rows");
    emit_loop(b_, number(0), number(taps_ * row_length_), lanes_, "zeros",
              [&](Value* at) { b_.CreateStore(zeros(), in_rows(at)); });
    summed_ = array(type(), round_up(width_ * columns_, lanes_), "summed");
    outer_loops(0, {w_.axis, column_->axis}, [&] { row(); });
  }

 private:
  const ContractIndex& index(char letter) const {
    return *std::find_if(c_.indices.begin(), c_.indices.end(),
                         [&](const ContractIndex& i) { return i.letter == letter; });
  }
  std::int64_t element_bytes() const { return size_in_bytes(c_.type); }
  std::int64_t line_bytes() const { return vectors_ * lanes_ * element_bytes(); }

  // ---- b, packed: for each product of a sum the taps backwards, and the columns of each ----

  Value* packed_row(Value* number_of_product) {
    return b_.CreateMul(number_of_product, number(line_bytes()));
  }
  Value* in_packed(Value* bytes) { return b_.CreateGEP(b_.getInt8Ty(), packed_, bytes); }

  /// Sums [at, ..) from a line of what is packed and an offset in b on.
  void pack(std::size_t at, Value* line, Value* b) {
    if (at == sums_.size()) return pack_line(line, b);
    const ContractIndex& s = *sums_[at];
    Value* step = number(lines_below(at) * line_bytes());
    emit_loop(b_, number(0), e_.dim(s.extent), 1, "pack", [&](Value* i) {
      pack(at + 1, b_.CreateAdd(line, b_.CreateMul(i, step)),
           b_.CreateAdd(b, b_.CreateMul(i, e_.dim(s.b_stride))));
    });
  }
  std::int64_t lines_below(std::size_t at) const {
    std::int64_t lines = 1;
    for (std::size_t k = at + 1; k < sums_.size(); ++k) lines *= sums_[k]->extent.value();
    return lines;
  }
  void pack_line(Value* line, Value* b) {
    for (std::int64_t v = 0; v < vectors_; ++v)
      b_.CreateAlignedStore(zeros(),
                            in_packed(b_.CreateAdd(line, number(v * lanes_ * element_bytes()))),
                            vector_align());
    Value* to = in_packed(line);
    emit_loop(b_, number(0), number(taps_), 1, "tap", [&](Value* j) {
      Value* from = b_.CreateAdd(b, b_.CreateMul(j, e_.dim(j_.b_stride)));
      Value* place = b_.CreateMul(b_.CreateSub(number(taps_ - 1), j), number(columns_));
      emit_loop(b_, number(0), number(columns_), 1, "column", [&](Value* c) {
        Value* x = load(c_.b, b_.CreateAdd(from, b_.CreateMul(c, e_.dim(column_->b_stride))), 0);
        b_.CreateStore(x, b_.CreateGEP(type(), to, b_.CreateAdd(place, c)));
      });
    });
  }

  // ---- Loops over C ----

  /// All columns of all places along w.
  void row() {
    Value* a = e_.dim(c_.a_base);
    for (const ContractIndex& i : c_.indices)
      if (i.axis >= 0 && i.in_a && &i != &w_)
        a = b_.CreateAdd(a, b_.CreateMul(e_.axis_index(i.axis), e_.dim(i.a_stride)));
    // The first place inside of the frame.
    a = b_.CreateAdd(a, b_.CreateMul(number(-fold_.begin), e_.dim(w_.a_stride)));
    // The vectors of a place in parts of about equal width, the places in such of equal height. The
    // first vectors come last: on what fills a place up lies the beginning of another one.
    const std::int64_t parts = ceil_div(vectors_, kMostVectors);
    for (std::int64_t p = parts; p-- > 0;) {
      const Range vectors = range(vectors_, p, parts);
      const std::int64_t most =
          most_rows(static_cast<int>(vectors.to - vectors.from), scope_.unit.bits);
      const std::int64_t tiles = ceil_div(fold_.extent, most);
      for (std::int64_t t = 0; t < tiles; ++t) tile(a, range(fold_.extent, t, tiles), vectors);
    }
    fold();
    finish();
  }

  // ---- Products ----

  struct Range {
    std::int64_t from, to;
  };
  static Range range(std::int64_t extent, std::int64_t part, std::int64_t parts) {
    return {extent * part / parts, extent * (part + 1) / parts};
  }

  /// Some vectors of some places.
  void tile(Value* a, Range places, Range vectors) {
    const std::int64_t width = vectors.to - vectors.from;
    const auto each =
        [&](const std::function<void(std::int64_t x, std::int64_t v, std::size_t number)>& body) {
          for (std::int64_t x = places.from; x < places.to; ++x)
            for (std::int64_t v = vectors.from; v < vectors.to; ++v)
              body(x, v, static_cast<std::size_t>((x - places.from) * width + v - vectors.from));
        };
    std::vector<llvm::AllocaInst*> sums;
    each([&](std::int64_t, std::int64_t, std::size_t) {
      sums.push_back(emit_variable(b_, vector(), "p"));
      b_.CreateStore(zeros(), sums.back());
    });
    Value* begin = b_.CreateAdd(a, b_.CreateMul(number(places.from), e_.dim(w_.a_stride)));
    sum(0, begin, packed_row(number(0)), [&](Value* first, Value* line) {
      std::vector<Value*> columns;
      for (std::int64_t v = vectors.from; v < vectors.to; ++v)
        columns.push_back(b_.CreateAlignedLoad(
            vector(), in_packed(b_.CreateAdd(line, number(v * lanes_ * element_bytes()))),
            vector_align()));
      Value* spread = nullptr;
      each([&](std::int64_t x, std::int64_t v, std::size_t k) {
        if (v == vectors.from)
          spread =
              b_.CreateVectorSplat(static_cast<unsigned>(lanes_),
                                   load(c_.a, stepped(first, x - places.from, w_.a_stride), 0));
        Value* column = columns[static_cast<std::size_t>(v - vectors.from)];
        b_.CreateStore(fma(spread, column, b_.CreateLoad(vector(), sums[k])), sums[k]);
      });
    });
    each([&](std::int64_t x, std::int64_t v, std::size_t k) {
      Value* p = b_.CreateLoad(vector(), sums[k]);
      // Infinity times the zeros that fill the last vector up is none.
      if (const std::int64_t rest = columns_ * taps_ - v * lanes_; rest < lanes_)
        p = b_.CreateSelect(lanes_below(number(rest)), p, zeros());
      b_.CreateAlignedStore(
          p, in_rows(number(x % taps_ * row_length_ + zeros_before_ + x * columns_ + v * lanes_)),
          e_.align(c_.type));
    });
  }

  /// Sums [at, ..), without the taps that meet a frame.
  void sum(std::size_t at, Value* a, Value* line,
           const std::function<void(Value* a, Value* line)>& body) {
    if (at == sums_.size()) return body(a, line);
    const ContractIndex& s = *sums_[at];
    Value *from = number(0), *to = e_.dim(s.extent);
    for (const loop::Frame& f : c_.frames) {
      if (f.tap != s.letter) continue;
      DLC_CHECK(f.step == 1 && f.dilation == 1, "{}: a fold of steps", k_.name);
      // 0 <= h + i + begin < extent
      Value* here = b_.CreateAdd(e_.axis_index(index(f.at).axis), number(f.begin));
      from = b_.CreateBinaryIntrinsic(llvm::Intrinsic::smax, from, b_.CreateNeg(here));
      to =
          b_.CreateBinaryIntrinsic(llvm::Intrinsic::smin, to, b_.CreateSub(number(f.extent), here));
    }
    Value* step = number(lines_below(at) * line_bytes());
    emit_loop(b_, from, to, 1, "k", [&](Value* i) {
      sum(at + 1, b_.CreateAdd(a, b_.CreateMul(i, e_.dim(s.a_stride))),
          b_.CreateAdd(line, b_.CreateMul(i, step)), body);
    });
  }

  // ---- The fold ----

  Value* in_rows(Value* at) { return b_.CreateGEP(type(), rows_, at); }

  void fold() {
    for (std::int64_t at = 0; at < width_ * columns_; at += lanes_) {
      Value* sum = nullptr;
      for (std::int64_t q = 0; q < std::min(taps_, fold_.extent); ++q) {
        Value* part = b_.CreateAlignedLoad(
            vector(), in_rows(number(q * row_length_ + out_begin_ + at)), e_.align(c_.type));
        sum = sum ? b_.CreateFAdd(sum, part) : part;
      }
      b_.CreateAlignedStore(sum, b_.CreateGEP(type(), summed_, number(at)), vector_align());
    }
  }

  /// The epilogue, column by column: the elements of one are `columns` apart.
  void finish() {
    for (std::int64_t c = 0; c < columns_; ++c) {
      e_.set_axis(column_->axis, number(c));
      for (std::int64_t w = 0; w < width_; w += lanes_) {
        const std::int64_t count = std::min(lanes_, width_ - w);
        e_.set_axis(w_.axis, number(w));
        e_.set_vector(w_.axis, static_cast<int>(lanes_),
                      count < lanes_ ? lanes_below(number(count)) : nullptr);
        e_.set_accumulator(every_nth(w * columns_ + c, count));
        epilogue();
        e_.set_vector(-1, 1, nullptr);
      }
    }
  }
  /// Elements first, first + columns, ..., `count` of them, of what is summed.
  Value* every_nth(std::int64_t first, std::int64_t count) {
    Value* result = llvm::PoisonValue::get(vector());
    for (std::int64_t v = first / lanes_; v <= (first + (count - 1) * columns_) / lanes_; ++v) {
      std::vector<int> lanes(static_cast<std::size_t>(lanes_), llvm::PoisonMaskElem);
      for (std::int64_t r = 0; r < count; ++r) {
        const std::int64_t at = first + r * columns_;
        if (at / lanes_ < v) lanes[static_cast<std::size_t>(r)] = static_cast<int>(r);
        if (at / lanes_ == v)
          lanes[static_cast<std::size_t>(r)] = static_cast<int>(lanes_ + at % lanes_);
      }
      Value* part = b_.CreateAlignedLoad(
          vector(), b_.CreateGEP(type(), summed_, number(v * lanes_)), vector_align());
      result = b_.CreateShuffleVector(result, part, lanes);
    }
    return result;
  }

  // Of a tile: more would leave few rows, which wait for their multiply-adds.
  const std::int64_t kMostVectors = scope_.unit.bits >= 512 ? 5 : 3;
  const loop::Frame fold_;
  const ContractIndex &w_, &j_;
  const ContractIndex* column_ = nullptr;
  std::vector<const ContractIndex*> sums_;
  const std::int64_t lanes_ = r_.lanes;
  std::int64_t columns_ = 0, taps_ = 0, width_ = 0, vectors_ = 0;
  // In elements: where C begins in a row, behind so many zeros, and its length.
  std::int64_t zeros_before_ = 0, out_begin_ = 0, row_length_ = 0;
  Value* packed_ = nullptr;
  llvm::AllocaInst *rows_ = nullptr, *summed_ = nullptr;
};

}  // namespace

void emit_fold(const ProgramScope& scope, const loop::Kernel& kernel, llvm::IRBuilder<>& b,
               ExpressionEmitter& e, Value* begin, Value* end) {
  FoldEmitter(scope, kernel, b, e, begin, end).emit();
}

}  // namespace dlc
