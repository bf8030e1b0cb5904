// A training step on a batch becomes one on the whole data set and the numbers of the batch's rows:
//
//   %x: f32[N, 2] = input input    =>    %rows: i32[N] = input rows
//                                        %x: f32[rows.count, 2] = input input
//                                        %x.batch: f32[N, 2] = gather %x, %rows {axis = 0}
//
// The gather is later fused with what reads the batch, so a shuffled epoch copies nothing.
#include <optional>

#include "ir/graph/builder.h"

namespace dlc {

namespace {

/// The lone symbol of axis 0, when that is what the input's rows are counted by.
std::optional<std::string> row_symbol(const Graph& g, const GraphInput& in) {
  const Type& type = g.type(in.value);
  if ((in.kind != InputKind::Input && in.kind != InputKind::Target) || type.shape.empty())
    return std::nullopt;
  const std::vector<std::string> names = type.shape[0].symbols();
  if (names.size() != 1 || !(type.shape[0] == Dim::symbol(names[0]))) return std::nullopt;
  return names[0];
}

}  // namespace

Graph run_gather_rows(const Graph& old) {
  std::optional<std::string> batch;
  for (const GraphInput& in : old.inputs) {
    if (in.kind == InputKind::Rows) return old;
    if (!batch) batch = row_symbol(old, in);
  }
  if (!batch) return old;
  if (old.find_input("rows"))
    throw UserError("an input is named `rows`, which is the name of the batch's row numbers");
  const Dim all = Dim::symbol("rows.count");
  Graph g;
  g.name = old.name;
  GraphBuilder b(g);
  const Value rows = b.input("rows", InputKind::Rows, {ElementType::I32, {Dim::symbol(*batch)}});
  std::vector<Value> now(old.nodes.size());
  for (const GraphInput& in : old.inputs) {
    Node n = old[in.value];
    if (row_symbol(old, in) == batch) n.type.shape[0] = all;
    const Value v{static_cast<std::uint32_t>(g.nodes.size())};
    g.inputs.push_back({in.name, in.kind, v});
    now[in.value.id] = v;
    g.nodes.push_back(std::move(n));
  }
  for (std::uint32_t id = 0; id < old.nodes.size(); ++id) {
    const Node& n = old.nodes[id];
    if (n.op == Op::input) {
      if (g.type(now[id]) == n.type) continue;
      b.set_loc(n.loc);
      now[id] = b.node(Op::gather, {now[id], rows}, {{"axis", std::int64_t{0}}});
      if (!n.name.empty()) g[now[id]].name = n.name + ".batch";
      continue;
    }
    Node copy = n;
    for (Value& v : copy.operands) v = now[v.id];
    now[id] = Value{static_cast<std::uint32_t>(g.nodes.size())};
    g.nodes.push_back(std::move(copy));
  }
  for (const GraphOutput& out : old.outputs)
    g.outputs.push_back({out.name, out.kind, now[out.value.id]});
  return g;
}

}  // namespace dlc
