#include <map>

#include "ir/graph/gradient_path.h"
#include "ir/graph/scan.h"

namespace dlc {

namespace {

/// A scan without the results that nobody takes, the carried values that only lead to such, and the
/// operands that nothing needs. A carried value that stays the same in all turns is captured.
struct Trimmed {
  std::vector<Value> operands;
  Graph body;
  std::map<std::int64_t, std::int64_t> result_of;  // new number by the old one
  std::map<std::int64_t, Value> same_as;           // a result that is an operand
};

Trimmed trim(const Node& n, const std::vector<bool>& taken) {
  const Scan s(n);
  std::vector<bool> live(s.carried + s.yields), constant(s.carried);
  for (std::size_t k = 0; k < live.size(); ++k) live[k] = taken[k];
  for (std::size_t k = 0; k < s.carried; ++k) constant[k] = s.carry(k) == s.input(k);
  std::vector<bool> needed;
  for (bool changed = true; changed;) {
    changed = false;
    std::vector<Value> outputs;
    for (std::size_t k = 0; k < live.size(); ++k)
      if (live[k]) outputs.push_back(s.body.outputs[k].value);
    needed = leading_to(s.body, outputs);
    for (std::size_t k = 0; k < s.carried; ++k)
      if (needed[s.input(k).id] && !live[k]) live[k] = changed = true;
  }
  Trimmed t;
  t.body.name = s.body.name;
  t.body.nodes = s.body.nodes;
  const auto keep = [&](std::size_t k, InputKind kind) {
    t.body.inputs.push_back({s.body.inputs[k].name, kind, s.input(k)});
    t.operands.push_back(n.operands[k]);
  };
  for (std::size_t k = 0; k < s.operands(); ++k)
    if (k < s.carried ? live[k] && !constant[k] : needed[s.input(k).id])
      keep(k, s.body.inputs[k].kind);
  for (std::size_t k = 0; k < s.carried; ++k)
    if (constant[k] && needed[s.input(k).id]) keep(k, InputKind::Captured);
  if (s.conditional) {
    t.body.inputs.push_back(s.body.inputs.back());
    t.operands.push_back(s.condition());
  }
  for (std::size_t k = 0; k < live.size(); ++k) {
    if (!live[k]) continue;
    if (k < s.carried && constant[k]) {
      t.same_as[static_cast<std::int64_t>(k)] = n.operands[k];
      continue;
    }
    t.result_of[static_cast<std::int64_t>(k)] = static_cast<std::int64_t>(t.body.outputs.size());
    t.body.outputs.push_back(s.body.outputs[k]);
  }
  t.body = without_dead_nodes(t.body);
  return t;
}

}  // namespace

/// Inputs stay, used or not: the signature of a program does not change.
Graph run_dce(const Graph& old) {
  std::vector<bool> live(old.nodes.size(), false);
  std::map<std::uint32_t, std::vector<bool>> taken;  // results, by scan
  std::map<std::uint32_t, Trimmed> trimmed;
  for (const GraphInput& in : old.inputs) live[in.value.id] = true;
  for (const GraphOutput& out : old.outputs) live[out.value.id] = true;
  for (std::uint32_t id = static_cast<std::uint32_t>(old.nodes.size()); id-- > 0;) {
    const Node& n = old.nodes[id];
    if (!live[id]) continue;
    if (n.op == Op::part) {
      std::vector<bool>& results = taken[n.operands[0].id];
      results.resize(old[n.operands[0]].type.parts.size(), false);
      results[static_cast<std::size_t>(n.int_attr("index"))] = true;
    }
    if (n.op == Op::scan) trimmed[id] = trim(n, taken.at(id));
    for (const Value v : n.op == Op::scan ? trimmed[id].operands : n.operands) live[v.id] = true;
    if (n.op == Op::scan)
      for (const auto& [result, operand] : trimmed[id].same_as) live[operand.id] = true;
  }
  Graph g;
  g.name = old.name;
  std::vector<Value> now(old.nodes.size());
  for (std::uint32_t id = 0; id < old.nodes.size(); ++id) {
    if (!live[id]) continue;
    Node n = old.nodes[id];
    if (n.op == Op::part) {
      const Trimmed& t = trimmed.at(n.operands[0].id);
      if (const auto same = t.same_as.find(n.int_attr("index")); same != t.same_as.end()) {
        now[id] = now[same->second.id];
        continue;
      }
      n.attrs["index"] = t.result_of.at(n.int_attr("index"));
    }
    if (n.op == Op::scan) {
      Trimmed& t = trimmed.at(id);
      if (t.body.outputs.empty()) continue;  // all results are operands
      n.operands = t.operands;
      std::vector<Type> types;
      for (const Value v : n.operands) types.push_back(old.type(v));
      set_scan_body(n, std::move(t.body), types);
    }
    for (Value& v : n.operands) v = now[v.id];
    now[id] = g.append(std::move(n));
  }
  g.take_ends(old, now);
  return g;
}

}  // namespace dlc
