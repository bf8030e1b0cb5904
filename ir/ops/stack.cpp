// One operation for all turns of a scan.
#include <algorithm>

#include "ir/ops/common.h"

namespace dlc {

namespace {

using Ints = std::vector<std::int64_t>;

char unused_letter(const Node& n) {
  const std::string used = n.str_attr("lhs") + n.str_attr("rhs") + n.str_attr("out");
  for (char c = 'a'; c <= 'z'; ++c)
    if (used.find(c) == std::string::npos) return c;
  for (char c = 'A'; c <= 'Z'; ++c)
    if (used.find(c) == std::string::npos) return c;
  return 0;
}

/// What an attribute is with one more axis in front.
Attr with_axis(std::string_view key, const Attr& a, const Dim& length) {
  if (const auto* axis = std::get_if<std::int64_t>(&a); axis && key == "axis") return *axis + 1;
  if (const auto* shape = std::get_if<Shape>(&a)) {
    Shape result = *shape;
    result.insert(result.begin(), key == "shape" ? length : Dim(0));  // else `low` and `high`
    return result;
  }
  const auto* list = std::get_if<Ints>(&a);
  if (!list || key == "stride" || key == "dilation") return a;
  Ints result = *list;
  if (key == "axes" || key == "perm" || key == "dims")
    for (std::int64_t& v : result) ++v;
  if (key == "perm" || key == "dims" || key == "begin") result.insert(result.begin(), 0);
  if (key == "step") result.insert(result.begin(), 1);
  return result;
}

}  // namespace

Value stack_axes(GraphBuilder& b, const Node& n, const std::vector<Value>& operands,
                 const std::vector<bool>& stacked, const Dim& length) {
  Attrs attrs = n.attrs;
  if (attrs.contains("lhs")) {
    const char letter = unused_letter(n);
    if (letter == 0) return {};
    for (std::size_t k = 0; k < 2; ++k)
      if (stacked[k]) attrs[k == 0 ? "lhs" : "rhs"] = letter + n.str_attr(k == 0 ? "lhs" : "rhs");
    attrs["out"] = letter + n.str_attr("out");
    return b.node(n.op, operands, std::move(attrs));
  }
  attrs.change_each([&](const std::string& key, Attr& a) { a = with_axis(key, a, length); });
  std::vector<Value> all = operands;
  for (std::size_t k = 0; k < all.size(); ++k) {
    if (stacked[k]) continue;
    Shape shape = b.type(all[k]).shape;
    shape.insert(shape.begin(), length);
    all[k] = b.broadcast_trailing(all[k], shape);
  }
  return b.node(n.op, std::move(all), std::move(attrs));
}

Value cannot_stack(GraphBuilder&, const Node&, const std::vector<Value>&, const std::vector<bool>&,
                   const Dim&) {
  return {};
}

}  // namespace dlc
