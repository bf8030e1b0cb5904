#include "frontend/sema/program.h"

#include <algorithm>
#include <atomic>
#include <numeric>

namespace dlc::sema {

namespace {

/// FNV-1a: streams follow the name, so that a parameter keeps its initial value when others come
/// and go.
std::uint32_t hash(const std::string& text) {
  std::uint32_t h = 2166136261u;
  for (const char ch : text) h = (h ^ static_cast<unsigned char>(ch)) * 16777619u;
  return h;
}

std::int64_t next_serial() {
  static std::atomic<std::int64_t> last{0};
  return ++last;
}

}  // namespace

Program::Program(std::string name, bool is_training, std::string random_domain)
    : b(graph), training(is_training), serial(next_serial()) {
  graph.name = std::move(name);
  set_random_domain(random_domain);
}

Program::Program(Program& around)
    : b(graph), training(around.training), serial(around.serial), outer(&around) {
  graph.name = "body";
  wanted = around.wanted;
}

Value Program::region_input(const std::string& name, InputKind kind, Type type, Value from,
                            std::vector<DimOrigin> axes) {
  std::string unique = name;
  for (int k = 2; graph.find_input(unique); ++k) unique = fmt::format("{}_{}", name, k);
  const Value v = b.input(unique, kind, std::move(type));
  origins.resize(graph.nodes.size());
  origins[v.id] = std::move(axes);
  operands_.push_back(from);
  return v;
}

Value Program::capture(const TensorRef& t) {
  const Value from = outer->contains(t) ? t.value : outer->capture(t);
  if (const auto known = captured_.find(from); known != captured_.end()) return known->second;
  const std::string& name = outer->graph[from].name;
  const Value v = region_input(
      name.empty() ? fmt::format("captured{}", captured_.size()) : name, InputKind::Captured,
      outer->type(from), from,
      from.id < outer->origins.size() ? outer->origins[from.id] : std::vector<DimOrigin>{});
  return captured_[from] = v;
}

Value Program::turn() {
  if (turn_.valid()) return turn_;
  const Value all = outer->b.node(
      Op::iota, {},
      {{"shape", Shape{turns}}, {"axis", std::int64_t{0}}, {"element", std::string("i64")}});
  return turn_ = region_input("turn", InputKind::Scanned, {ElementType::I64, {}}, all, {});
}

std::vector<Value> Program::sort_region_inputs() {
  std::vector<std::size_t> order(graph.inputs.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t x, std::size_t y) {
    return graph.inputs[x].kind < graph.inputs[y].kind;
  });
  std::vector<GraphInput> inputs;
  std::vector<Value> operands;
  for (const std::size_t k : order) {
    inputs.push_back(graph.inputs[k]);
    operands.push_back(operands_[k]);
  }
  graph.inputs = std::move(inputs);
  return operands;
}

Value Program::random_step() {
  // What is computed once, before training, has no step.
  if (!outer) return training ? scalar_input("step") : b.scalar(ElementType::I64, 0);
  const Value step = capture(outer->ref(outer->random_step()));
  const Value one = b.scalar(ElementType::I64, 1);
  const Value far = b.constant(Literal::scalar(ElementType::I64, 0x1p32));
  return b.add(step, b.mul(b.add(turn(), one), far));
}

Value Program::scalar_input(const std::string& name) {
  if (outer) return capture(outer->ref(outer->scalar_input(name)));
  if (const GraphInput* in = graph.find_input(name)) return in->value;
  return b.input(name, InputKind::Scalar, {ElementType::I64, {}});
}

std::int64_t Program::next_stream() {
  if (outer) return outer->next_stream();
  return static_cast<std::int64_t>(domain_ + 0x9E3779B9u * draws_++);
}

void Program::set_random_domain(const std::string& domain) {
  domain_ = hash(domain);
  draws_ = 0;
}

Graph extract(const Graph& g, const std::string& name, bool (*keep)(OutputKind),
              std::vector<std::uint32_t>* position) {
  std::vector<bool> needed(g.nodes.size(), false);
  for (const GraphOutput& out : g.outputs)
    if (keep(out.kind)) needed[out.value.id] = true;
  for (std::size_t id = g.nodes.size(); id-- > 0;)
    if (needed[id])
      for (const Value v : g.nodes[id].operands) needed[v.id] = true;
  Graph result;
  result.name = name;
  std::vector<std::uint32_t> before{0};
  for (std::size_t id = 0; id < g.nodes.size(); ++id) {
    before.push_back(before.back() + (needed[id] ? 1 : 0));
    if (!needed[id]) continue;
    Node n = g.nodes[id];
    for (Value& v : n.operands) v = Value{before[v.id]};
    result.append(std::move(n));
  }
  for (const GraphInput& in : g.inputs)
    if (needed[in.value.id])
      result.inputs.push_back({in.name, in.kind, Value{before[in.value.id]}});
  for (const GraphOutput& out : g.outputs)
    if (keep(out.kind)) result.outputs.push_back({out.name, out.kind, Value{before[out.value.id]}});
  if (position) *position = std::move(before);
  return result;
}

}  // namespace dlc::sema
