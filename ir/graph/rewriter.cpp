#include "ir/graph/rewriter.h"

namespace dlc {

Graph rewrite(const Graph& old,
              const std::function<Value(GraphBuilder&, const Graph&, Value,
                                        const std::vector<Value>&)>& rewrite_node) {
  Graph g;
  g.name = old.name;
  GraphBuilder b(g);
  std::vector<Value> now(old.nodes.size());
  for (std::uint32_t id = 0; id < old.nodes.size(); ++id) {
    const Node& n = old.nodes[id];
    std::vector<Value> operands;
    operands.reserve(n.operands.size());
    for (const Value v : n.operands) operands.push_back(now[v.id]);
    b.set_loc(n.loc);
    Value v = rewrite_node(b, old, Value{id}, operands);
    if (!v.valid()) {
      Node copy = n;
      copy.operands = std::move(operands);
      v = g.append(std::move(copy));
    } else if (!n.name.empty() && g[v].name.empty()) {
      g[v].name = n.name;
    }
    DLC_CHECK(g.type(v) == n.type, "rewriting {} changed its type from {} to {}", op_name(n.op),
              n.type.str(), g.type(v).str());
    now[id] = v;
  }
  g.take_ends(old, now);
  return g;
}

}  // namespace dlc
