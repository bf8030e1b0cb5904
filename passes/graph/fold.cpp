// Evaluates operations whose operands are all constants, where that does not make the program
// larger.
#include "ir/graph/rewriter.h"
#include "ir/op_def.h"

namespace dlc {

namespace {

constexpr std::int64_t kMaxElements = 4096;

bool has_constant_shape(const Type& t) {
  for (const Dim& d : t.shape)
    if (!d.is_constant()) return false;
  return true;
}

}  // namespace

Graph run_fold(const Graph& old) {
  return rewrite(
      old,
      [](GraphBuilder& b, const Graph& g, Value v, const std::vector<Value>& operands) -> Value {
        const Node& n = g[v];
        // Repeating a scalar is free where it is used; stored it would cost memory. Random draws
        // stay draws.
        if (operands.empty() || n.op == Op::broadcast || n.op == Op::random_uniform ||
            n.op == Op::grad)
          return {};
        if (!has_constant_shape(n.type) || element_count(n.type.shape).value() > kMaxElements)
          return {};
        std::vector<Literal> values;
        for (const Value o : operands) {
          const Node& c = b.graph()[o];
          if (c.op == Op::constant) {
            values.push_back(c.literal_attr("value"));
            continue;
          }
          // A repeated scalar constant counts as one when it is small.
          if (c.op != Op::broadcast || b.graph()[c.operands[0]].op != Op::constant ||
              !has_constant_shape(c.type) || element_count(c.type.shape).value() > kMaxElements)
            return {};
          const Literal source = b.graph()[c.operands[0]].literal_attr("value");
          values.push_back(op_def(Op::broadcast).evaluate(c, std::span(&source, 1), c.type));
        }
        Literal result = op_def(n.op).evaluate(n, values, n.type);
        result.round();
        return b.constant(std::move(result));
      });
}

}  // namespace dlc
