// Reverse-mode differentiation, graph to graph.
//
//   %loss = mean_squared_error ...                 %loss = ...
//   %g = grad %loss, %w                    =>      %d_price = ...        (one node per value
//   between w and loss)
//                                                  %g = contract %x, %d_price
//
// `grad` nodes are expanded in node order. The first operand of a later grad may hold an earlier
// one: by then that is expanded, so derivatives of derivatives need no care of their own. All grads
// of one value share one sweep: the values after y are walked backwards once, each adding to the
// adjoints of its operands by its operation's rule. The adjoint of a value `w` is named `d_w`.
#include <algorithm>
#include <map>

#include "ir/graph/builder.h"
#include "ir/graph/gradient_path.h"
#include "ir/op_def.h"

namespace dlc {

namespace {

/// Adjoints of all values that `y` depends on, for the inputs `xs`: d sum(y) / d value.
class Sweep {
 public:
  Sweep(GraphBuilder& b, Value y, const std::vector<Value>& xs) : b_(b), adjoint_(y.id + 1) {
    const Graph& g = b.graph();
    std::vector<bool> wanted(y.id + 1, false);
    for (const Value x : xs) {
      if (x.id > y.id) continue;
      const std::vector<bool> between = nodes_between(g, x, y);
      for (std::uint32_t id = 0; id <= y.id; ++id) wanted[id] = wanted[id] || between[id];
    }
    const auto first = static_cast<std::uint32_t>(g.nodes.size());
    adjoint_[y.id] = b.splat(Type(g.type(y)), 1);
    for (std::uint32_t id = y.id + 1; id-- > 0;) {
      if (!wanted[id] || !adjoint_[id].valid()) continue;
      // All its users have been visited: the adjoint is complete.
      if (adjoint_[id].id >= first) name_adjoint(Value{id});
      push_back(Value{id}, wanted);
    }
  }

  Value adjoint(Value x) const { return x.id < adjoint_.size() ? adjoint_[x.id] : Value{}; }

 private:
  void name_adjoint(Value v) {
    const std::string& name = b_.graph()[v].name;
    Node& adjoint = b_.graph()[adjoint_[v.id]];
    if (!name.empty() && adjoint.name.empty()) adjoint.name = "d_" + name;
  }

  void push_back(Value v, const std::vector<bool>& wanted) {
    const Node n = b_.graph()[v];  // a copy: building moves the nodes
    const Gradient& gradient = op_def(n.op).gradient;
    if (std::holds_alternative<ZeroGradient>(gradient)) return;
    const bool needed = std::any_of(n.operands.begin(), n.operands.end(), [&](Value o) {
      return wanted[o.id] && is_float(b_.type(o).element);
    });
    if (!needed) return;
    const auto* rule = std::get_if<GradientFn>(&gradient);
    DLC_CHECK(rule, "a gradient reaches {}, which has none", op_name(n.op));
    b_.set_loc(n.loc);
    const std::vector<Value> parts = (*rule)(b_, v, adjoint_[v.id]);
    DLC_CHECK(parts.size() == n.operands.size() || n.operands.empty(),
              "the gradient of {} has {} parts for {} operands", op_name(n.op), parts.size(),
              n.operands.size());
    for (std::size_t k = 0; k < parts.size(); ++k) {
      const Value o = n.operands[k];
      if (!parts[k].valid() || !wanted[o.id] || !is_float(b_.type(o).element)) continue;
      DLC_CHECK(b_.type(parts[k]) == b_.type(o),
                "the gradient of {} for operand {} is {}, the operand is {}", op_name(n.op), k,
                b_.type(parts[k]).str(), b_.type(o).str());
      Value& sum = adjoint_[o.id];
      sum = sum.valid() ? b_.add(sum, parts[k]) : parts[k];
    }
  }

  GraphBuilder& b_;
  std::vector<Value> adjoint_;
};

}  // namespace

Graph run_differentiate(const Graph& old) {
  Graph g;
  g.name = old.name;
  GraphBuilder b(g);
  std::vector<Value> now(old.nodes.size());
  std::map<std::uint32_t, Sweep> sweeps;  // by the value of the old graph that is differentiated
  for (std::uint32_t id = 0; id < old.nodes.size(); ++id) {
    const Node& n = old.nodes[id];
    if (n.op != Op::grad) {
      Node copy = n;
      for (Value& v : copy.operands) v = now[v.id];
      now[id] = Value{static_cast<std::uint32_t>(g.nodes.size())};
      g.nodes.push_back(std::move(copy));
      continue;
    }
    const Value y = n.operands[0];
    auto sweep = sweeps.find(y.id);
    if (sweep == sweeps.end()) {
      // One sweep for every x that is known by now: grads of one y follow each other in train
      // steps.
      std::vector<Value> xs;
      for (std::uint32_t other = id; other < old.nodes.size(); ++other)
        if (old.nodes[other].op == Op::grad && old.nodes[other].operands[0] == y &&
            old.nodes[other].operands[1].id <= y.id)
          xs.push_back(now[old.nodes[other].operands[1].id]);
      sweep = sweeps.emplace(y.id, Sweep(b, now[y.id], xs)).first;
    }
    const Value x = now[n.operands[1].id];
    Value result = sweep->second.adjoint(x);
    b.set_loc(n.loc);
    if (!result.valid()) result = b.splat(Type(g.type(x)), 0);
    if (!n.name.empty() && g[result].name.empty()) g[result].name = n.name;
    now[id] = result;
  }
  for (const GraphInput& in : old.inputs) g.inputs.push_back({in.name, in.kind, now[in.value.id]});
  for (const GraphOutput& out : old.outputs)
    g.outputs.push_back({out.name, out.kind, now[out.value.id]});
  return g;
}

}  // namespace dlc
