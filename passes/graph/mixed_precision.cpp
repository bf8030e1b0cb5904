// Products in 16 bits, sums in f32: the operands of a contraction become bf16 or f16, its result
// stays f32, and so does everything else (parameters, states, what is between two contractions).
//
//   %y: f32[N, m] = contract %x, %w    =>    %x.bf16: bf16[N, k] = convert %x {element = "bf16"}
//                                            %w.bf16: bf16[k, m] = convert %w {element = "bf16"}
//                                            %y: f32[N, m] = contract %x.bf16, %w.bf16
//
// A value is converted once for all contractions that read it. Where one reads it through views,
// the conversion goes below them, next to what computes the value: views of a stored value cost
// nothing, and its kernel stores the 16 bits at once.
#include <map>

#include "ir/graph/rewriter.h"
#include "ir/op_def.h"

namespace dlc {

namespace {

/// With fewer products in a sum, or fewer sums, than this the conversions cost more than they save.
constexpr std::int64_t kWorthwhile = 16;

bool reaches(const Dim& extent, std::int64_t least) {
  return !extent.is_constant() || extent.value() >= least;
}

bool is_worthwhile(const Graph& g, const Node& contract) {
  const std::string &lhs = contract.str_attr("lhs"), &out = contract.str_attr("out");
  const Shape& a = g.type(contract.operands[0]).shape;
  Dim products = 1;
  for (std::size_t k = 0; k < lhs.size(); ++k)
    if (out.find(lhs[k]) == std::string::npos) products = products * a[k];
  return reaches(products, kWorthwhile) && reaches(element_count(contract.type.shape), kWorthwhile);
}

class Narrower {
 public:
  explicit Narrower(ElementType to) : to_(to) {}

  /// `v` in 16 bits.
  Value narrow(GraphBuilder& b, Value v) {
    if (const auto known = narrow_.find(v); known != narrow_.end()) return known->second;
    const Node n = b.graph()[v];  // a copy: building moves the nodes
    Value result;
    if (lowers_as<LowerView>(n.op)) {
      const Value below = narrow(b, n.operands[0]);
      result = b.node(n.op, {below}, n.attrs);
    } else if (n.op == Op::convert && b.type(n.operands[0]).element == to_) {
      result = n.operands[0];
    } else {
      b.set_loc(n.loc);
      result = b.convert(v, to_);
    }
    Node& made = b.graph()[result];
    if (made.name.empty() && !n.name.empty()) made.name = fmt::format("{}.{}", n.name, name(to_));
    return narrow_[v] = result;
  }

 private:
  ElementType to_;
  std::map<Value, Value> narrow_;
};

Graph mixed(const Graph& old, ElementType to) {
  Narrower narrower(to);
  return rewrite(
      old,
      [&](GraphBuilder& b, const Graph& g, Value v, const std::vector<Value>& operands) -> Value {
        const Node& n = g[v];
        if (n.op != Op::contract || g.type(n.operands[0]).element != ElementType::F32 ||
            !is_worthwhile(g, n))
          return {};
        const Value x = narrower.narrow(b, operands[0]), y = narrower.narrow(b, operands[1]);
        b.set_loc(n.loc);
        return b.node(Op::contract, {x, y}, n.attrs);
      });
}

}  // namespace

Graph run_mixed_bf16(const Graph& g) { return mixed(g, ElementType::BF16); }
Graph run_mixed_f16(const Graph& g) { return mixed(g, ElementType::F16); }

}  // namespace dlc
