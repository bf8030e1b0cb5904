// The reverse of a scan is a scan in the other direction.
//
//   scan  h <- f(h, x, w), yields y        reverse scan  dh, dx, dw += f'(h, x, w; dh, dy)
//
// Its body holds the adjoints of one turn. What they need of the turn's own values is either
// stored, as a further yield of the forward scan (contractions, reductions, costly functions, the
// carried values at the beginning of the turn), or computed again (everything cheap; with
// the attribute `checkpoint` all but the carried values). The sum of
// dw over the turns is carried; `sink_sums` later makes one large contraction of it where it can.
//
//   F     the body, followed by its adjoints: one graph, from which both bodies are taken
//         forward: the outputs, and the stored values
//         reverse: the adjoints, with scanned inputs in the place of the stored values
#include "ir/graph/scan.h"

#include <algorithm>
#include <set>

#include "ir/graph/gradient_path.h"
#include "ir/op_def.h"
#include "passes/autodiff/sweep.h"
#include "passes/graph/costly.h"

namespace dlc {

namespace {

/// Stored by the forward scan when the reverse needs it.
bool is_worth_storing(const Node& n) {
  return n.op == Op::contract || n.op == Op::conv || n.op == Op::part ||
         lowers_as<LowerReduce>(n.op) || lowers_as<LowerScatter>(n.op) ||
         (is_costly(n.op) && n.op != Op::random_uniform);
}

class ScanGradient {
 public:
  ScanGradient(GraphBuilder& b, Value scan, const std::map<std::size_t, Value>& results,
               const std::vector<bool>& wanted)
      : b_(b), scan_(scan), node_(b.graph()[scan]), s_(node_), results_(results), wanted_(wanted) {}

  std::vector<Value> run() {
    find_flow();
    copy_body();
    add_adjoints();
    choose_stored();
    extend_forward();
    return reverse();
  }

 private:
  bool is_float_input(std::size_t k) const { return is_float(s_.body.type(s_.input(k)).element); }
  bool is_carried(std::size_t k) const { return k < s_.carried; }
  bool is_scanned(std::size_t k) const { return !is_carried(k) && k < s_.carried + s_.scanned; }

  /// Which inputs of the body the gradient is wanted of, and which carried values it flows through
  /// from turn to turn.
  void find_flow() {
    active_.assign(s_.operands(), false);
    for (std::size_t k = 0; k < active_.size(); ++k) active_[k] = wanted_[k] && is_float_input(k);
    seeded_.assign(s_.carried, false);
    for (std::size_t k = 0; k < s_.carried; ++k) seeded_[k] = results_.contains(k);
    for (bool changed = true; changed;) {
      changed = false;
      std::vector<Value> from, to;
      for (std::size_t k = 0; k < active_.size(); ++k)
        if (active_[k]) from.push_back(s_.input(k));
      for (std::size_t k = 0; k < s_.carried; ++k)
        if (seeded_[k]) to.push_back(s_.carry(k));
      for (std::size_t k = 0; k < s_.yields; ++k)
        if (results_.contains(s_.carried + k)) to.push_back(s_.yield(k));
      const std::vector<bool> reached = reached_from(s_.body, from),
                              needed = leading_to(s_.body, to);
      for (std::size_t k = 0; k < s_.carried; ++k) {
        if (!is_float_input(k)) continue;
        if (!active_[k] && reached[s_.carry(k).id]) active_[k] = changed = true;
        if (!seeded_[k] && needed[s_.input(k).id]) seeded_[k] = changed = true;
      }
    }
  }

  /// Carried by the reverse scan.
  bool flows(std::size_t carried) const { return active_[carried] && seeded_[carried]; }

  void copy_body() {
    f_ = s_.body;
    inputs_of_body_ = f_.inputs;
    f_.outputs.clear();
  }

  Value new_input(const std::string& name, InputKind kind, const Type& type) {
    std::string unique = name;
    for (int k = 2; f_.find_input(unique); ++k) unique = fmt::format("{}_{}", name, k);
    return GraphBuilder(f_).input(unique, kind, type);
  }

  void add_adjoints() {
    GraphBuilder b(f_);
    b.set_loc(node_.loc);
    std::vector<Seed> seeds;
    for (std::size_t k = 0; k < s_.carried; ++k) {
      carried_in_.emplace_back();
      if (!flows(k)) continue;
      const Value v = s_.carry(k);
      carried_in_[k] = new_input("d_" + s_.body.inputs[k].name, InputKind::Carried, f_.type(v));
      seeds.push_back({v, carried_in_[k]});
    }
    for (std::size_t k = 0; k < s_.yields; ++k) {
      yield_in_.emplace_back();
      if (!results_.contains(s_.carried + k)) continue;
      const Value v = s_.yield(k);
      yield_in_[k] =
          new_input("d_" + s_.body.outputs[s_.carried + k].name, InputKind::Scanned, f_.type(v));
      seeds.push_back({v, yield_in_[k]});
    }
    for (std::size_t k = 0; k < s_.operands(); ++k) {
      sum_in_.emplace_back();
      if (is_carried(k) || is_scanned(k) || !active_[k]) continue;
      sum_in_[k] =
          new_input("sum_" + s_.body.inputs[k].name, InputKind::Carried, f_.type(s_.input(k)));
    }
    std::vector<Value> xs;
    for (std::size_t k = 0; k < s_.operands(); ++k)
      if (active_[k]) xs.push_back(s_.input(k));
    const Sweep sweep(b, seeds, xs);
    for (std::size_t k = 0; k < s_.operands(); ++k) {
      Value d = active_[k] ? sweep.adjoint(s_.input(k)) : Value{};
      b.set_loc(node_.loc);
      if (is_carried(k) && flows(k)) {
        // A value that passes through has the adjoint that came in.
        if (!d.valid()) d = b.splat(Type(f_.type(s_.input(k))), 0);
      } else if (!d.valid()) {
        sum_in_[k] = Value{};
      } else if (sum_in_[k].valid()) {
        d = b.add(sum_in_[k], d);
      }
      adjoint_.push_back(d);
    }
  }

  /// Values of the turn itself, which depend on no adjoint.
  std::vector<bool> own_values() const {
    std::vector<bool> own(f_.nodes.size(), true);
    for (const std::vector<Value>* list : {&carried_in_, &yield_in_, &sum_in_})
      for (const Value v : *list)
        if (v.valid()) own[v.id] = false;
    for (std::size_t id = 0; id < own.size(); ++id)
      for (const Value o : f_.nodes[id].operands) own[id] = own[id] && own[o.id];
    return own;
  }

  /// From the adjoints backwards to what is stored, or given in every turn.
  void choose_stored() {
    const std::vector<bool> own = own_values();
    needed_.assign(f_.nodes.size(), false);
    std::vector<Value> open;
    for (const Value v : adjoint_)
      if (v.valid()) open.push_back(v);
    std::set<Value> carried;
    for (std::size_t k = 0; k < s_.carried; ++k) carried.insert(s_.input(k));
    while (!open.empty()) {
      const Value v = open.back();
      open.pop_back();
      if (needed_[v.id]) continue;
      needed_[v.id] = true;
      const Node& n = f_[v];
      if (own[v.id] && (carried.contains(v) || (!checkpoints_ && is_worth_storing(n)))) {
        stored_.insert(v);
        continue;
      }
      open.insert(open.end(), n.operands.begin(), n.operands.end());
    }
  }

  /// Gives the scan the stored values as results; which one each is.
  void extend_forward() {
    Graph body;
    body.name = s_.body.name;
    body.nodes = f_.nodes;
    body.inputs = inputs_of_body_;
    body.outputs = s_.body.outputs;
    for (const Value v : stored_) {
      const auto known =
          std::find_if(body.outputs.begin() + static_cast<std::ptrdiff_t>(s_.carried),
                       body.outputs.end(), [&](const GraphOutput& o) { return o.value == v; });
      result_of_[v] = static_cast<std::size_t>(known - body.outputs.begin());
      if (known != body.outputs.end()) continue;
      const std::string& name = f_[v].name;
      body.outputs.push_back(
          {name.empty() ? fmt::format("stored{}", v.id) : name, OutputKind::Yield, v});
    }
    if (body.outputs.size() == s_.body.outputs.size()) return;
    set_body(b_.graph()[scan_], without_dead_nodes(body));
  }

  void set_body(Node& scan, Graph body) {
    std::vector<Type> types;
    for (const Value o : scan.operands) types.push_back(b_.type(o));
    set_scan_body(scan, std::move(body), types);
  }

  std::vector<Value> reverse() {
    // The reverse body: inputs in the order of their kinds, then the needed nodes.
    Graph r;
    r.name = "reverse";
    GraphBuilder rb(r);
    std::vector<Value> now(f_.nodes.size());
    std::vector<Value> operands;
    const auto input = [&](Value v, InputKind kind, Value operand, const std::string& name) {
      rb.set_loc(f_[v].loc);
      now[v.id] = rb.input(fmt::format("{}.{}", name, operands.size()), kind, f_.type(v));
      r[now[v.id]].name = name;
      operands.push_back(operand);
    };
    b_.set_loc(node_.loc);
    const auto zeros = [&](Value like) { return b_.splat(Type(f_.type(like)), 0); };
    for (std::size_t k = 0; k < s_.carried; ++k) {
      if (!carried_in_[k].valid()) continue;
      const auto given = results_.find(k);
      input(carried_in_[k], InputKind::Carried,
            given == results_.end() ? zeros(carried_in_[k]) : given->second,
            f_[carried_in_[k]].name);
    }
    for (std::size_t k = 0; k < s_.operands(); ++k)
      if (sum_in_[k].valid())
        input(sum_in_[k], InputKind::Carried, zeros(sum_in_[k]), f_[sum_in_[k]].name);
    for (std::size_t k = 0; k < s_.yields; ++k)
      if (yield_in_[k].valid() && needed_[yield_in_[k].id])
        input(yield_in_[k], InputKind::Scanned, results_.at(s_.carried + k), f_[yield_in_[k]].name);
    for (const Value v : stored_)
      input(v, InputKind::Scanned, part(b_, scan_, result_of_.at(v)), f_[v].name);
    for (const bool scanned : {true, false})
      for (std::size_t k = s_.carried; k < s_.operands(); ++k)
        if (is_scanned(k) == scanned && needed_[s_.input(k).id])
          input(s_.input(k), scanned ? InputKind::Scanned : InputKind::Captured, node_.operands[k],
                f_[s_.input(k)].name);
    if (s_.conditional) {
      rb.input("condition", InputKind::Condition, {ElementType::Bool, {}});
      operands.push_back(s_.condition());
    }
    for (std::uint32_t id = 0; id < f_.nodes.size(); ++id) {
      if (!needed_[id] || now[id].valid()) continue;
      Node n = f_.nodes[id];
      for (Value& o : n.operands) o = now[o.id];
      now[id] = r.append(std::move(n));
    }
    std::vector<std::size_t> results(s_.operands(), SIZE_MAX);
    const auto output = [&](std::size_t k, OutputKind kind) {
      results[k] = r.outputs.size();
      rb.output("d_" + s_.body.inputs[k].name, kind, now[adjoint_[k].id]);
    };
    for (std::size_t k = 0; k < s_.carried; ++k)
      if (carried_in_[k].valid()) output(k, OutputKind::Carry);
    for (std::size_t k = 0; k < s_.operands(); ++k)
      if (sum_in_[k].valid()) output(k, OutputKind::Carry);
    for (std::size_t k = 0; k < s_.operands(); ++k)
      if (is_scanned(k) && adjoint_[k].valid()) output(k, OutputKind::Yield);
    std::vector<Value> adjoints(s_.operands());
    if (r.outputs.empty()) return adjoints;
    const Value scan = make_scan(b_, std::move(r), std::move(operands), s_.length, !s_.reverse);
    if (checkpoints_) b_.graph()[scan].attrs["checkpoint"] = std::int64_t{1};
    for (std::size_t k = 0; k < s_.operands(); ++k)
      if (results[k] != SIZE_MAX && wanted_[k]) adjoints[k] = part(b_, scan, results[k]);
    return adjoints;
  }

  GraphBuilder& b_;
  Value scan_;
  const Node node_;  // a copy: building moves the nodes
  const Scan s_;
  const std::map<std::size_t, Value>& results_;
  const std::vector<bool>& wanted_;
  const bool checkpoints_ = node_.attrs.contains("checkpoint");
  std::vector<bool> active_;  // by input of the body
  std::vector<bool> seeded_;  // by carried value
  Graph f_;
  std::vector<GraphInput> inputs_of_body_;
  std::vector<Value> carried_in_, yield_in_, sum_in_;  // inputs for adjoints, where there are any
  std::vector<Value> adjoint_;                         // in f_, by input of the body
  std::vector<bool> needed_;                           // in f_, by the reverse body
  std::set<Value> stored_;                             // in f_
  std::map<Value, std::size_t> result_of_;
};

}  // namespace

std::vector<Value> differentiate_scan(GraphBuilder& b, Value scan,
                                      const std::map<std::size_t, Value>& results,
                                      const std::vector<bool>& wanted) {
  return ScanGradient(b, scan, results, wanted).run();
}

}  // namespace dlc
