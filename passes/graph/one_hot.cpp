// A product with rows that are 1 at one place and 0 elsewhere takes rows of the other factor, and
// its gradient adds to them:
//
//   contract(one_hot(t), w)  over the classes    =>    rows t of w: gather
//   contract(one_hot(t), d)  over all but them   =>    d added to the rows t: scatter_add
//
// where one_hot(t) is 1 where t, repeated along the last axis, equals 0, 1, 2, ... along it. A t
// outside of the classes has no 1: its row is zero, and nothing is added for it.
#include <algorithm>
#include <optional>

#include "ir/graph/rewriter.h"

namespace dlc {

namespace {

/// The integers t of shape [leading axes] that `v`, a float, is one_hot of.
std::optional<Value> one_hot_of(const Graph& g, Value v) {
  const Node& convert = g[v];
  if (convert.op != Op::convert || !is_float(convert.type.element)) return std::nullopt;
  const Node& equal = g[convert.operands[0]];
  const int last = convert.type.rank() - 1;
  if (equal.op != Op::eq || last < 1) return std::nullopt;
  for (int k = 0; k < 2; ++k) {
    const Node &places = g[equal.operands[static_cast<std::size_t>(k)]],
               &classes = g[equal.operands[static_cast<std::size_t>(1 - k)]];
    if (places.op != Op::broadcast || classes.op != Op::broadcast ||
        classes.ints_attr("dims") != std::vector<std::int64_t>{last})
      continue;
    if (g[g.below_reshapes(classes.operands[0])].op != Op::iota) continue;
    const Value t = places.operands[0];
    Shape leading = convert.type.shape;
    leading.pop_back();
    std::vector<std::int64_t> in_order(leading.size());
    for (std::size_t a = 0; a < in_order.size(); ++a) in_order[a] = static_cast<std::int64_t>(a);
    const ElementType e = g.type(t).element;
    if (places.ints_attr("dims") == in_order && g.type(t).shape == leading &&
        (e == ElementType::I32 || e == ElementType::I64))
      return t;
  }
  return std::nullopt;
}

std::vector<std::int64_t> order_of(const std::string& from, const std::string& to) {
  std::vector<std::int64_t> perm;
  for (const char letter : to) perm.push_back(static_cast<std::int64_t>(from.find(letter)));
  return perm;
}

/// `v` where 0 <= t < classes, else 0; t's axes are those of `v` from `axis` on.
Value where_in_range(GraphBuilder& b, Value v, Value t, const Dim& classes, std::size_t axis) {
  const Type type = b.type(v), places = b.type(t);
  std::vector<std::int64_t> dims;
  for (std::size_t k = 0; k < places.shape.size(); ++k)
    dims.push_back(static_cast<std::int64_t>(axis + k));
  const Value zero = b.splat(places, 0);
  const Value end = b.broadcast(b.dim_value(classes, places.element), places.shape, {});
  const Value inside =
      b.node(Op::logical_and, {b.node(Op::le, {zero, t}), b.node(Op::lt, {t, end})});
  return b.select(b.broadcast(inside, type.shape, dims), v, b.splat(type, 0));
}

class OneHotProduct {
 public:
  /// `one_hot` is operand `side` of the contraction.
  OneHotProduct(GraphBuilder& b, const Node& n, const std::vector<Value>& operands, int side,
                Value places)
      : b_(b),
        other_(operands[static_cast<std::size_t>(1 - side)]),
        places_(places),
        hot_(n.str_attr(side == 0 ? "lhs" : "rhs")),
        letters_(n.str_attr(side == 0 ? "rhs" : "lhs")),
        out_(n.str_attr("out")),
        classes_(b.type(operands[static_cast<std::size_t>(side)]).shape.back()) {}

  /// Invalid where it is neither of the two.
  Value make() {
    const char c = hot_.back();
    const std::string rows = hot_.substr(0, hot_.size() - 1);
    const bool c_out = has(out_, c), c_other = has(letters_, c);
    const bool rows_apart = std::none_of(rows.begin(), rows.end(),
                                         [&](char r) { return has(letters_, r) || !has(out_, r); });
    if (!c_out && c_other && rows_apart) return gather(c, rows);
    const bool rows_summed = std::all_of(rows.begin(), rows.end(),
                                         [&](char r) { return has(letters_, r) && !has(out_, r); });
    if (c_out && !c_other && rows_summed) return scatter(c, rows);
    return {};
  }

 private:
  static bool has(const std::string& s, char c) { return s.find(c) != std::string::npos; }

  Value gather(char c, const std::string& rows) {
    const std::size_t axis = letters_.find(c);
    const Value taken =
        b_.node(Op::gather, {other_, places_}, {{"axis", static_cast<std::int64_t>(axis)}});
    std::string letters = letters_;
    letters.replace(axis, 1, rows);
    return b_.transpose(where_in_range(b_, taken, places_, classes_, axis),
                        order_of(letters, out_));
  }

  Value scatter(char c, const std::string& rows) {
    // The summed axes first, in the order of the places.
    std::string rest;
    for (const char letter : letters_)
      if (!has(rows, letter)) rest += letter;
    const Value updates = b_.transpose(other_, order_of(letters_, rows + rest));
    const Value sum =
        b_.node(Op::scatter_add, {places_, where_in_range(b_, updates, places_, classes_, 0)},
                {{"axis", std::int64_t{0}}, {"size", Shape{classes_}}});
    return b_.transpose(sum, order_of(c + rest, out_));
  }

  GraphBuilder& b_;
  Value other_, places_;
  std::string hot_, letters_, out_;
  Dim classes_;
};

}  // namespace

Graph run_one_hot(const Graph& old) {
  return rewrite(
      old,
      [](GraphBuilder& b, const Graph& g, Value v, const std::vector<Value>& operands) -> Value {
        const Node& n = g[v];
        if (n.op != Op::contract || is_16_bit_float(n.type.element)) return {};
        for (int side = 0; side < 2; ++side)
          if (const auto t = one_hot_of(b.graph(), operands[static_cast<std::size_t>(side)]))
            if (const Value r = OneHotProduct(b, n, operands, side, *t).make(); r.valid()) return r;
        return {};
      });
}

}  // namespace dlc
