// Operands that a contraction would read in a bad order are copied in a better one, where each of
// their elements is used many times: in contract(x[n, t, v], y[t, n, h]) over n and t, y as
// [n, t, h], so that both run through the summed axes in one go.
//
// `simplify` makes every transposed operand a matter of letters; a transpose that is an operand of
// a contraction from here on is a copy (fuse stores it).
#include <algorithm>

#include "ir/graph/rewriter.h"

namespace dlc {

namespace {

bool has(const std::string& s, char c) { return s.find(c) != std::string::npos; }

std::vector<std::int64_t> order_of(const std::string& from, const std::string& to) {
  std::vector<std::int64_t> perm;
  for (const char letter : to) perm.push_back(static_cast<std::int64_t>(from.find(letter)));
  return perm;
}

/// A dimension of a copied operand's partner that makes each element be used at least so often.
constexpr std::int64_t kFewUses = 32;

bool is_used_often(const Graph& g, Value other, const std::string& letters,
                   const std::string& summed) {
  std::int64_t uses = 1;
  for (std::size_t k = 0; k < letters.size(); ++k)
    if (const Dim& d = g.type(other).shape[k]; !has(summed, letters[k]) && d.is_constant())
      uses *= d.value();
  return uses >= kFewUses;
}

/// A picture's elements are in several windows: a copy of those would be several times as large,
/// and their order of products is the picture's.
bool reads_windows(const Graph& g, Value v) {
  const Node* n = &g[v];
  while (n->op == Op::reshape || n->op == Op::slice || n->op == Op::reverse ||
         n->op == Op::transpose)
    n = &g[n->operands[0]];
  return n->op == Op::window;
}

/// The letters of `s` that are in `of`, in their order.
std::string common(const std::string& s, const std::string& of) {
  std::string result;
  for (const char c : s)
    if (has(of, c)) result += c;
  return result;
}

Value order_sums(GraphBuilder& b, const Node& n, const std::vector<Value>& operands) {
  const std::string letters[2] = {n.str_attr("lhs"), n.str_attr("rhs")};
  std::string summed;
  for (const char c : common(letters[0], letters[1]))
    if (!has(n.str_attr("out"), c)) summed += c;
  if (summed.size() < 2) return {};
  // Several axes of known extents are a table of offsets.
  const Shape& shape = b.type(operands[0]).shape;
  const auto is_known = [&](char c) { return shape[letters[0].find(c)].is_constant(); };
  if (std::all_of(summed.begin(), summed.end(), is_known)) return {};
  const std::string orders[2] = {common(letters[0], summed), common(letters[1], summed)};
  if (orders[0] == orders[1]) return {};
  if (reads_windows(b.graph(), operands[0]) || reads_windows(b.graph(), operands[1])) return {};
  // The smaller one, the second of equals, is copied in the other's order.
  const auto size = [&](int k) {
    return element_count(b.type(operands[static_cast<std::size_t>(k)]).shape).typical();
  };
  const int copied = size(0) < size(1) ? 0 : 1, kept = 1 - copied;
  if (letters[kept].find(orders[kept]) == std::string::npos ||
      !is_used_often(b.graph(), operands[static_cast<std::size_t>(kept)], letters[kept], summed))
    return {};
  std::string to = orders[kept];
  for (const char c : letters[copied])
    if (!has(summed, c)) to += c;
  std::vector<Value> now = operands;
  Value& operand = now[static_cast<std::size_t>(copied)];
  operand = b.transpose(operand, order_of(letters[copied], to));
  return b.contract(now[0], now[1], copied == 0 ? to : letters[0], copied == 1 ? to : letters[1],
                    n.str_attr("out"));
}

}  // namespace

Graph run_relayout(const Graph& old) {
  return rewrite(old,
                 [](GraphBuilder& b, const Graph& g, Value v, const std::vector<Value>& operands) {
                   return g[v].op == Op::contract ? order_sums(b, g[v], operands) : Value{};
                 });
}

}  // namespace dlc
