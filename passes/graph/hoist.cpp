// Out of a scan goes what need not be done turn by turn:
//
//   a value that never varies     once, before the scan, where it is worth a place in memory
//   a contraction of slices       of all slices at once: one large matrix product
//
//   scan (x in xs) { ... x @ w ... }    =>    ys = xs @ w; scan (y in ys) { ... y ... }
//
// And into it go numbers and what repeats them: nothing is read from memory that is a constant.
#include <algorithm>

#include "ir/op_def.h"
#include "passes/graph/costly.h"
#include "passes/graph/turns.h"

namespace dlc {

namespace {

bool is_contraction(const Node& n) { return n.op == Op::contract || n.op == Op::conv; }

bool is_worth_hoisting(const Node& n, Varies how) {
  if (is_contraction(n)) return true;
  return how == Varies::Never && !n.operands.empty() &&
         (lowers_as<LowerReduce>(n.op) || n.op == Op::convert || lowers_as<LowerScatter>(n.op) ||
          is_costly(n.op));
}

/// A number, or one repeated: computed wherever it is used.
bool is_number(const Graph& g, Value v) {
  const Node& n = g[v];
  if (n.op == Op::broadcast || n.op == Op::reshape) return is_number(g, n.operands[0]);
  return n.op == Op::dim || (n.op == Op::constant && n.literal_attr("value").is_uniform());
}

/// A copy of a number of `from` at the end of `body`.
Value copy_number(const Graph& from, Value v, Graph& body) {
  Node n = from[v];
  for (Value& o : n.operands) o = copy_number(from, o, body);
  body.nodes.push_back(std::move(n));
  return Value{static_cast<std::uint32_t>(body.nodes.size() - 1)};
}

/// The scan with numbers in the body instead of captured.
void sink_numbers(const Graph& g, Node& n) {
  const Scan s(n);
  Graph body;
  body.name = s.body.name;
  std::vector<Value> now(s.body.nodes.size()), operands;
  std::vector<std::size_t> numbers;
  for (std::size_t k = 0; k < s.operands(); ++k) {
    if (k >= s.carried + s.scanned && is_number(g, n.operands[k])) {
      numbers.push_back(k);
      continue;
    }
    now[s.input(k).id] = body.append(s.body[s.input(k)]);
    body.inputs.push_back({s.body.inputs[k].name, s.body.inputs[k].kind, now[s.input(k).id]});
    operands.push_back(n.operands[k]);
  }
  if (numbers.empty()) return;
  for (const std::size_t k : numbers) now[s.input(k).id] = copy_number(g, n.operands[k], body);
  for (std::uint32_t id = 0; id < s.body.nodes.size(); ++id) {
    Node copy = s.body.nodes[id];
    if (copy.op == Op::input) continue;
    for (Value& o : copy.operands) o = now[o.id];
    now[id] = body.append(std::move(copy));
  }
  for (const GraphOutput& out : s.body.outputs)
    body.outputs.push_back({out.name, out.kind, now[out.value.id]});
  n.operands = std::move(operands);
  n.attrs["body"] = std::make_shared<const Graph>(std::move(body));
}

RewrittenScan hoist(GraphBuilder& b, const Node& old) {
  // What may not run at all computes its own.
  if (Scan(old).conditional) return {b.graph().append(old), {}};
  Node n = old;
  sink_numbers(b.graph(), n);
  const Scan s(n);
  OutsideBuilder outside(b, s);
  Graph body = s.body;
  const bool saves_memory = n.attrs.contains("checkpoint");
  std::vector<GraphInput> scanned, captured;
  std::vector<Value> scanned_from, captured_from;
  for (std::uint32_t id = 0; id < s.body.nodes.size(); ++id) {
    const Value v{id};
    const bool costs_memory = saves_memory && outside.varies_of(v) == Varies::WithSlice;
    if (s.body[v].op == Op::input || outside.varies_of(v) == Varies::WithTurn || costs_memory ||
        !is_worth_hoisting(s.body[v], outside.varies_of(v)))
      continue;
    const auto out = outside.build(v);
    if (!out) continue;
    Node& node = body.nodes[id];
    node.op = Op::input;
    node.operands.clear(), node.attrs.clear();
    const std::string name = fmt::format("hoisted{}", id);
    (out->stacked ? scanned : captured)
        .push_back({name, out->stacked ? InputKind::Scanned : InputKind::Captured, v});
    (out->stacked ? scanned_from : captured_from).push_back(out->value);
  }
  b.set_loc(n.loc);
  std::vector<Value> operands = n.operands;
  const auto middle = static_cast<std::ptrdiff_t>(s.carried + s.scanned);
  body.inputs.insert(body.inputs.end(), captured.begin(), captured.end());
  body.inputs.insert(body.inputs.begin() + middle, scanned.begin(), scanned.end());
  operands.insert(operands.end(), captured_from.begin(), captured_from.end());
  operands.insert(operands.begin() + middle, scanned_from.begin(), scanned_from.end());
  return {make_scan_like(b, n, std::move(body), std::move(operands)), {}};
}

}  // namespace

Graph run_hoist(const Graph& old) { return rewrite_scans(old, hoist); }

}  // namespace dlc
