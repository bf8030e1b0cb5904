#pragma once
// y = x V for a single row, where V does not stay near: memory's bandwidth is what there is to win.
// The rows of V are read as they lie in memory, some at a time, and the sums wait in the first
// cache; panels of columns with their sums in registers would read a little of every page again and
// again.
//
//   for k in steps of 4:   for j: y[j] += x[k] V[k, j] + .. + x[k + 3] V[k + 3, j]
//
// The order of each sum is that of tiles.
#include "codegen/llvm/contraction_tiles.h"

namespace dlc {

class ContractionRows : public ContractionTiles {
 public:
  using ContractionTiles::ContractionTiles;

 protected:
  /// V comes from beyond the second cache, a page or more from row to row. Of shorter rows, panels
  /// have a good part of each page.
  bool has_far_rows() const {
    constexpr std::int64_t kPage = 4096;
    if (r_.k.empty() || !is_far(scope_.program, c_, r_, scope_.unit)) return false;
    const Dim& step = r_.v_stride(*r_.k.back());
    return step.is_constant() && step.value() * size_in_bytes(c_.type) >= kPage;
  }

  /// Row i of C (null: there are no rows).
  void far_row(Value* i) {
    const std::int64_t most = kMostBytes / size_in_bytes(c_.type);
    if (!row_) row_ = array(vector(), most / r_.lanes, "row");
    emit_loop(b_, low(*r_.n), high(*r_.n), most, "columns", [&](Value* j) {
      some_columns(i, j, smaller(b_.CreateSub(high(*r_.n), j), number(most)));
    });
  }

 private:
  static constexpr std::int64_t kProducts = 4;      // rows of V that are read side by side
  static constexpr std::int64_t kMostBytes = 8192;  // of the sums that wait

  /// `count` columns from `first` on, kMostBytes at most.
  void some_columns(Value* i, Value* first, Value* count) {
    const auto each = [&](const std::function<void(Value * at, Value * mask)>& body) {
      Value* whole = b_.CreateAnd(count, number(-r_.lanes));
      emit_loop(b_, number(0), whole, r_.lanes, "column", [&](Value* at) { body(at, nullptr); });
      emit_if(b_, b_.CreateICmpSLT(whole, count),
              [&] { body(whole, lanes_below(b_.CreateSub(count, whole))); });
    };
    each([&](Value* at, Value*) { b_.CreateStore(zeros(), sum_of(at)); });
    Value *u = base(r_.u_is_a), *v = b_.CreateAdd(base(!r_.u_is_a), first);
    if (i) u = b_.CreateAdd(u, b_.CreateMul(i, row_step()));
    each_turn_of_sum(
        u, v, {number(0), e_.dim(r_.k.back()->extent)}, kProducts,
        [&](Value* pu, Value* pv, std::int64_t products) { add_products(each, pu, pv, products); });
    each([&](Value* at, Value* mask) {
      finish({b_.CreateAdd(first, at), 1, mask}, i, 0, 0, b_.CreateLoad(vector(), sum_of(at)));
    });
  }

  template <class Each>
  void add_products(const Each& each, Value* u, Value* v, std::int64_t products) {
    const ContractIndex& k = *r_.k.back();
    std::vector<Value*> x;
    for (std::int64_t p = 0; p < products; ++p)
      x.push_back(b_.CreateVectorSplat(static_cast<unsigned>(r_.lanes),
                                       load(u_buffer(), stepped(u, p, r_.u_stride(k)), 0)));
    each([&](Value* at, Value* mask) {
      Value* sum = b_.CreateLoad(vector(), sum_of(at));
      for (std::int64_t p = 0; p < products; ++p)
        sum = fma(x[static_cast<std::size_t>(p)],
                  widened(load_raw(b_.CreateAdd(stepped(v, p, r_.v_stride(k)), at), mask)), sum);
      b_.CreateStore(sum, sum_of(at));
    });
  }

  Value* sum_of(Value* column) { return b_.CreateInBoundsGEP(type(), row_, column); }

  llvm::AllocaInst* row_ = nullptr;
};

}  // namespace dlc
