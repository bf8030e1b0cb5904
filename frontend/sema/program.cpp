#include "frontend/sema/program.h"

#include <atomic>

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

Value Program::scalar_input(const std::string& name) {
  if (const GraphInput* in = graph.find_input(name)) return in->value;
  return b.input(name, InputKind::Scalar, {ElementType::I64, {}});
}

std::int64_t Program::next_stream() {
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
    result.nodes.push_back(std::move(n));
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
