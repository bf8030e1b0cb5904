// OpDef::stack: an operation for all turns at once gives what it gives turn by turn.
#include <doctest/doctest.h>

#include "codegen/reference/interpreter.h"
#include "ir/graph/builder.h"
#include "ir/graph/scan.h"
#include "tests/support/samples.h"

using namespace dlc;

namespace {

constexpr int kTurns = 3;

Type with_turns(Type t) {
  t.shape.insert(t.shape.begin(), Dim::symbol("T"));
  return t;
}

/// `y` by a scan of the operation, `z` by its stacked form; nullopt where it has none.
std::optional<Graph> both_ways(Op op, const Sample& sample, unsigned which) {
  Graph g, body;
  g.name = "g";
  GraphBuilder b(g), inside(body);
  std::vector<Value> operands, inner(sample.operands.size());
  std::vector<bool> stacked;
  b.input("size", InputKind::Input, {ElementType::U8, {Dim::symbol("N")}});
  b.input("turns", InputKind::Input, {ElementType::U8, {Dim::symbol("T")}});
  for (std::size_t k = 0; k < sample.operands.size(); ++k) {
    const bool is_stacked = (which >> k & 1U) != 0;
    const Type& t = sample.operands[k];
    stacked.push_back(is_stacked);
    operands.push_back(
        b.input(fmt::format("x{}", k), InputKind::Input, is_stacked ? with_turns(t) : t));
  }
  std::vector<Value> in_order;
  for (const bool scanned : {true, false})
    for (std::size_t k = 0; k < stacked.size(); ++k)
      if (stacked[k] == scanned) {
        inner[k] =
            inside.input(fmt::format("x{}", k), scanned ? InputKind::Scanned : InputKind::Captured,
                         sample.operands[k]);
        in_order.push_back(operands[k]);
      }
  const Value y = inside.node(op, inner, sample.attrs);
  const Node n = body[y];
  inside.output("y", OutputKind::Yield, y);
  const Value z = op_def(op).stack(b, n, operands, stacked, Dim::symbol("T"));
  if (!z.valid()) return std::nullopt;
  const Value scan = make_scan(b, std::move(body), in_order, Dim::symbol("T"), false);
  b.output("y", OutputKind::Output, part(b, scan, 0));
  b.output("z", OutputKind::Output, z);
  return g;
}

}  // namespace

TEST_CASE("stacked operations") {
  int checked = 0, without = 0;
  for (const Op op : all_ops())
    for (const Sample& sample : op_def(op).samples)
      for (unsigned which = 1; which < 1U << sample.operands.size(); ++which) {
        const auto g = both_ways(op, sample, which);
        CAPTURE(op_name(op));
        CAPTURE(which);
        if (!g) {
          ++without;
          continue;
        }
        const auto values = sample_values(*g, sample.lo, sample.hi, kTurns, 7);
        const Evaluation e = interpret(*g, values, Precision::Declared);
        CHECK(g->type(g->outputs[0].value) == g->type(g->outputs[1].value));
        CHECK(e.values[g->outputs[0].value.id] == e.values[g->outputs[1].value.id]);
        ++checked;
      }
  CHECK(checked > 300);
  CHECK(without < 90);
}
