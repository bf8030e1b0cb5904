// A training step on a batch becomes one on the whole data set and the numbers of the batch's rows:
//
//   %x: f32[N, 2] = input input    =>    %rows: i32[N] = input rows
//                                        %x: f32[rows.count, 2] = input input
//                                        %x.batch: f32[N, 2] = gather %x, %rows {axis = 0}
//
// Inputs that are sequences of a text have an attribute `shift`. Then the rows are the places in
// the text where they begin:
//
//   %x: i32[N, T] = input input {shift = 1}    =>    %text: i32[text.count] = input input
//   "rows.text"
//                                                    %x.batch: i32[N, T] = gather %text, rows + t +
//                                                    1
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

/// Row n holds the tokens from place rows[n] + shift on.
Value sequences(GraphBuilder& b, Value text, Value rows, const Node& n) {
  const Shape& shape = n.type.shape;
  const Attrs along{{"shape", shape}, {"axis", std::int64_t{1}}, {"element", std::string("i32")}};
  Value places = b.add(b.broadcast(rows, shape, {0}), b.node(Op::iota, {}, along));
  if (const std::int64_t shift = n.int_attr("shift"); shift != 0)
    places = b.add(places, b.splat({ElementType::I32, shape}, static_cast<double>(shift)));
  return b.node(Op::gather, {text, places}, {{"axis", std::int64_t{0}}});
}

bool is_sequence(const Node& n) { return n.attrs.contains("shift"); }

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
  Value text;
  for (const GraphInput& in : old.inputs) {
    Node n = old[in.value];
    if (is_sequence(n)) {
      if (!text.valid())
        text =
            b.input("rows.text", InputKind::Input, {ElementType::I32, {Dim::symbol("text.count")}});
      continue;
    }
    if (row_symbol(old, in) == batch) n.type.shape[0] = all;
    const Value v = g.append(std::move(n));
    g.inputs.push_back({in.name, in.kind, v});
    now[in.value.id] = v;
  }
  for (std::uint32_t id = 0; id < old.nodes.size(); ++id) {
    const Node& n = old.nodes[id];
    if (n.op == Op::input && is_sequence(n)) {
      b.set_loc(n.loc);
      now[id] = sequences(b, text, rows, n);
      if (!n.name.empty()) g[now[id]].name = n.name + ".batch";
      continue;
    }
    if (n.op == Op::input) {
      if (g.type(now[id]) == n.type) continue;
      b.set_loc(n.loc);
      now[id] = b.node(Op::gather, {now[id], rows}, {{"axis", std::int64_t{0}}});
      if (!n.name.empty()) g[now[id]].name = n.name + ".batch";
      continue;
    }
    Node copy = n;
    for (Value& v : copy.operands) v = now[v.id];
    now[id] = g.append(std::move(copy));
  }
  for (const GraphOutput& out : old.outputs)
    g.outputs.push_back({out.name, out.kind, now[out.value.id]});
  return g;
}

}  // namespace dlc
