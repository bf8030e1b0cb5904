// Algebra on graphs: one rule a line in `kRules`, tried in order on each node with its operands
// already in simple form, repeated over the graph until nothing changes.
//
// What counts as equal: results may differ in the sign of a zero (x + 0) and in nothing else, so
// NaN and infinity survive: x * 0 stays.
#include "passes/graph/simplify.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <optional>

#include "ir/graph/rewriter.h"
#include "ir/op_def.h"

namespace dlc {

using namespace simplify;

namespace {

Ints identity(std::size_t rank) {
  Ints p(rank);
  std::iota(p.begin(), p.end(), 0);
  return p;
}

// ---- Dropout ----

/// `v` times or over a number that makes no element of it smaller: 1 / (1 - rate).
bool is_enlarged(const Here& h, Value v) {
  if (!h.is(v, Op::mul) && !h.is(v, Op::div)) return false;
  const auto by = h.b.graph().splat(h.in(v, 1));
  return by && (h.is(v, Op::mul) ? *by >= 1 && std::isfinite(*by) : *by > 0 && *by <= 1);
}

/// Where relu's result is what dropout scales or drops, it is above zero where dropout's is and the
/// element is not dropped: neither it nor the mask is needed once that is known.
///
///   y = 0 if mask else s r       dr = 0 if mask else s dy       dx = dr if 0 < r else 0
///   =>  dx = s dy if 0 < y else 0
Value gradient_of_dropped_relu(const Here& h) {
  const Value is_positive = h.a(), scaled = h.c();
  if (!h.is_splat(h.operands[2], 0) || !h.is(is_positive, Op::lt) ||
      !h.is_splat(h.in(is_positive), 0) || !is_enlarged(h, scaled))
    return kNone;
  const Value kept = h.in(scaled), r = h.in(is_positive, 1), by = h.in(scaled, 1);
  if (!h.is(kept, Op::select) || !h.is_splat(h.in(kept, 1), 0)) return kNone;
  const auto is_dropped_relu = [&](const Node& n) {
    if (n.op != Op::select || !(n.operands[0] == h.in(kept)) || !h.is_splat(n.operands[1], 0))
      return false;
    const Node& s = h.at(n.operands[2]);
    return s.op == h.at(scaled).op && s.operands[0] == r &&
           h.b.graph().splat(s.operands[1]) == h.b.graph().splat(by);
  };
  const std::vector<Node>& nodes = h.b.graph().nodes;
  const auto y = std::find_if(nodes.begin(), nodes.end(), is_dropped_relu);
  if (y == nodes.end()) return kNone;
  const Value dropped{static_cast<std::uint32_t>(y - nodes.begin())};
  const Value d = h.in(kept, 2), zero = h.in(is_positive), none = h.operands[2];
  const Value gradient = h.b.node(h.at(scaled).op, {d, by});
  return h.b.select(h.b.node(Op::lt, {zero, dropped}), gradient, none);
}

// ---- Views ----

Value compose_broadcasts(const Here& h) {
  const Ints outer = h.n.ints_attr("dims"), inner = h.at(h.a()).ints_attr("dims");
  Ints dims;
  for (const std::int64_t d : inner) dims.push_back(outer[static_cast<std::size_t>(d)]);
  return h.b.broadcast(h.in(h.a()), h.n.type.shape, dims);
}

Value compose_transposes(const Here& h) {
  const Ints outer = h.n.ints_attr("perm"), inner = h.at(h.a()).ints_attr("perm");
  Ints perm;
  for (const std::int64_t p : outer) perm.push_back(inner[static_cast<std::size_t>(p)]);
  return h.b.transpose(h.in(h.a()), perm);
}

/// A reshape that only adds or drops axes of extent 1 next to a broadcast is part of it.
Value broadcast_of_unit_reshape(const Here& h) {
  const Shape from = h.at(h.in(h.a())).type.shape, through = h.at(h.a()).type.shape;
  const Ints dims = h.n.ints_attr("dims");
  // Match the axes that are not 1 in order.
  Ints result;
  std::size_t k = 0;
  for (const Dim& d : from) {
    if (d == Dim(1)) return kNone;
    while (k < through.size() && through[k] == Dim(1)) ++k;
    if (k == through.size() || !(through[k] == d)) return kNone;
    result.push_back(dims[k++]);
  }
  while (k < through.size())
    if (!(through[k++] == Dim(1))) return kNone;
  return h.b.broadcast(h.in(h.a()), h.n.type.shape, result);
}

/// An elementwise operation on operands that are all repeated in the same way is done once, then
/// repeated.
Value broadcast_after(const Here& h) {
  const Node first = h.at(h.a());
  if (first.op != Op::broadcast) return kNone;
  std::vector<Value> inner;
  for (const Value o : h.operands) {
    const Node& n = h.at(o);
    if (n.op == Op::broadcast && n.ints_attr("dims") == first.ints_attr("dims") &&
        h.b.type(n.operands[0]).shape == h.b.type(first.operands[0]).shape) {
      inner.push_back(n.operands[0]);
    } else {
      return kNone;
    }
  }
  return h.b.broadcast(h.b.node(h.n.op, inner, h.n.attrs), h.n.type.shape, first.ints_attr("dims"));
}

bool is_repeated_scalar(const Here& h, Value v) {
  return h.is(v, Op::broadcast) && h.b.type(h.in(v)).shape.empty();
}

/// Computed from inputs, element by element, in a few steps: what an optimizer makes of a parameter
/// before its gradient comes in.
bool is_of_inputs(const Here& h, Value v, int steps = 3) {
  const Node& n = h.at(v);
  if (n.op == Op::input || is_repeated_scalar(h, v)) return true;
  return steps > 0 && (n.op == Op::reshape || (is_elementwise(n.op) && !n.operands.empty())) &&
         std::all_of(n.operands.begin(), n.operands.end(),
                     [&](Value o) { return is_of_inputs(h, o, steps - 1); });
}

bool adds_unit_axes(Shape from, Shape to) {
  std::erase(from, Dim(1));
  std::erase(to, Dim(1));
  return from == to;
}

/// An elementwise operation on operands that are all reshaped in the same way comes before that:
/// [N] has kernels in common with other rows, [N, 1] has not, and a parameter is changed where its
/// gradient is a contraction's result. Repeated scalars have any shape, and so has what is made of
/// inputs, whose reshapes cost nothing.
Value reshape_after(const Here& h) {
  std::optional<Value> before, of_inputs;  // what is reshaped
  for (const Value o : h.operands)
    if (h.is(o, Op::reshape)) (is_of_inputs(h, o) ? of_inputs : before) = h.in(o);
  if (!before && of_inputs && adds_unit_axes(h.b.type(*of_inputs).shape, h.n.type.shape))
    before = of_inputs;
  if (!before) return kNone;
  const Shape shape = h.b.type(*before).shape;
  for (const Value o : h.operands) {
    const bool same = h.is(o, Op::reshape) && h.b.type(h.in(o)).shape == shape;
    if (!same && !is_of_inputs(h, o)) return kNone;
  }
  std::vector<Value> inner;
  for (const Value o : h.operands)
    inner.push_back(is_repeated_scalar(h, o) ? h.b.broadcast(h.in(o), shape, {})
                                             : h.b.reshape(h.b.graph().below_reshapes(o), shape));
  return h.b.reshape(h.b.node(h.n.op, inner, h.n.attrs), h.n.type.shape);
}

// ---- Reductions ----

Value reduce_of_ones(const Here& h) {
  for (const std::int64_t axis : h.n.ints_attr("axes"))
    if (!(h.b.type(h.a()).shape[static_cast<std::size_t>(axis)] == Dim(1))) return kNone;
  return h.b.reshape(h.a(), h.n.type.shape);
}

/// sum over k of (x[k] if k = argmax x else 0) = max x
Value sum_at_argmax(const Here& h) {
  const Node& choice = h.at(h.a());
  if (choice.op != Op::select || !h.is_splat(choice.operands[2], 0)) return kNone;
  const Value x = choice.operands[1];
  const Node& equal = h.at(choice.operands[0]);
  if (equal.op != Op::eq || !h.is(equal.operands[0], Op::broadcast) ||
      !h.is(equal.operands[1], Op::broadcast))
    return kNone;
  const Node &place = h.at(equal.operands[0]), &index = h.at(equal.operands[1]);
  const Value argmax = place.operands[0], iota = index.operands[0];
  const std::int64_t last = h.b.type(x).rank() - 1;
  if (!h.is(argmax, Op::argmax) || !h.is(iota, Op::iota) || !(h.in(argmax) == x) ||
      h.at(argmax).int_attr("axis") != last ||
      place.ints_attr("dims") != identity(static_cast<std::size_t>(last)) ||
      index.ints_attr("dims") != Ints{last} || h.n.ints_attr("axes") != Ints{last})
    return kNone;
  return h.b.reduce(Op::reduce_max, x, {last});
}

/// sum over both, at once
Value merge_sums(const Here& h) {
  const Ints first = h.at(h.a()).ints_attr("axes"), second = h.n.ints_attr("axes");
  const Shape from = h.b.type(h.in(h.a())).shape;
  Ints kept;
  for (std::int64_t k = 0; k < static_cast<std::int64_t>(from.size()); ++k)
    if (std::find(first.begin(), first.end(), k) == first.end()) kept.push_back(k);
  Ints axes = first;
  for (const std::int64_t k : second) axes.push_back(kept[static_cast<std::size_t>(k)]);
  std::sort(axes.begin(), axes.end());
  return h.b.reduce(Op::reduce_sum, h.in(h.a()), axes);
}

/// The sums of a concat along its other axes are those of its parts. Where a part is a concat
/// itself, its sums are most likely taken elsewhere as well (each layer of a DenseNet's block
/// normalises all channels before it).
Value sum_of_concat(const Here& h) {
  if (!h.is(h.a(), Op::concat)) return kNone;
  const Node& concat = h.at(h.a());
  const std::int64_t axis = concat.int_attr("axis");
  const Ints axes = h.n.ints_attr("axes");
  const bool nested = std::any_of(concat.operands.begin(), concat.operands.end(),
                                  [&](Value part) { return h.is(part, Op::concat); });
  if (!nested || std::find(axes.begin(), axes.end(), axis) != axes.end()) return kNone;
  const std::vector<Value> parts = concat.operands;
  std::vector<Value> sums;
  for (const Value part : parts) sums.push_back(h.b.reduce(Op::reduce_sum, part, axes));
  const auto before = std::count_if(axes.begin(), axes.end(), [&](auto a) { return a < axis; });
  return h.b.node(Op::concat, sums, {{"axis", axis - static_cast<std::int64_t>(before)}});
}

/// Parts among zeros that lie side by side and together are all: the gradient of a value that is
/// used in parts (the gates of a cell).
Value sum_of_parts(const Here& h) {
  constexpr std::size_t kMost = 64;
  std::vector<Value> padded, left{h.a(), h.c()};
  while (!left.empty() && left.size() + padded.size() < kMost) {
    const Value v = left.back();
    left.pop_back();
    if (h.is(v, Op::add))
      left.insert(left.end(), {h.in(v, 0), h.in(v, 1)});
    else if (h.is(v, Op::pad) && h.is_splat(h.in(v, 1), 0))
      padded.push_back(v);
    else
      return kNone;
  }
  if (!left.empty()) return kNone;
  const Shape &whole = h.n.type.shape, &first = h.b.type(h.in(padded[0])).shape;
  const auto differs = std::mismatch(whole.begin(), whole.end(), first.begin());
  const auto axis = static_cast<std::size_t>(differs.first - whole.begin());
  if (axis == whole.size()) return kNone;
  std::vector<Value> parts;
  Dim end(0);
  while (!padded.empty()) {
    const auto next = std::find_if(padded.begin(), padded.end(), [&](Value v) {
      Shape low(whole.size(), Dim(0)), shape = whole;
      low[axis] = end;
      shape[axis] = h.b.type(h.in(v)).shape[axis];
      return h.at(v).shape_attr("low") == low && h.b.type(h.in(v)).shape == shape;
    });
    if (next == padded.end()) return kNone;
    parts.push_back(h.in(*next));
    end = end + h.b.type(parts.back()).shape[axis];
    padded.erase(next);
  }
  if (!(end == whole[axis])) return kNone;
  return h.b.node(Op::concat, parts, {{"axis", static_cast<std::int64_t>(axis)}});
}

// ---- Numbers ----

/// Whether converting to `to` and on loses nothing that going straight would keep.
bool is_widening(ElementType from, ElementType to) {
  if (from == to) return true;
  switch (from) {
    case ElementType::Bool:
      return true;
    case ElementType::U8:
      return to != ElementType::Bool;
    case ElementType::I32:
      return to == ElementType::I64 || to == ElementType::F64;
    case ElementType::F32:
      return to == ElementType::F64;
    case ElementType::BF16:
    case ElementType::F16:
      return to == ElementType::F32 || to == ElementType::F64;
    default:
      return false;
  }
}

/// Of which 1 / v is a number of the type, too.
bool is_power_of_two(double v, ElementType t) {
  int exponent;
  const int limit = t == ElementType::F16 ? 15 : 100;
  return std::isnormal(v) && std::abs(std::frexp(v, &exponent)) == 0.5 &&
         std::abs(exponent) < limit;
}

Value power(const Here& h) {
  const auto p = h.b.graph().splat(h.c());
  if (!p) return kNone;
  if (*p == 1) return h.a();
  if (*p == 2) return h.b.mul(h.a(), h.a());
  // One rounding more is one too many where numbers have 8 or 11 bits.
  if (is_16_bit_float(h.n.type.element) && std::abs(*p) > 1) return kNone;
  if (*p == 3) return h.b.mul(h.b.mul(h.a(), h.a()), h.a());
  if (*p == 4) {
    const Value square = h.b.mul(h.a(), h.a());
    return h.b.mul(square, square);
  }
  if (*p == -1) return h.b.div(h.b.splat(h.n.type, 1), h.a());
  if (*p == -2) {  // 1 / x^2 would be 0 where x^2 overflows and the result does not vanish
    const Value inverse = h.b.div(h.b.splat(h.n.type, 1), h.a());
    return h.b.mul(inverse, inverse);
  }
  // The root of -0 is -0 and that of -infinity NaN, where the powers are 0 and infinity.
  if (*p == 0.5) return h.b.node(Op::sqrt, {h.a()});
  if (*p == -0.5) return h.b.node(Op::rsqrt, {h.a()});
  if (*p == 1.5) return h.b.mul(h.a(), h.b.node(Op::sqrt, {h.a()}));
  if (*p == 0) return h.b.splat(h.n.type, 1);
  return kNone;
}

struct Rule {
  Op op;
  const char* name;
  Value (*apply)(const Here&);
};

const Rule kRules[] = {
    {Op::add, "x + 0 = x", [](const Here& h) { return h.is_splat(h.c(), 0) ? h.a() : kNone; }},
    {Op::add, "0 + x = x", [](const Here& h) { return h.is_splat(h.a(), 0) ? h.c() : kNone; }},
    {Op::add, "x + -y = x - y",
     [](const Here& h) { return h.is(h.c(), Op::neg) ? h.b.sub(h.a(), h.in(h.c())) : kNone; }},
    {Op::add, "-x + y = y - x",
     [](const Here& h) { return h.is(h.a(), Op::neg) ? h.b.sub(h.c(), h.in(h.a())) : kNone; }},
    {Op::sub, "x - 0 = x", [](const Here& h) { return h.is_splat(h.c(), 0) ? h.a() : kNone; }},
    {Op::sub, "x - -y = x + y",
     [](const Here& h) { return h.is(h.c(), Op::neg) ? h.b.add(h.a(), h.in(h.c())) : kNone; }},
    {Op::sub, "0 - x = -x",
     [](const Here& h) { return h.is_splat(h.a(), 0) ? h.b.neg(h.c()) : kNone; }},
    {Op::mul, "x * 1 = x", [](const Here& h) { return h.is_splat(h.c(), 1) ? h.a() : kNone; }},
    {Op::mul, "1 * x = x", [](const Here& h) { return h.is_splat(h.a(), 1) ? h.c() : kNone; }},
    {Op::mul, "x * -1 = -x",
     [](const Here& h) { return h.is_splat(h.c(), -1) ? h.b.neg(h.a()) : kNone; }},
    {Op::mul, "-1 * x = -x",
     [](const Here& h) { return h.is_splat(h.a(), -1) ? h.b.neg(h.c()) : kNone; }},
    {Op::mul, "-x * -y = x * y",
     [](const Here& h) {
       return h.is(h.a(), Op::neg) && h.is(h.c(), Op::neg) ? h.b.mul(h.in(h.a()), h.in(h.c()))
                                                           : kNone;
     }},
    {Op::div, "x / 1 = x", [](const Here& h) { return h.is_splat(h.c(), 1) ? h.a() : kNone; }},
    {Op::div, "x / 2^k = x * 2^-k",
     [](const Here& h) {
       const auto d = h.b.graph().splat(h.c());
       return h.floats() && d && is_power_of_two(*d, h.n.type.element)
                  ? h.b.mul(h.a(), h.b.splat(h.n.type, 1 / *d))
                  : kNone;
     }},
    {Op::neg, "--x = x", [](const Here& h) { return h.is(h.a(), Op::neg) ? h.in(h.a()) : kNone; }},
    {Op::neg, "-(x - y) = y - x",
     [](const Here& h) {
       return h.is(h.a(), Op::sub) ? h.b.sub(h.in(h.a(), 1), h.in(h.a())) : kNone;
     }},
    {Op::pow, "x^p by products and roots for small whole and half p", power},
    {Op::abs, "|-x| = |x| (u8 has no sign, and wraps)",
     [](const Here& h) {
       return h.is(h.a(), Op::neg) && h.n.type.element != ElementType::U8
                  ? h.b.node(Op::abs, {h.in(h.a())})
                  : kNone;
     }},
    {Op::logical_not, "not not x = x",
     [](const Here& h) { return h.is(h.a(), Op::logical_not) ? h.in(h.a()) : kNone; }},
    {Op::select, "x if c else x = x",
     [](const Here& h) { return h.operands[1] == h.operands[2] ? h.operands[1] : kNone; }},
    {Op::select, "x if true else y = x",
     [](const Here& h) {
       const auto c = h.b.graph().splat(h.a());
       return c ? h.operands[*c != 0 ? 1 : 2] : kNone;
     }},
    {Op::select, "the gradient of a relu whose elements are dropped", gradient_of_dropped_relu},
    {Op::select, "x if not c else y = y if c else x",
     [](const Here& h) {
       return h.is(h.a(), Op::logical_not) ? h.b.select(h.in(h.a()), h.operands[2], h.operands[1])
                                           : kNone;
     }},
    {Op::convert, "to the type it has",
     [](const Here& h) { return h.b.type(h.a()).element == h.n.type.element ? h.a() : kNone; }},
    {Op::convert, "by way of a wider type",
     [](const Here& h) {
       if (!h.is(h.a(), Op::convert)) return kNone;
       const Value from = h.in(h.a());
       return is_widening(h.b.type(from).element, h.b.type(h.a()).element)
                  ? h.b.convert(from, h.n.type.element)
                  : kNone;
     }},
    {Op::stop_gradient, "no gradient is taken any more", [](const Here& h) { return h.a(); }},

    {Op::reshape, "to the shape it has",
     [](const Here& h) { return h.b.type(h.a()).shape == h.n.type.shape ? h.a() : kNone; }},
    {Op::reshape, "of a reshape",
     [](const Here& h) {
       return h.is(h.a(), Op::reshape) ? h.b.reshape(h.in(h.a()), h.n.type.shape) : kNone;
     }},
    {Op::reshape, "of a repeated scalar",
     [](const Here& h) {
       return h.is(h.a(), Op::broadcast) && h.b.type(h.in(h.a())).shape.empty()
                  ? h.b.broadcast(h.in(h.a()), h.n.type.shape, {})
                  : kNone;
     }},
    {Op::broadcast, "that changes nothing",
     [](const Here& h) {
       return h.b.type(h.a()).shape == h.n.type.shape &&
                      h.n.ints_attr("dims") == identity(h.n.type.shape.size())
                  ? h.a()
                  : kNone;
     }},
    {Op::broadcast, "of a broadcast",
     [](const Here& h) { return h.is(h.a(), Op::broadcast) ? compose_broadcasts(h) : kNone; }},
    {Op::broadcast, "of a reshape that adds axes of 1",
     [](const Here& h) { return h.is(h.a(), Op::reshape) ? broadcast_of_unit_reshape(h) : kNone; }},
    {Op::transpose, "that changes nothing",
     [](const Here& h) {
       return h.n.ints_attr("perm") == identity(h.n.type.shape.size()) ? h.a() : kNone;
     }},
    {Op::transpose, "of a transpose",
     [](const Here& h) { return h.is(h.a(), Op::transpose) ? compose_transposes(h) : kNone; }},
    {Op::transpose, "of a repeated scalar",
     [](const Here& h) {
       return h.is(h.a(), Op::broadcast) && h.b.type(h.in(h.a())).shape.empty()
                  ? h.b.broadcast(h.in(h.a()), h.n.type.shape, {})
                  : kNone;
     }},
    {Op::transpose, "of a contraction",
     [](const Here& h) {
       return h.is(h.a(), Op::contract) && h.only_use() ? transpose_of_contract(h) : kNone;
     }},
    {Op::reduce_sum, "over axes of 1", reduce_of_ones},
    {Op::reduce_max, "over axes of 1", reduce_of_ones},
    {Op::reduce_min, "over axes of 1", reduce_of_ones},
    {Op::reduce_prod, "over axes of 1", reduce_of_ones},
    {Op::reduce_sum, "of what stands at the place of the largest", sum_at_argmax},
    {Op::reduce_sum, "of a concat of concats", sum_of_concat},
    {Op::add, "of parts side by side", sum_of_parts},
    {Op::reduce_sum, "of a sum",
     [](const Here& h) {
       return h.is(h.a(), Op::reduce_sum) && h.only_use() ? merge_sums(h) : kNone;
     }},
    {Op::contract, "of a transposed left side",
     [](const Here& h) {
       return h.is(h.a(), Op::transpose) ? contract_of_transpose(h, 0) : kNone;
     }},
    {Op::contract, "of a transposed right side",
     [](const Here& h) {
       return h.is(h.c(), Op::transpose) ? contract_of_transpose(h, 1) : kNone;
     }},
    {Op::contract, "of a flattened left side",
     [](const Here& h) { return is_flattened(h, h.a()) ? contract_of_flattened(h, 0) : kNone; }},
    {Op::contract, "of a flattened right side",
     [](const Here& h) { return is_flattened(h, h.c()) ? contract_of_flattened(h, 1) : kNone; }},
};

Value simplify_node(GraphBuilder& b, const Node& n, const std::vector<Value>& operands,
                    const std::vector<std::uint32_t>& uses) {
  const Here here{b, n, operands, uses};
  for (const Rule& rule : kRules)
    if (rule.op == n.op)
      if (const Value v = rule.apply(here); v.valid()) return v;
  if (!is_elementwise(n.op) || operands.empty()) return {};
  if (const Value v = broadcast_after(here); v.valid()) return v;
  return reshape_after(here);
}

}  // namespace

Graph run_simplify(const Graph& old) {
  constexpr int kMaxSweeps = 10;
  Graph g = old;
  for (int sweep = 0; sweep < kMaxSweeps; ++sweep) {
    bool changed = false;
    const std::vector<std::uint32_t> uses = g.use_counts();
    g = rewrite(g,
                [&](GraphBuilder& b, const Graph& from, Value v,
                    const std::vector<Value>& operands) -> Value {
                  if (from[v].op == Op::input) return {};
                  const Value simple = simplify_node(b, from[v], operands, uses);
                  changed = changed || simple.valid();
                  return simple;
                });
    if (!changed) break;
  }
  return g;
}

}  // namespace dlc
