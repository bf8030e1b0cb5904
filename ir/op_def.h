#pragma once
// The definition of a primitive operation, in one place: ops/<op>.cpp. Everything that treats
// operations differently does so through these fields, never by a switch on the operation.
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "ir/graph/builder.h"
#include "ir/graph/graph.h"
#include "ir/loop/loop.h"

namespace dlc {

/// Either the type of the result, or what is wrong with the operands in words for the user.
struct Inferred {
  std::optional<Type> type;
  std::string error;
};
using InferFn = Inferred (*)(std::span<const Type> operands, const Attrs& attrs);

/// Builds the gradients with respect to each operand: `dy` has the type of `y`. An entry may be
/// invalid where the operand gets no gradient (an integer operand, an index).
using GradientFn = std::vector<Value> (*)(GraphBuilder& b, Value y, Value dy);
struct NotDifferentiable {
  std::string_view why;  // "integer output", "piecewise constant"
};
/// The gradient is zero everywhere it exists (floor, comparisons): nothing flows to the operands.
struct ZeroGradient {
  std::string_view why;
};
/// An operation with a region, or a part of its results: the differentiate pass knows it.
struct GradientOfRegion {};
using Gradient = std::variant<GradientFn, NotDifferentiable, ZeroGradient, GradientOfRegion>;

/// Reference evaluation: operands and the result type in, value out; no symbols are left, in
/// attributes neither. Independent of
/// codegen. Integers are wrapped to their type; floats are left in f64 for the caller to round.
using EvaluateFn = Literal (*)(const Node& node, std::span<const Literal> operands,
                               const Type& concrete_result);

// ---- Lowering: how a kernel computes one element of the result ----
/// result[i] = f(operands[i]...): a scalar expression of the operands' elements.
struct LowerElementwise {
  loop::ScalarOp op;
};
/// result[i] = operand[map(i)]: builds the operand's indices from the result's. `guard`, when set
/// by the function, is a bool expression: where it is false the element is `otherwise` (pad,
/// concat).
using ViewFn = std::vector<loop::ExprId> (*)(loop::KernelBuilder& b, const Graph& g, const Node& n,
                                             const std::vector<loop::ExprId>& index);
struct LowerView {
  ViewFn map;  // of operand 0
};
/// Computed from the index alone or from index and element accessors (iota, constant, random, pad,
/// concat, gather): `element(k, idx)` yields the expression for operand k at indices idx.
using GenerateFn = loop::ExprId (*)(
    loop::KernelBuilder& b, const Graph& g, const Node& n, const std::vector<loop::ExprId>& index,
    const std::function<loop::ExprId(int, const std::vector<loop::ExprId>&)>& element);
struct LowerGenerate {
  GenerateFn make;
};
struct LowerReduce {
  loop::ReduceKind kind;
};
struct LowerContract {};
/// The operands before the last two, or zeros; then, in order of i, update[i] is put at
/// result[index[i]], or added there where there is no base.
struct LowerScatter {};
/// Never reaches lowering: graph inputs, or an operation that a pass expands first.
struct LowerNone {
  std::string_view why;
};
using Lowering = std::variant<LowerElementwise, LowerView, LowerGenerate, LowerReduce,
                              LowerContract, LowerScatter, LowerNone>;

/// The operation for all turns of a scan at once: the operands that are `stacked` have one more
/// axis, 0, of extent `length`, and so has the result. Invalid where there is no such form. At
/// least one operand is stacked.
using StackFn = Value (*)(GraphBuilder& b, const Node& n, const std::vector<Value>& operands,
                          const std::vector<bool>& stacked, const Dim& length);
/// By the names of the attributes: axes move by one, shapes and lists by axis get one more entry,
/// letters one more letter. Right for all operations but those that say otherwise.
Value stack_axes(GraphBuilder& b, const Node& n, const std::vector<Value>& operands,
                 const std::vector<bool>& stacked, const Dim& length);
Value cannot_stack(GraphBuilder& b, const Node& n, const std::vector<Value>& operands,
                   const std::vector<bool>& stacked, const Dim& length);

/// A sample case, printed as one node's operand types and attributes; operand values are drawn from
/// [lo, hi]. Finite differences, interpreter-against-compiled and text round-trip tests run on
/// these.
struct Sample {
  std::vector<Type> operands;
  Attrs attrs;
  double lo = -2.0, hi = 2.0;
};

struct OpDef {
  std::string_view name;
  std::string_view doc;  // one line, with the attributes
  InferFn infer;
  Gradient gradient;  // the formula is a comment above it
  EvaluateFn evaluate;
  Lowering lowering;
  std::vector<Sample> samples;
  StackFn stack = stack_axes;
};

const OpDef& op_def(Op op);
template <class L>
bool lowers_as(Op op) {
  return std::holds_alternative<L>(op_def(op).lowering);
}
/// Whether each element of the result is a function of those of the operands at its place.
inline bool is_elementwise(Op op) { return lowers_as<LowerElementwise>(op); }
/// The axes that a reduction takes away.
std::vector<std::int64_t> reduced_axes(const Node& reduction);
/// infer with the attributes checked; the message names the operation.
Inferred infer_type(Op op, std::span<const Type> operands, const Attrs& attrs);

}  // namespace dlc
