// Common subexpressions: of nodes with the same operation, operands, attributes and type the first
// one serves all. Operands of commutative operations are ordered first. A random draw is a function
// of its stream, so equal draws are equal, too.
#include <algorithm>
#include <unordered_map>

#include "ir/graph/rewriter.h"

namespace dlc {

namespace {

bool is_commutative(Op op) {
  switch (op) {
    case Op::add:
    case Op::mul:
    case Op::eq:
    case Op::ne:
    case Op::logical_and:
    case Op::logical_or:
      return true;
    default:
      return false;  // max and min are not: of two NaNs or zeros they pick by position
  }
}

std::size_t hash_of(const Node& n) {
  std::size_t h = static_cast<std::size_t>(n.op);
  const auto mix = [&h](std::size_t v) { h = h * 1099511628211u + v; };
  for (const Value v : n.operands) mix(v.id);
  mix(static_cast<std::size_t>(n.type.element));
  for (const Dim& d : n.type.shape) mix(static_cast<std::size_t>(d.constant()));
  return h;
}

bool equal(const Node& a, const Node& b) {
  if (a.op != b.op || a.operands != b.operands || !(a.type == b.type) ||
      a.attrs.size() != b.attrs.size())
    return false;
  return std::equal(a.attrs.begin(), a.attrs.end(), b.attrs.begin(),
                    [](const auto& x, const auto& y) {
                      return x.first == y.first && operator_equal(x.second, y.second);
                    });
}

}  // namespace

Graph run_cse(const Graph& old) {
  std::unordered_multimap<std::size_t, Value> seen;
  return rewrite(
      old,
      [&](GraphBuilder& b, const Graph& g, Value v, const std::vector<Value>& operands) -> Value {
        if (g[v].op == Op::input) return {};
        Node n = g[v];
        n.operands = operands;
        if (is_commutative(n.op)) std::sort(n.operands.begin(), n.operands.end());
        const std::size_t hash = hash_of(n);
        const auto [first, last] = seen.equal_range(hash);
        for (auto at = first; at != last; ++at) {
          Node other = b.graph()[at->second];
          if (is_commutative(other.op)) std::sort(other.operands.begin(), other.operands.end());
          if (equal(n, other)) return at->second;
        }
        // `rewrite` copies the node next, as the next one of the new graph.
        seen.emplace(hash, Value{static_cast<std::uint32_t>(b.graph().nodes.size())});
        return {};
      });
}

}  // namespace dlc
