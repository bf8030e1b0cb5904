#pragma once
// The kernel IR: what `lower` makes of the fused graph and what codegen turns into machine code.
// A Program is a list of kernels over buffers, run in order. A Kernel is a parallel outer domain;
// for each of its points the stages run in order. A stage loops over its inner axes and reduces
// expressions to row values and/or stores. This covers elementwise chains (one stage, no
// reduction), row kernels such as softmax (max, then sum of exp, then store), reductions over any
// axes, and contractions (whose epilogue is the stage list over the points of C).
#include <cstdint>
#include <string>
#include <vector>

#include "ir/support/loc.h"
#include "ir/types.h"

namespace dlc::loop {

using BufferId = int;
using AxisId = int;
using ExprId = int;

/// One scalar operation; operands and results are typed. Integer arithmetic wraps; float follows
/// IEEE (max/min: a > b ? a : b, NaN in `a` or `b` propagates). `Threefry` makes 32 random bits
/// (i64 result, 0..2^32-1) from (seed i64, step i64, stream i64, element index i64).
enum class ScalarOp : std::uint8_t {
  Add,
  Sub,
  Mul,
  Div,
  Rem,
  Pow,
  Max,
  Min,  // binary, operands of the result's type
  Eq,
  Ne,
  Lt,
  Le,
  And,
  Or,  // binary to bool
  Neg,
  Abs,
  Sign,
  Floor,
  Ceil,
  Round,
  Sqrt,
  Rsqrt,
  Cbrt,
  Exp,
  Exp2,
  Expm1,
  Log,
  Log2,
  Log1p,
  Sin,
  Cos,
  Tanh,
  Sigmoid,
  Erf,
  Erfc,
  Not,
  Convert,
  Select,  // Select: (bool, a, b)
  Threefry,
};

enum class ReduceKind : std::uint8_t { Sum, Prod, Max, Min, ArgMax, ArgMin };

enum class ExprKind : std::uint8_t {
  Constant,     // `value` (floats) or `integer`
  Axis,         // i64: the current index of `axis`
  DimValue,     // i64: the run-time value of `dim`
  Load,         // buffer[operand 0]; operand 0 is an i64 element offset
  RowValue,     // result of reduction `reduction` of stage `stage` (an earlier stage)
  Accumulator,  // a contraction kernel's sum at the current point of C
  Scalar,       // op(operands)
};

struct Expr {
  ExprKind kind;
  ElementType type;
  ScalarOp op{};
  std::vector<ExprId> operands;
  double value = 0;
  std::int64_t integer = 0;
  int axis = -1, buffer = -1, stage = -1, reduction = -1;
  Dim dim;
};

struct Axis {
  std::string name;
  Dim extent;
  /// An outer axis of constant extent P whose index i says which part of this one is run through,
  /// from extent * i / P to extent * (i + 1) / P; or -1: all of it.
  AxisId piece = -1;
};
struct Reduction {
  ReduceKind kind;
  ExprId value;  // ArgMax/ArgMin give the i64 linear index over the stage's axes, first one on ties
};
struct Store {
  BufferId buffer;
  ExprId offset;  // i64 element offset
  ExprId value;   // of the buffer's element type
};
struct Stage {
  std::vector<AxisId> axes;  // outermost first; empty: one point
  std::vector<Reduction> reductions;
  std::vector<Store> stores;
};

/// C[..] = sum over k of A[..] * B[..], as index loops with element strides. An index's role
/// follows from its strides: m (a, c), n (b, c), k (a, b), batch (all three). Strides may be
/// symbolic.
struct ContractIndex {
  char letter;
  Dim extent, a_stride, b_stride;
  AxisId axis = -1;  // the outer axis of the kernel that it is (m, n, batch); -1 for k
  bool in_a, in_b;
};
/// How the loops of a contraction are cut, in terms of codegen/native/contract_schedule.h. Zero
/// rows: by the cost model there.
struct ContractSchedule {
  int rows = 0, vectors = 0;  // of the tile of C that stays in registers
  int k_block = 0;            // products of one pass over the rows of C; 0: all of them
  bool packed = false;        // each block of V is first copied to where it is contiguous
  bool operator==(const ContractSchedule&) const = default;
};
/// A frame of zeros around an axis of operand a, which need not be in memory: the index of a along
/// it is step * at + dilation * tap + begin (two of the indices), and what is not in [0, extent) is
/// zero.
struct Frame {
  char at, tap;
  std::int64_t step, dilation, begin, extent;
};
/// Whether a place and a tap are inside of a frame.
inline bool is_inside(const Frame& f, std::int64_t at, std::int64_t tap) {
  const std::int64_t place = f.step * at + f.dilation * tap + f.begin;
  return 0 <= place && place < f.extent;
}
/// So many pairs of one of `places` and one of `taps` are.
inline std::int64_t count_inside(const Frame& f, std::int64_t places, std::int64_t taps) {
  std::int64_t count = 0;
  for (std::int64_t at = 0; at < places; ++at)
    for (std::int64_t tap = 0; tap < taps; ++tap) count += is_inside(f, at, tap);
  return count;
}
/// Products whose index `low` is greater than that of `high` plus the offset are zero, or part of
/// sums that nobody needs: they may be left out.
struct Band {
  char low, high;
  Dim offset;
};
/// A matrix in memory: the element of product k and column n is at base + k * k_stride +
/// n * n_stride.
struct Matrix {
  BufferId buffer;
  Dim base, k_stride, n_stride;
};
constexpr std::int64_t kWidestPanel = 64;  // columns
struct Contraction {
  BufferId a, b;
  ElementType type;  // of the accumulator: f32 or f64. a and b have this type, or both are bf16 or
                     // f16 (then it is f32)
  std::vector<ContractIndex> indices;
  Dim a_base, b_base;  // the element offset of the first product's operands
  ContractSchedule schedule;
  std::vector<Frame> frames = {};
  bool folded = false;  // along the last frame (codegen/llvm/fold_emitter.cpp)
  /// Where b, a matrix [k, n], is a copy that the kernel before a loop makes for the kernels in it:
  /// what it is a copy of. Code generation arranges the copy as it likes it, or does without.
  std::vector<Matrix> copied = {};
  /// b lies in panels of so many columns, one behind the other, the last one filled up; 0: it does
  /// not. The k_stride is within a panel.
  std::int64_t panel = 0;
  std::vector<Band> bands = {};
};

/// A kernel that stores at places that data gives, in order at each of its points: each value is
/// added to what is there, or put in its stead. No two points store to one place.
enum class Scatter : std::uint8_t { None, Add, Put };

struct Kernel {
  std::string name;  // "k3_softmax": number and the source names it computes
  std::vector<Loc> locs;
  std::vector<Axis> axes;
  std::vector<AxisId>
      outer;  // the parallel domain, outermost first; for a contraction: C's indices
  std::vector<Stage> stages;
  std::vector<Expr> exprs;
  std::vector<Contraction> contraction;  // zero or one
  Scatter scatter = Scatter::None;       // then there is one stage
  std::int64_t flops_per_point = 0;      // of the outer domain, for reports
};

enum class BufferKind : std::uint8_t {
  Input,
  Param,
  State,
  Scalar,
  Constant,
  Output,
  Temp,
  Local,  // of one kernel: its stages hand on what a point has there; each thread has its own
};

struct Buffer {
  std::string name;
  BufferKind kind;
  Type type;
  std::vector<std::uint8_t> data;  // Constant: the bytes
  Dim arena_offset;                // Temp: byte offset in the arena, set by plan
  int alias = -1;        // Output that is the in-place update of this Param/State buffer; or -1
  int in_place_of = -1;  // Temp that takes over this one's memory while a kernel reads it; or -1
};

/// Kernels [first, last) run in order for each turn of a scan. `index` is a symbol that the
/// kernels' offsets may use: the number of the turn, from 0, or from the last one in reverse. `odd`
/// is another: 0 and 1 in alternation from the first turn run; after the loop it is extent % 2.
struct Loop {
  int first, last;
  std::string index, odd;
  Dim extent;
  bool reverse = false;
  /// A bool on which there are any turns: an element of a buffer, or -1.
  BufferId condition = -1;
  Dim condition_offset;
};

struct Program {
  std::string name;  // the graph's
  std::vector<Buffer> buffers;
  std::vector<Kernel> kernels;
  std::vector<std::string> symbols;  // symbolic dimensions, in the order of the run-time vector
  Dim arena_bytes;
  std::vector<Loop> loops;  // apart or inside each other; the outer one first

  /// The symbols, then those of the loops: as kernels see them.
  std::vector<std::string> all_symbols() const;
};

/// Builds expressions with folding and value numbering: equal expressions get equal ids, and
/// integer arithmetic on constants and zero/one is simplified (so offsets stay affine where they
/// are).
class KernelBuilder {
 public:
  explicit KernelBuilder(Kernel& k) : k_(k) {}
  Kernel& kernel() { return k_; }
  ElementType type(ExprId e) const { return k_.exprs.at(e).type; }
  AxisId axis(std::string name, Dim extent);
  ExprId axis_value(AxisId a);
  ExprId constant(ElementType t, double v);
  ExprId integer(std::int64_t v, ElementType t = ElementType::I64);
  ExprId dim(const Dim& d);  // an integer constant when it is one
  ExprId load(BufferId buffer, ElementType t, ExprId offset);
  ExprId row_value(int stage, int reduction, ElementType t);
  ExprId accumulator(ElementType t);
  ExprId scalar(ScalarOp op, ElementType t, std::vector<ExprId> operands);
  ExprId add(ExprId a, ExprId b);  // integers and floats alike
  ExprId mul(ExprId a, ExprId b);
  /// The nearest of 0 to extent - 1: a place that is in memory whatever `at` is.
  ExprId clamped(ExprId at, const Dim& extent);
  /// sum of index[k] * row-major stride of `shape`, in elements; indices that delinearize() made
  /// from an offset of the same trailing shape give that offset back, and an index that is such a
  /// sum for several axes counts as theirs
  ExprId linear_offset(std::vector<ExprId> index, Shape shape);
  /// the inverse: indices of a row-major `shape` from a linear offset (division and remainder)
  std::vector<ExprId> delinearize(ExprId offset, const Shape& shape);

 private:
  /// The indices and the offset of an element.
  struct Linear {
    std::vector<ExprId> index;
    Shape shape;
    ExprId offset;
  };
  ExprId intern(Expr e);
  Kernel& k_;
  std::vector<Linear> delinearized_, linear_;  // what each function has made
};

std::string print(const Program& p);
/// Where in the source a kernel comes from: "std/layers.dl:7, net.dl:12".
std::string source_lines(const Kernel& k);
std::string print(const Kernel& k, const Program& p);
void verify(const Program& p);  // InternalError on a malformed program
std::string_view name(ScalarOp op);
std::string_view name(ReduceKind k);

}  // namespace dlc::loop
