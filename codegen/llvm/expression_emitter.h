#pragma once
// Scalar expressions of a kernel as LLVM values: scalars where nothing depends on the vector axis,
// else vectors of consecutive indices along it.
#include <llvm/IR/IRBuilder.h>

#include <functional>
#include <map>
#include <optional>

#include "codegen/native/contract_schedule.h"
#include "ir/loop/loop.h"

namespace dlc {

inline bool is_unsigned(ElementType t) { return t == ElementType::U8 || t == ElementType::Bool; }

/// Many instructions: an elementary function, a random number.
inline bool is_long(loop::ScalarOp op) {
  using enum loop::ScalarOp;
  return op == Pow || op == Rem || op == Threefry || (op >= Cbrt && op <= Erfc);
}

/// What a program's kernels share while they are emitted.
struct ProgramScope {
  const loop::Program& program;
  llvm::Module& module;
  VectorUnit unit;
  int symbol_index(const std::string& name) const;
};

/// Emission of one kernel function: its parameters and where indices stand at present.
class ExpressionEmitter {
 public:
  ExpressionEmitter(const ProgramScope& scope, const loop::Kernel& kernel, llvm::IRBuilder<>& b,
                    llvm::Value* buffers, llvm::Value* dims);

  // ---- The point that expressions are evaluated at ----
  void set_axis(loop::AxisId axis, llvm::Value* index);
  llvm::Value* axis_index(loop::AxisId axis) const { return axes_.at(axis); }
  /// From now `axis` stands for `lanes` consecutive indices from its set value; -1 for none.
  /// `mask`: the lanes that exist, or null for all.
  void set_vector(loop::AxisId axis, int lanes, llvm::Value* mask);
  void set_row_value(int stage, int reduction, llvm::Value* v) {
    row_values_[{stage, reduction}] = v;
    forget();
  }
  void set_accumulator(llvm::Value* v) {
    accumulator_ = v;
    forget();
  }
  /// Forgets computed values; needed whenever the point changes or memory was written.
  void forget() { vectors_.clear(), scalars_.clear(), is_vector_.clear(); }

  /// The vector value of an expression at the current point, computed otherwise.
  void preset(loop::ExprId e, llvm::Value* vector) { vectors_[e] = vector; }

  /// What `e`, the same all along a loop, is at the present point: it is not computed again until
  /// release(), wherever the point goes.
  void keep(loop::ExprId e) { kept_[e] = evaluate(e); }
  void release() { kept_.clear(); }

  llvm::Value* evaluate(loop::ExprId e);
  /// As a vector of the current lanes even if it is the same in all.
  llvm::Value* evaluate_vector(loop::ExprId e);
  /// Asks for `bytes` of memory from where load `e` reads at the current point.
  void prefetch(loop::ExprId e, std::int64_t bytes);
  enum class Cache { First, Second };
  void prefetch(llvm::Value* address, Cache into = Cache::First, bool to_write = false);
  /// Asks for the line that is stored to at the current point.
  void prefetch(const loop::Store& s);
  /// Elements so far apart are loaded with what lies between them; others one by one.
  static constexpr std::int64_t kFewApart = 4;
  /// All values are computed before any is stored: one store may replace what another value reads.
  void store_all(const std::vector<loop::Store>& stores, bool accumulate = false);

  // ---- Pieces for the loops ----
  llvm::Value* dim(const Dim& d);  // i64
  llvm::Value* buffer(loop::BufferId b);
  /// Whether some of them are of this kernel's own.
  bool has_locals() const;
  /// So many bytes of the thread's own working memory, aligned to 64; one call in a function.
  llvm::Value* scratch(std::int64_t bytes);
  static llvm::Align align(ElementType t) {
    return llvm::Align(static_cast<std::uint64_t>(size_in_bytes(t)));
  }
  ElementType element(loop::BufferId b) const {
    return scope_.program.buffers[static_cast<std::size_t>(b)].type.element;
  }
  /// In memory: bool is a byte, a 16-bit float an i16. As a value: bool is i1, a 16-bit float an
  /// f32 that a 16-bit float can hold.
  llvm::Type* memory_type(ElementType t) const;
  llvm::Type* value_type(ElementType t) const;
  /// Between the two, for what was loaded and for what is to be stored.
  llvm::Value* from_memory(ElementType t, llvm::Value* v);
  llvm::Value* to_memory(ElementType t, llvm::Value* v);
  /// To the nearest value of a 16-bit float type; other types' values as they are.
  llvm::Value* rounded(ElementType t, llvm::Value* v);
  llvm::Value* splat(llvm::Value* v, int lanes);
  /// Which of the lanes are among the first `count` (i64, of any size).
  llvm::Value* lanes_below(llvm::Value* count, int lanes);
  int lanes() const { return lanes_; }
  loop::AxisId vector_axis() const { return vector_axis_; }
  llvm::Value* mask() const { return mask_; }
  /// How fast an offset grows along an axis, when that is one number; nullopt when it is not
  /// linear.
  std::optional<Dim> coefficient(loop::ExprId e, loop::AxisId axis) const;
  /// Whether the elements at `offset` along `axis` are a few vectors of memory, not a gather.
  bool in_rows(loop::ExprId offset, loop::AxisId axis) const;
  bool depends(loop::ExprId e, loop::AxisId axis) const;
  /// The element combined with a reduction's value so far; `better` for argmax and argmin.
  llvm::Value* combine(loop::ReduceKind kind, ElementType t, llvm::Value* a, llvm::Value* b);
  /// The lanes of a vector combined, halves onto halves: the same tree every time.
  llvm::Value* combine_lanes(loop::ReduceKind kind, ElementType t, llvm::Value* v);
  llvm::Value* is_better(loop::ReduceKind kind, ElementType t, llvm::Value* candidate,
                         llvm::Value* best);
  /// The place of the best lane; of equals the smallest.
  llvm::Value* best_of_lanes(loop::ReduceKind kind, ElementType t, llvm::Value* values,
                             llvm::Value* places);
  llvm::Constant* identity(loop::ReduceKind kind, ElementType t);

 private:
  void make_locals(const std::vector<loop::BufferId>& locals);
  void store(const loop::Store& s, bool accumulate);
  llvm::Value* evaluate_at(loop::ExprId e, bool vector);
  llvm::Value* emit(const loop::Expr& e, bool vector);
  llvm::Value* emit_load(const loop::Expr& e, bool vector);
  llvm::Value* strided(const loop::Expr& e, std::int64_t step);
  std::optional<int> repetition(loop::ExprId offset) const;
  llvm::Value* repeated(const loop::Expr& e, int times);
  struct Clamp {
    loop::ExprId index, last;
  };
  std::optional<Clamp> clamp_in(loop::ExprId offset, loop::AxisId axis) const;
  llvm::Value* clamped(const loop::Expr& e, const Clamp& c);
  llvm::Value* emit_scalar_op(const loop::Expr& e, std::vector<llvm::Value*> operands);
  llvm::Value* emit_convert(llvm::Value* v, ElementType from, ElementType to);
  llvm::Value* emit_quotient(const loop::Expr& e, llvm::Value* a, llvm::Value* b);
  llvm::Value* emit_divide(ElementType t, llvm::Value* a, llvm::Value* b, bool remainder);
  llvm::Value* emit_threefry(const std::vector<llvm::Value*>& operands);
  llvm::Value* compare(loop::ScalarOp op, ElementType t, llvm::Value* a, llvm::Value* b);
  bool is_vector(loop::ExprId e) const;
  llvm::Value* address(loop::BufferId b, ElementType t, llvm::Value* offset);

  const ProgramScope& scope_;
  const loop::Kernel& k_;
  llvm::IRBuilder<>& b_;
  llvm::Value *buffers_, *dims_;
  std::map<loop::AxisId, llvm::Value*> axes_;
  loop::AxisId vector_axis_ = -1;
  int lanes_ = 1;
  llvm::Value* mask_ = nullptr;
  std::map<std::pair<int, int>, llvm::Value*> row_values_;
  llvm::Value* accumulator_ = nullptr;
  std::map<loop::ExprId, llvm::Value*> vectors_, scalars_, kept_;
  mutable std::map<loop::ExprId, bool> is_vector_;
  mutable std::map<std::pair<loop::ExprId, loop::AxisId>, bool> depends_;
  std::map<loop::BufferId, llvm::Value*> pointers_;
  std::map<std::string, llvm::Value*> symbols_;
};

}  // namespace dlc
