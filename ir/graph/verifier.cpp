#include <set>

#include "ir/graph/text.h"
#include "ir/op_def.h"
#include "ir/ops/common.h"

namespace dlc {

namespace {

void verify_node(const Graph& g, std::uint32_t id) {
  const Node& n = g.nodes[id];
  std::vector<Type> types;
  for (const Value v : n.operands) {
    DLC_CHECK(v.id < id, "graph {}: node {} ({}) uses node {}, which does not precede it", g.name,
              id, op_name(n.op), v.id);
    types.push_back(g.type(v));
  }
  if (n.op == Op::input) {
    std::string error;
    DLC_CHECK(ops::shape_is_sane(n.type.shape, error), "graph {}: node {} (input): {}", g.name, id,
              error);
    DLC_CHECK(n.operands.empty(), "graph {}: node {} (input) has operands", g.name, id);
    return;
  }
  for (const auto& [key, a] : n.attrs)
    if (const auto* region = std::get_if<std::shared_ptr<const Graph>>(&a)) verify(**region);
  const Inferred inferred = infer_type(n.op, types, n.attrs);
  DLC_CHECK(inferred.type, "graph {}: node {} ({}): {}", g.name, id, op_name(n.op), inferred.error);
  DLC_CHECK(*inferred.type == n.type, "graph {}: node {} ({}) is typed {}, inference says {}",
            g.name, id, op_name(n.op), n.type.str(), inferred.type->str());
}

}  // namespace

void verify(const Graph& g) {
  for (std::uint32_t id = 0; id < g.nodes.size(); ++id) verify_node(g, id);
  std::set<std::string> names;
  std::set<std::uint32_t> input_nodes;
  for (const GraphInput& in : g.inputs) {
    DLC_CHECK(in.value.id < g.nodes.size() && g[in.value].op == Op::input,
              "graph {}: input `{}` is no input node", g.name, in.name);
    DLC_CHECK(names.insert(in.name).second, "graph {}: two inputs are named `{}`", g.name, in.name);
    DLC_CHECK(input_nodes.insert(in.value.id).second, "graph {}: node {} is two inputs", g.name,
              in.value.id);
  }
  for (std::uint32_t id = 0; id < g.nodes.size(); ++id)
    DLC_CHECK(g.nodes[id].op != Op::input || input_nodes.contains(id),
              "graph {}: node {} is an input without a name", g.name, id);
  std::set<std::pair<OutputKind, std::string>> outputs;
  for (const GraphOutput& out : g.outputs) {
    DLC_CHECK(out.value.id < g.nodes.size(), "graph {}: output `{}` has no node", g.name, out.name);
    DLC_CHECK(outputs.insert({out.kind, out.name}).second, "graph {}: two outputs are named `{}`",
              g.name, out.name);
    if (out.kind != OutputKind::Update) continue;
    const GraphInput* in = g.find_input(out.name);
    DLC_CHECK(in && (in->kind == InputKind::Param || in->kind == InputKind::State),
              "graph {}: the update `{}` has no parameter or state", g.name, out.name);
    DLC_CHECK(g.type(in->value) == g.type(out.value),
              "graph {}: the update of `{}` has another type", g.name, out.name);
  }
}

}  // namespace dlc
