#include "tests/support/samples.h"

#include <cmath>
#include <random>

#include "ir/graph/builder.h"

using namespace dlc;

const std::vector<Op>& all_ops() {
  static const std::vector<Op> ops = {
#define DLC_OP(name) Op::name,
#include "ir/ops/ops.def"
#undef DLC_OP
  };
  return ops;
}

Graph sample_graph(Op op, const Sample& s) {
  Graph g;
  g.name = "sample";
  GraphBuilder b(g);
  std::vector<Value> operands;
  for (std::size_t k = 0; k < s.operands.size(); ++k)
    operands.push_back(b.input("x" + std::to_string(k), InputKind::Input, s.operands[k]));
  b.input("size", InputKind::Input, {ElementType::U8, {Dim::symbol("N")}});
  b.set_loc({"model.dl", 3, 5});
  b.output("y", OutputKind::Output, b.node(op, operands, s.attrs));
  return g;
}

std::map<std::string, Literal> sample_values(const Graph& g, double lo, double hi, int symbol,
                                             unsigned seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> uniform(lo, hi);
  std::map<std::string, Literal> values;
  for (const GraphInput& in : g.inputs) {
    const Type& type = g.type(in.value);
    std::vector<std::int64_t> shape;
    for (const Dim& d : type.shape) {
      std::map<std::string, std::int64_t> symbols;
      for (const std::string& s : d.symbols()) symbols[s] = symbol;
      shape.push_back(d.evaluate(symbols));
    }
    Literal l = Literal::zeros(type.element, shape);
    for (std::int64_t k = 0; k < l.size(); ++k) {
      const double v = uniform(random);
      l.set(k, is_float(type.element)              ? v
               : type.element == ElementType::Bool ? (v > (lo + hi) / 2)
                                                   : std::floor(v));
    }
    l.round();
    values[in.name] = std::move(l);
  }
  return values;
}
