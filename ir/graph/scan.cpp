#include "ir/graph/scan.h"

#include <set>

#include "ir/op_def.h"

namespace dlc {

namespace {

std::string unique_name(std::set<std::string>& taken, const std::string& name) {
  std::string result = name;
  for (int k = 2; !taken.insert(result).second; ++k) result = fmt::format("{}_{}", name, k);
  return result;
}

}  // namespace

Scan::Scan(const Node& n)
    : node(n),
      body(n.graph_attr("body")),
      length(n.shape_attr("length").at(0)),
      reverse(n.int_attr("reverse") != 0) {
  for (const GraphInput& in : body.inputs) {
    carried += in.kind == InputKind::Carried;
    scanned += in.kind == InputKind::Scanned;
    captured += in.kind == InputKind::Captured;
    conditional = conditional || in.kind == InputKind::Condition;
  }
  yields = body.outputs.size() - carried;
}

Value make_scan(GraphBuilder& b, Graph body, std::vector<Value> operands, const Dim& length,
                bool reverse) {
  std::set<std::string> inputs, carries, yields;
  for (GraphInput& in : body.inputs) {
    in.name = unique_name(inputs, in.name);
    if (body[in.value].name.empty()) body[in.value].name = in.name;
  }
  for (GraphOutput& out : body.outputs)
    out.name = unique_name(out.kind == OutputKind::Carry ? carries : yields, out.name);
  body = without_dead_nodes(body);
  return b.node(Op::scan, std::move(operands),
                {{"body", std::make_shared<const Graph>(std::move(body))},
                 {"length", Shape{length}},
                 {"reverse", std::int64_t{reverse}}});
}

Value make_scan_like(GraphBuilder& b, const Node& scan, Graph body, std::vector<Value> operands) {
  const Scan s(scan);
  const Value made = make_scan(b, std::move(body), std::move(operands), s.length, s.reverse);
  Node& n = b.graph()[made];
  n.name = scan.name;
  for (const auto& [key, value] : scan.attrs) n.attrs.emplace(key, value);  // what it lacks
  return made;
}

Value part(GraphBuilder& b, Value of, std::size_t k) {
  return b.node(Op::part, {of}, {{"index", static_cast<std::int64_t>(k)}});
}

void set_scan_body(Node& scan, Graph body, const std::vector<Type>& types) {
  std::set<std::string> yields;
  for (GraphOutput& out : body.outputs)
    if (out.kind == OutputKind::Yield) out.name = unique_name(yields, out.name);
  scan.attrs["body"] = std::make_shared<const Graph>(std::move(body));
  Inferred inferred = infer_type(Op::scan, types, scan.attrs);
  DLC_CHECK(inferred.type, "a scan's new body: {}", inferred.error);
  scan.type = std::move(*inferred.type);
}

Graph without_dead_nodes(const Graph& body) {
  std::vector<bool> live(body.nodes.size(), false);
  for (const GraphOutput& out : body.outputs) live[out.value.id] = true;
  for (std::size_t id = body.nodes.size(); id-- > 0;)
    if (live[id])
      for (const Value v : body.nodes[id].operands) live[v.id] = true;
  Graph g;
  g.name = body.name;
  std::vector<Value> now(body.nodes.size());
  const auto copy = [&](Value v) {
    Node n = body[v];
    for (Value& o : n.operands) o = now[o.id];
    now[v.id] = g.append(std::move(n));
  };
  for (const GraphInput& in : body.inputs) copy(in.value);
  for (std::uint32_t id = 0; id < body.nodes.size(); ++id)
    if (live[id] && !now[id].valid()) copy(Value{id});
  g.take_ends(body, now);
  return g;
}

bool has_region(const Node& n) { return n.attrs.contains("body"); }

Graph map_regions(const Graph& g, Graph (*f)(const Graph&)) {
  Graph result = g;
  for (Node& n : result.nodes)
    if (has_region(n))
      n.attrs["body"] = std::make_shared<const Graph>(f(map_regions(n.graph_attr("body"), f)));
  return result;
}

}  // namespace dlc
