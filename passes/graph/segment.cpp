// A scan of T turns with {checkpoint = 2} becomes one of T / S turns, each of which is a scan of S:
//
//   scan T { body }   =>   scan T / S, checkpoint { scan S { body } }
//
// The gradient of the outer one keeps the carried values every S turns, and computes what happened
// between two of them again, a piece at a time: memory for T / S + S turns instead of T, for one
// more forward pass. S is the divisor of T nearest to its root; where T has none but 1 and itself,
// or is not known, each turn is a piece. Only where a gradient is taken.
#include <algorithm>
#include <cmath>
#include <map>

#include "ir/graph/rewriter.h"
#include "ir/graph/scan.h"

namespace dlc {

namespace {

bool in_segments(const Node& n) {
  const auto at = n.attrs.find("checkpoint");
  return n.op == Op::scan && at != n.attrs.end() && std::get<std::int64_t>(at->second) == 2;
}

/// Turns of a piece; 1 where there are no pieces.
std::int64_t piece_of(const Dim& length) {
  if (!length.is_constant() || length.value() < 4) return 1;
  const std::int64_t turns = length.value();
  std::int64_t best = 1;
  for (std::int64_t s = 2; s < turns; ++s)
    if (turns % s == 0 && s + turns / s < best + turns / best) best = s;
  return best;
}

/// The body of the outer scan: S turns of the inner one.
Graph outer_body(const Scan& s, std::int64_t piece) {
  Graph g;
  g.name = s.body.name;
  GraphBuilder b(g);
  b.set_loc(s.node.loc);
  std::vector<Value> operands;
  for (std::size_t k = 0; k < s.operands(); ++k) {
    const GraphInput& in = s.body.inputs[k];
    Type type = s.body.type(in.value);
    if (in.kind == InputKind::Scanned) type.shape.insert(type.shape.begin(), Dim(piece));
    operands.push_back(b.input(in.name, in.kind, type));
  }
  Graph inner = s.body;
  std::erase_if(inner.inputs, [](const GraphInput& in) { return in.kind == InputKind::Condition; });
  const Value scan = make_scan(b, std::move(inner), operands, Dim(piece), s.reverse);
  for (std::size_t k = 0; k < s.body.outputs.size(); ++k)
    b.output(s.body.outputs[k].name, s.body.outputs[k].kind, part(b, scan, k));
  if (s.conditional) b.input("condition", InputKind::Condition, {ElementType::Bool, {}});
  return g;
}

Value segmented(GraphBuilder& b, const Scan& s, std::vector<Value> operands, std::int64_t piece) {
  const Dim pieces(s.length.value() / piece);
  for (std::size_t k = 0; k < s.operands(); ++k) {
    if (s.body.inputs[k].kind != InputKind::Scanned) continue;
    Shape shape = b.type(operands[k]).shape;
    shape[0] = Dim(piece);
    shape.insert(shape.begin(), pieces);
    operands[k] = b.reshape(operands[k], shape);
  }
  const Value scan = make_scan(b, outer_body(s, piece), std::move(operands), pieces, s.reverse);
  b.graph()[scan].attrs["checkpoint"] = std::int64_t{1};
  return scan;
}

}  // namespace

Graph run_segment(const Graph& old) {
  const bool differentiated = std::any_of(old.nodes.begin(), old.nodes.end(),
                                          [](const Node& n) { return n.op == Op::grad; });
  std::map<Value, Value> cut;  // scans of the old graph, and what stands for them
  return rewrite(
      old,
      [&](GraphBuilder& b, const Graph& g, Value v, const std::vector<Value>& operands) -> Value {
        const Node& n = g[v];
        if (n.op == Op::part)
          if (const auto at = cut.find(n.operands[0]); at != cut.end()) {
            // What was yielded piece by piece, turn by turn again.
            const Value all = part(b, at->second, static_cast<std::size_t>(n.int_attr("index")));
            return b.type(all) == n.type ? all : b.reshape(all, n.type.shape);
          }
        if (!in_segments(n)) return {};
        const Scan s(n);
        const std::int64_t piece = piece_of(s.length);
        if (differentiated && piece > 1) {
          const Value scan = segmented(b, s, operands, piece);
          b.graph()[scan].name = n.name;
          cut[v] = scan;
          return {};  // nobody needs it any more
        }
        const Value same = make_scan_like(b, n, s.body, operands);
        b.graph()[same].attrs["checkpoint"] = std::int64_t{1};
        return same;
      });
}

}  // namespace dlc
