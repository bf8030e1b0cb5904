#include "ir/graph/graph.h"

#include <algorithm>
#include <array>

namespace dlc {

namespace {

template <class T>
const T& typed_attr(const Node& n, std::string_view key, const char* kind) {
  const auto at = n.attrs.find(key);
  DLC_CHECK(at != n.attrs.end(), "{} has no attribute `{}`", op_name(n.op), key);
  const T* v = std::get_if<T>(&at->second);
  DLC_CHECK(v, "the attribute `{}` of {} is no {}", key, op_name(n.op), kind);
  return *v;
}

constexpr std::array<std::string_view, kInputKinds> kInputNames = {
    "input", "target",  "param",   "state",    "scalar",
    "rows",  "carried", "scanned", "captured", "condition"};
constexpr std::array<std::string_view, kOutputKinds> kOutputNames = {
    "output", "loss", "metric", "update", "watch", "carry", "yield"};

}  // namespace

bool operator_equal(const Attr& a, const Attr& b) {
  using LiteralPtr = std::shared_ptr<const Literal>;
  const auto* x = std::get_if<LiteralPtr>(&a);
  const auto* y = std::get_if<LiteralPtr>(&b);
  if (x && y) return *x == *y || **x == **y;
  const auto* g = std::get_if<std::shared_ptr<const Graph>>(&a);
  const auto* h = std::get_if<std::shared_ptr<const Graph>>(&b);
  if (g && h) return *g == *h || **g == **h;
  return a == b;
}

bool Node::operator==(const Node& o) const {
  return op == o.op && operands == o.operands && type == o.type && loc == o.loc && name == o.name &&
         kernel == o.kernel &&
         std::equal(attrs.begin(), attrs.end(), o.attrs.begin(), o.attrs.end(),
                    [](const auto& x, const auto& y) {
                      return x.first == y.first && operator_equal(x.second, y.second);
                    });
}

std::int64_t Node::int_attr(std::string_view key) const {
  return typed_attr<std::int64_t>(*this, key, "integer");
}
const std::string& Node::str_attr(std::string_view key) const {
  return typed_attr<std::string>(*this, key, "string");
}
const std::vector<std::int64_t>& Node::ints_attr(std::string_view key) const {
  return typed_attr<std::vector<std::int64_t>>(*this, key, "list of integers");
}
const Shape& Node::shape_attr(std::string_view key) const {
  return typed_attr<Shape>(*this, key, "shape");
}
const Literal& Node::literal_attr(std::string_view key) const {
  return *typed_attr<std::shared_ptr<const Literal>>(*this, key, "literal");
}

const Graph& Node::graph_attr(std::string_view key) const {
  return *typed_attr<std::shared_ptr<const Graph>>(*this, key, "graph");
}

std::string_view name(InputKind k) { return kInputNames[static_cast<std::size_t>(k)]; }
std::string_view name(OutputKind k) { return kOutputNames[static_cast<std::size_t>(k)]; }

const GraphInput* Graph::find_input(std::string_view wanted) const {
  for (const GraphInput& in : inputs)
    if (in.name == wanted) return &in;
  return nullptr;
}

const GraphOutput* Graph::find_output(std::string_view wanted) const {
  for (const GraphOutput& out : outputs)
    if (out.name == wanted) return &out;
  return nullptr;
}

void Graph::take_ends(const Graph& from, const std::vector<Value>& now) {
  for (const GraphInput& in : from.inputs) inputs.push_back({in.name, in.kind, now[in.value.id]});
  for (const GraphOutput& out : from.outputs)
    outputs.push_back({out.name, out.kind, now[out.value.id]});
}

Value Graph::below_reshapes(Value v) const {
  while ((*this)[v].op == Op::reshape) v = (*this)[v].operands[0];
  return v;
}

std::optional<double> Graph::splat(Value v) const {
  const Node* n = &(*this)[v];
  if (n->op == Op::broadcast || n->op == Op::reshape) n = &(*this)[n->operands[0]];
  if (n->op != Op::constant) return std::nullopt;
  const Literal& l = n->literal_attr("value");
  if (!l.is_uniform()) return std::nullopt;
  return l.at(0);
}

std::vector<std::uint32_t> Graph::use_counts() const {
  std::vector<std::uint32_t> counts(nodes.size(), 0);
  for (const Node& n : nodes)
    for (const Value v : n.operands) ++counts[v.id];
  for (const GraphOutput& out : outputs) ++counts[out.value.id];
  return counts;
}

}  // namespace dlc
