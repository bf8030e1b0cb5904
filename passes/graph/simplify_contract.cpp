// Contractions read their operands where they are: through transposes, and through the reshapes
// that join what was transposed.
#include <algorithm>
#include <map>
#include <optional>
#include <string>

#include "passes/graph/simplify.h"
#include "passes/graph/views.h"

namespace dlc::simplify {

Value contract_of_transpose(const Here& h, int k) {
  const Value t = h.operands[static_cast<std::size_t>(k)];
  const Ints perm = h.at(t).ints_attr("perm");
  std::string letters = h.n.str_attr(k == 0 ? "lhs" : "rhs"), moved = letters;
  for (std::size_t a = 0; a < perm.size(); ++a)
    moved[static_cast<std::size_t>(perm[a])] = letters[a];
  std::vector<Value> operands = h.operands;
  operands[static_cast<std::size_t>(k)] = h.in(t);
  return h.b.contract(operands[0], operands[1], k == 0 ? moved : h.n.str_attr("lhs"),
                      k == 1 ? moved : h.n.str_attr("rhs"), h.n.str_attr("out"));
}

namespace {

/// Which axes of `from`, one after the other, are each axis of `to`; none where `to` splits some.
std::optional<std::vector<std::size_t>> axes_joined(const Shape& from, const Shape& to) {
  std::vector<std::size_t> counts;
  std::size_t at = 0;
  for (const Dim& whole : to) {
    Dim product(1);
    std::size_t count = 0;
    while (count == 0 || !(product == whole)) {
      if (at == from.size()) return std::nullopt;
      product = product * from[at++];
      ++count;
    }
    counts.push_back(count);
  }
  if (at != from.size()) return std::nullopt;
  return counts;
}

}  // namespace

Value contract_of_flattened(const Here& h, std::size_t k) {
  const Value flat = h.operands[k], turned = h.in(flat), other = h.operands[1 - k];
  const auto counts = axes_joined(h.b.type(turned).shape, h.b.type(flat).shape);
  if (!counts || !is_in_order(h.b.graph(), other)) return kNone;
  const std::string* texts[3] = {&h.n.str_attr("lhs"), &h.n.str_attr("rhs"), &h.n.str_attr("out")};
  std::string unused;
  for (const char c : std::string("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    if (std::none_of(texts, texts + 3, [&](const std::string* t) { return t->find(c) != t->npos; }))
      unused += c;
  // Each letter's parts, and their extents.
  std::map<char, std::pair<std::string, Shape>> parts;
  std::string in_order;
  const Shape& from = h.b.type(turned).shape;
  std::size_t at = 0;
  for (std::size_t a = 0; a < counts->size(); ++a) {
    auto& [letters, extents] = parts[(*texts[k])[a]];
    letters = (*texts[k])[a];
    if ((*counts)[a] > unused.size()) return kNone;
    letters += unused.substr(0, (*counts)[a] - 1);
    unused.erase(0, (*counts)[a] - 1);
    in_order += letters;
    for (std::size_t c = 0; c < (*counts)[a]; ++c) extents.push_back(from[at++]);
  }
  const auto taken_apart = [&](const std::string& text) {
    std::string all;
    for (const char letter : text)
      all += parts.contains(letter) ? parts.at(letter).first : std::string(1, letter);
    return all;
  };
  const std::string& of_other = *texts[1 - k];
  Shape shape;  // of the other operand
  for (std::size_t a = 0; a < of_other.size(); ++a) {
    const auto p = parts.find(of_other[a]);
    const Shape now = p == parts.end() ? Shape{h.b.type(other).shape[a]} : p->second.second;
    shape.insert(shape.end(), now.begin(), now.end());
  }
  const Ints perm = h.at(turned).ints_attr("perm");
  std::string letters[2];
  letters[k] = in_order;
  for (std::size_t a = 0; a < perm.size(); ++a)
    letters[k][static_cast<std::size_t>(perm[a])] = in_order[a];
  letters[1 - k] = taken_apart(of_other);
  Value operands[2];
  operands[k] = h.in(turned);
  operands[1 - k] = h.b.reshape(other, shape);
  return h.b.reshape(
      h.b.contract(operands[0], operands[1], letters[0], letters[1], taken_apart(*texts[2])),
      h.n.type.shape);
}
bool is_flattened(const Here& h, Value v) {
  return h.is(v, Op::reshape) && h.is(h.in(v), Op::transpose);
}

Value transpose_of_contract(const Here& h) {
  const Node c = h.at(h.a());
  std::string out;
  for (const std::int64_t p : h.n.ints_attr("perm"))
    out += c.str_attr("out")[static_cast<std::size_t>(p)];
  return h.b.contract(c.operands[0], c.operands[1], c.str_attr("lhs"), c.str_attr("rhs"), out);
}

}  // namespace dlc::simplify
