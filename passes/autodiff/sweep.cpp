#include "passes/autodiff/sweep.h"

#include <algorithm>

#include "ir/graph/gradient_path.h"
#include "ir/graph/scan.h"
#include "ir/op_def.h"

namespace dlc {

Sweep::Sweep(GraphBuilder& b, const std::vector<Seed>& seeds, const std::vector<Value>& xs)
    : b_(b) {
  Value last = xs.empty() ? Value{0} : xs[0];
  for (const Seed& s : seeds) last = std::max(last, s.value);
  adjoint_.resize(last.id + 1);
  std::vector<Value> ys;
  const auto first = static_cast<std::uint32_t>(b.graph().nodes.size());
  for (const Seed& s : seeds) {
    ys.push_back(s.value);
    add(s.value, s.adjoint);
  }
  const std::vector<bool> wanted = nodes_between(b.graph(), xs, ys);
  for (std::uint32_t id = last.id + 1; id-- > 0;) {
    if (!wanted[id] || (!adjoint_[id].valid() && !parts_.contains(Value{id}))) continue;
    // All its users have been visited: the adjoint is complete.
    if (adjoint_[id].valid() && adjoint_[id].id >= first) name_adjoint(Value{id});
    push_back(Value{id}, wanted);
  }
}

void Sweep::add(Value to, Value adjoint) {
  DLC_CHECK(b_.type(adjoint) == b_.type(to), "the adjoint of a {} is a {}", b_.type(to).str(),
            b_.type(adjoint).str());
  Value& sum = adjoint_[to.id];
  sum = sum.valid() ? b_.add(sum, adjoint) : adjoint;
}

void Sweep::name_adjoint(Value v) {
  const std::string& name = b_.graph()[v].name;
  Node& adjoint = b_.graph()[adjoint_[v.id]];
  if (!name.empty() && adjoint.name.empty()) adjoint.name = "d_" + name;
}

void Sweep::push_back(Value v, const std::vector<bool>& wanted) {
  const Node n = b_.graph()[v];  // a copy: building moves the nodes
  const Gradient& gradient = op_def(n.op).gradient;
  if (std::holds_alternative<ZeroGradient>(gradient)) return;
  b_.set_loc(n.loc);
  if (std::holds_alternative<GradientOfRegion>(gradient)) return push_back_region(v, wanted);
  const bool needed = std::any_of(n.operands.begin(), n.operands.end(), [&](Value o) {
    return wanted[o.id] && is_float(b_.type(o).element);
  });
  if (!needed) return;
  const auto* rule = std::get_if<GradientFn>(&gradient);
  DLC_CHECK(rule, "a gradient reaches {}, which has none", op_name(n.op));
  const std::vector<Value> parts = (*rule)(b_, v, adjoint_[v.id]);
  DLC_CHECK(parts.size() == n.operands.size() || n.operands.empty(),
            "the gradient of {} has {} parts for {} operands", op_name(n.op), parts.size(),
            n.operands.size());
  for (std::size_t k = 0; k < parts.size(); ++k) {
    const Value o = n.operands[k];
    if (parts[k].valid() && wanted[o.id] && is_float(b_.type(o).element)) add(o, parts[k]);
  }
}

void Sweep::push_back_region(Value v, const std::vector<bool>& wanted) {
  const Node n = b_.graph()[v];
  if (n.op == Op::part) {
    Value& sum = parts_[n.operands[0]][static_cast<std::size_t>(n.int_attr("index"))];
    sum = sum.valid() ? b_.add(sum, adjoint_[v.id]) : adjoint_[v.id];
    return;
  }
  std::vector<bool> wanted_operands;
  for (const Value o : n.operands)
    wanted_operands.push_back(wanted[o.id] && is_float(b_.type(o).element));
  const std::vector<Value> adjoints = differentiate_scan(b_, v, parts_.at(v), wanted_operands);
  for (std::size_t k = 0; k < adjoints.size(); ++k)
    if (adjoints[k].valid()) add(n.operands[k], adjoints[k]);
}

}  // namespace dlc
