// A sum over the turns of a scan that nothing in the body reads is made after it, of all turns at
// once. The gradient of a weight that every turn uses is one large matrix product:
//
//   scan (x in xs, d in ds; dw = 0) { dw <- dw + x^T d }    =>    dw = sum over turns of xs^T ds
//
// What the sum needs of a turn and no slice gives is yielded.
#include <algorithm>

#include "ir/op_def.h"
#include "passes/graph/turns.h"

namespace dlc {

namespace {

class SumSinker {
 public:
  SumSinker(GraphBuilder& b, const Node& n, Value scan)
      : b_(b), node_(n), s_(node_), scan_(scan), outside_(b, s_) {}

  /// The last value of a carried sum; invalid where it is none, or no large product.
  Value total(std::size_t carried) {
    const Node& last = s_.body[s_.carry(carried)];
    const Value before = s_.input(carried);
    if (last.op != Op::add || uses_of(before) != 1) return {};
    for (int k = 0; k < 2; ++k) {
      if (!(last.operands[static_cast<std::size_t>(k)] == before)) continue;
      const Value sum = sum_over_turns(last.operands[static_cast<std::size_t>(1 - k)]);
      if (!sum.valid()) return {};
      b_.set_loc(node_.loc);
      return b_.add(node_.operands[carried], sum);
    }
    return {};
  }

 private:
  std::uint32_t uses_of(Value v) const { return s_.body.use_counts()[v.id]; }

  static bool is_linear_view(Op op) {
    return op == Op::reshape || op == Op::transpose || op == Op::broadcast || op == Op::slice ||
           op == Op::reverse || op == Op::neg;
  }

  Value sum_over_turns(Value v) {
    const Node& n = s_.body[v];
    b_.set_loc(n.loc);
    if (n.op == Op::add || n.op == Op::sub) {
      const Value x = sum_over_turns(n.operands[0]);
      const Value y = x.valid() ? sum_over_turns(n.operands[1]) : Value{};
      return y.valid() ? b_.node(n.op, {x, y}) : Value{};
    }
    if (is_linear_view(n.op)) {
      const Value x = sum_over_turns(n.operands[0]);
      return x.valid() ? b_.node(n.op, {x}, n.attrs) : Value{};
    }
    if (n.op == Op::concat) {
      std::vector<Value> sums;
      for (const Value part : n.operands) {
        sums.push_back(sum_over_turns(part));
        if (!sums.back().valid()) return {};
      }
      return b_.node(n.op, sums, n.attrs);
    }
    if (n.op == Op::pad) {
      const Node& filler = s_.body[n.operands[1]];
      const bool zero = filler.op == Op::constant && filler.literal_attr("value").at(0) == 0;
      const Value x = zero ? sum_over_turns(n.operands[0]) : Value{};
      return x.valid() ? b_.pad(x, n.shape_attr("low"), n.shape_attr("high")) : Value{};
    }
    if (n.op == Op::mul || n.op == Op::div)
      for (std::size_t k = 0; k < (n.op == Op::mul ? 2 : 1); ++k) {
        const Value factor = n.operands[1 - k];
        if (outside_.varies_of(factor) != Varies::Never) continue;
        const Value x = sum_over_turns(n.operands[k]);
        const auto by = x.valid() ? outside_.build(factor) : std::nullopt;
        return by ? b_.node(n.op, {x, by->value}) : Value{};
      }
    if (n.op == Op::contract) return sum_of_contraction(n);
    if (n.op == Op::reduce_sum) {
      const Outside x = of_turns(n.operands[0]);
      if (!x.stacked) return {};
      std::vector<std::int64_t> axes{0};
      for (const std::int64_t a : n.ints_attr("axes")) axes.push_back(a + 1);
      return b_.reduce(Op::reduce_sum, x.value, axes);
    }
    if (n.op == Op::scatter_add && n.int_attr("axis") == 0) {
      const Outside places = of_turns(n.operands[0]), updates = of_turns(n.operands[1]);
      if (!places.stacked || !updates.stacked) return {};
      return b_.node(Op::scatter_add, {places.value, updates.value}, n.attrs);
    }
    return {};
  }

  Value sum_of_contraction(const Node& n) {
    Outside x = of_turns(n.operands[0]), y = of_turns(n.operands[1]);
    if (!x.stacked && !y.stacked) return {};
    std::string lhs = n.str_attr("lhs"), rhs = n.str_attr("rhs");
    const std::string out = n.str_attr("out");
    if (x.stacked && y.stacked) {
      std::string letter = "a";
      while ((lhs + rhs + out).find(letter) != std::string::npos) ++letter[0];
      lhs = letter + lhs, rhs = letter + rhs;
    } else {
      Value& stacked = x.stacked ? x.value : y.value;
      stacked = b_.reduce(Op::reduce_sum, stacked, {0});
    }
    return b_.contract(x.value, y.value, lhs, rhs, out);
  }

  /// The values of `v` in all turns: a slice's operand, a view of one, or a further yield.
  Outside of_turns(Value v) {
    const Node& n = s_.body[v];
    const bool view = lowers_as<LowerView>(n.op);
    if (n.op == Op::input || outside_.varies_of(v) == Varies::Never)
      if (const auto out = outside_.build(v)) return *out;
    if (view && n.op != Op::broadcast) {
      const Outside x = of_turns(n.operands[0]);
      b_.set_loc(n.loc);
      if (!x.stacked) return {b_.node(n.op, {x.value}, n.attrs), false};
      const Value all = op_def(n.op).stack(b_, n, {x.value}, {true}, s_.length);
      if (all.valid()) return {all, true};
    }
    Node& scan = b_.graph()[scan_];
    Graph body = scan.graph_attr("body");
    std::size_t result = s_.carried;
    while (result < body.outputs.size() && !(body.outputs[result].value == v)) ++result;
    if (result == body.outputs.size()) {
      body.outputs.push_back(
          {n.name.empty() ? fmt::format("turns{}", v.id) : n.name, OutputKind::Yield, v});
      std::vector<Type> types;
      for (const Value o : scan.operands) types.push_back(b_.type(o));
      set_scan_body(scan, std::move(body), types);
    }
    return {part(b_, scan_, result), true};
  }

  GraphBuilder& b_;
  const Node node_;  // a copy: building moves the nodes
  const Scan s_;
  Value scan_;
  OutsideBuilder outside_;
};

}  // namespace

Graph run_sink_sums(const Graph& old) {
  return rewrite_scans(old, [](GraphBuilder& b, const Node& n) -> RewrittenScan {
    RewrittenScan result{b.graph().append(n), {}};
    // Where no turn runs nothing is yielded; and yields take memory.
    if (Scan(n).conditional || n.attrs.contains("checkpoint")) return result;
    SumSinker sinker(b, n, result.scan);
    for (std::size_t k = 0; k < Scan(n).carried; ++k)
      if (const Value v = sinker.total(k); v.valid()) result.results[k] = v;
    return result;
  });
}

}  // namespace dlc
