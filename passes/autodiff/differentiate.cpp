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
#include <map>

#include "passes/autodiff/sweep.h"

namespace dlc {

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
      now[id] = g.append(std::move(copy));
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
      b.set_loc(old[y].loc);
      const Value one = b.splat(Type(g.type(now[y.id])), 1);
      sweep = sweeps.emplace(y.id, Sweep(b, {{now[y.id], one}}, xs)).first;
    }
    const Value x = now[n.operands[1].id];
    Value result = sweep->second.adjoint(x);
    b.set_loc(n.loc);
    if (!result.valid()) result = b.splat(Type(g.type(x)), 0);
    if (!n.name.empty() && g[result].name.empty()) g[result].name = n.name;
    now[id] = result;
  }
  g.take_ends(old, now);
  return g;
}

}  // namespace dlc
