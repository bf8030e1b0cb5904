// y = x V, where V does not stay near: memory's bandwidth is what there is to win. The rows of V
// are read as they lie in memory, some at a time, and the sums wait in the first cache; panels of
// columns with their sums in registers would read a little of every page again and again.
//
//   for k in steps of 4:   for j: y[j] += x[k] V[k, j] + .. + x[k + 3] V[k + 3, j]
//
// The order of each sum is that of tiles (contraction_emitter.cpp).
#include "codegen/llvm/row_emitter.h"

#include "codegen/llvm/contraction_tiles.h"

namespace dlc {

using llvm::Value;

namespace {

constexpr std::int64_t kProducts = 4;      // rows of V that are read side by side
constexpr std::int64_t kMostBytes = 8192;  // of the sums that wait

class RowEmitter : ContractionTiles {
 public:
  using ContractionTiles::ContractionTiles;

  void emit() {
    outer_loops(0, {r_.n->axis}, [&] {
      const std::int64_t most = kMostBytes / size_in_bytes(c_.type);
      if (!sums_) sums_ = array(vector(), most / r_.lanes, "sums");
      emit_loop(b_, low(*r_.n), high(*r_.n), most, "columns",
                [&](Value* j) { columns(j, smaller(b_.CreateSub(high(*r_.n), j), number(most))); });
    });
  }

 private:
  /// `count` columns from `first` on, kMostBytes at most.
  void columns(Value* first, Value* count) {
    const auto each = [&](const std::function<void(Value * at, Value * mask)>& body) {
      Value* whole = b_.CreateAnd(count, number(-r_.lanes));
      emit_loop(b_, number(0), whole, r_.lanes, "column", [&](Value* at) { body(at, nullptr); });
      emit_if(b_, b_.CreateICmpSLT(whole, count),
              [&] { body(whole, lanes_below(b_.CreateSub(count, whole))); });
    };
    each([&](Value* at, Value*) { b_.CreateStore(zeros(), place(at)); });
    const ContractIndex& k = *r_.k.back();
    Value *u = base(r_.u_is_a), *v = b_.CreateAdd(base(!r_.u_is_a), first);
    sum_loops({r_.k.begin(), r_.k.end() - 1}, 0, r_.u_is_a ? u : v, r_.u_is_a ? v : u,
              [&](Value* a, Value* b) {
                const std::int64_t typical = k.extent.typical();
                for_each_turn(e_.dim(k.extent), kProducts, false, typical,
                              {{r_.u_is_a ? a : b, e_.dim(r_.u_stride(k))},
                               {r_.u_is_a ? b : a, e_.dim(r_.v_stride(k))}},
                              [&](Value*, const std::vector<Value*>& at, std::int64_t products) {
                                add(each, k, at[0], at[1], products);
                              });
              });
    each([&](Value* at, Value* mask) {
      finish({b_.CreateAdd(first, at), 1, mask}, nullptr, 0, 0, b_.CreateLoad(vector(), place(at)));
    });
  }

  template <class Each>
  void add(const Each& each, const ContractIndex& k, Value* u, Value* v, std::int64_t products) {
    std::vector<Value*> x;
    for (std::int64_t p = 0; p < products; ++p)
      x.push_back(b_.CreateVectorSplat(static_cast<unsigned>(r_.lanes),
                                       load(u_buffer(), stepped(u, p, r_.u_stride(k)), 0)));
    each([&](Value* at, Value* mask) {
      Value* sum = b_.CreateLoad(vector(), place(at));
      for (std::int64_t p = 0; p < products; ++p)
        sum = fma(x[static_cast<std::size_t>(p)],
                  widened(load_raw(b_.CreateAdd(stepped(v, p, r_.v_stride(k)), at), mask)), sum);
      b_.CreateStore(sum, place(at));
    });
  }

  Value* place(Value* column) { return b_.CreateInBoundsGEP(type(), sums_, column); }

  llvm::AllocaInst* sums_ = nullptr;
};

}  // namespace

bool is_far_row(const loop::Program& p, const loop::Kernel& k, const VectorUnit& unit) {
  constexpr std::int64_t kPage = 4096;
  const loop::Contraction& c = k.contraction[0];
  const ContractRoles r = contract_roles(p, k, unit);
  if (!r.n || !r.m.empty() || r.k.empty() || !is_far(p, c, r, unit)) return false;
  // Of shorter rows, panels have a good part of each page.
  const Dim& step = r.v_stride(*r.k.back());
  return step.is_constant() && step.value() * size_in_bytes(c.type) >= kPage;
}

void emit_row(const ProgramScope& scope, const loop::Kernel& k, llvm::IRBuilder<>& b,
              ExpressionEmitter& e, Value* begin, Value* end) {
  RowEmitter(scope, k, b, e, begin, end).emit();
}

}  // namespace dlc
