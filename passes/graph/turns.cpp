#include "passes/graph/turns.h"

#include <algorithm>

#include "ir/op_def.h"

namespace dlc {

std::vector<Varies> varies(const Scan& s) {
  std::vector<Varies> result(s.body.nodes.size(), Varies::Never);
  for (std::size_t k = 0; k < s.carried + s.scanned; ++k)
    result[s.input(k).id] = k < s.carried ? Varies::WithTurn : Varies::WithSlice;
  for (std::size_t id = 0; id < result.size(); ++id)
    for (const Value o : s.body.nodes[id].operands) result[id] = std::max(result[id], result[o.id]);
  return result;
}

std::optional<Outside> OutsideBuilder::build(Value v) {
  auto& known = known_[v.id];
  if (!known) known = compute(v);
  return *known;
}

std::optional<Outside> OutsideBuilder::compute(Value v) {
  if (varies_[v.id] == Varies::WithTurn) return std::nullopt;
  const Node& n = s_.body[v];
  if (n.op == Op::input) {
    for (std::size_t k = s_.carried; k < s_.operands(); ++k)
      if (s_.input(k) == v) return Outside{s_.node.operands[k], k < s_.carried + s_.scanned};
    return std::nullopt;
  }
  if (n.op == Op::scan || n.op == Op::part) return std::nullopt;
  std::vector<Value> operands;
  std::vector<bool> stacked;
  for (const Value o : n.operands) {
    const auto outside = build(o);
    if (!outside) return std::nullopt;
    operands.push_back(outside->value);
    stacked.push_back(outside->stacked);
  }
  b_.set_loc(n.loc);
  const bool any = std::find(stacked.begin(), stacked.end(), true) != stacked.end();
  const Value result = any ? op_def(n.op).stack(b_, n, operands, stacked, s_.length)
                           : b_.node(n.op, std::move(operands), n.attrs);
  if (!result.valid()) return std::nullopt;
  Node& made = b_.graph()[result];
  if (made.name.empty()) made.name = n.name;
  return Outside{result, any};
}

Graph rewrite_scans(const Graph& old,
                    const std::function<RewrittenScan(GraphBuilder&, const Node&)>& rewrite) {
  Graph g;
  g.name = old.name;
  GraphBuilder b(g);
  std::vector<Value> now(old.nodes.size());
  std::map<std::uint32_t, RewrittenScan> scans;
  for (std::uint32_t id = 0; id < old.nodes.size(); ++id) {
    Node n = old.nodes[id];
    if (n.op == Op::part) {
      const auto& results = scans.at(n.operands[0].id).results;
      const auto other = results.find(static_cast<std::size_t>(n.int_attr("index")));
      if (other != results.end()) {
        now[id] = other->second;
        continue;
      }
    }
    for (Value& v : n.operands) v = now[v.id];
    if (n.op == Op::scan) {
      b.set_loc(n.loc);
      now[id] = (scans[id] = rewrite(b, n)).scan;
      continue;
    }
    now[id] = g.append(std::move(n));
  }
  g.take_ends(old, now);
  return g;
}

}  // namespace dlc
