// Chooses the order of axes in which pictures live between convolutions: channels last.
//
//   %y: f32[N, 8, 6, 6] = conv %x, %w {lhs = "nc(h+i)(w+j)", out = "nohw", ..}
//   %z: f32[N, 8, 6, 6] = relu %y
// becomes
//   %x.last = transpose %x {perm = [0, 2, 3, 1]}
//   %y.last: f32[N, 6, 6, 8] = conv %x.last, %w {lhs = "n(h+i)(w+j)c", out = "nhwo", ..}
//   %z.last = relu %y.last
//
// Why: weights are [kernel..., in, out], so the vectors of a contraction run along the channels
// out, and the rows along the channels in are contiguous for its gradients; only so does a tile of
// C store what it holds without spreading it over memory. The price is a transpose where pictures
// come in and where they are flattened; of pictures of one channel it is nothing.
//
// What reads a moved value is computed in the moved order, too, as far as its operation allows: the
// order of axes travels from the convolutions through everything elementwise, reductions, windows,
// padding and reshapes that keep axes together. A value is transposed back where something needs
// its own order.
#include <algorithm>
#include <numeric>

#include "ir/graph/builder.h"
#include "ir/op_def.h"
#include "ir/windows.h"

namespace dlc {

namespace {

using Ints = std::vector<std::int64_t>;

std::size_t at(std::int64_t k) { return static_cast<std::size_t>(k); }

/// Axis k of a moved value is axis perm[k] of the value.
using Perm = Ints;

Perm inverse(const Perm& p) {
  Perm result(p.size());
  for (std::size_t k = 0; k < p.size(); ++k) result[at(p[k])] = static_cast<std::int64_t>(k);
  return result;
}
template <class T>
std::vector<T> permuted(const std::vector<T>& list, const Perm& p) {
  std::vector<T> result;
  for (const std::int64_t k : p) result.push_back(list[at(k)]);
  return result;
}
/// The moved order of some axes of a value: those of `kept`, renumbered.
Perm restricted(const Perm& p, const std::vector<bool>& kept) {
  Ints number(kept.size());
  std::int64_t count = 0;
  for (std::size_t k = 0; k < kept.size(); ++k) number[k] = kept[k] ? count++ : -1;
  Perm result;
  for (const std::int64_t k : p)
    if (kept[at(k)]) result.push_back(number[at(k)]);
  return result;
}
bool is_identity(const Perm& p) { return std::is_sorted(p.begin(), p.end()); }

/// A reshape as independent parts: axes [from, from_end) become axes [to, to_end).
struct Regroup {
  std::size_t from, from_end, to, to_end;
};
std::optional<std::vector<Regroup>> regroup(const Shape& from, const Shape& to) {
  std::vector<Regroup> result;
  std::size_t f = 0, t = 0;
  while (f < from.size() || t < to.size()) {
    Regroup r{f, f, t, t};
    Dim left(1), right(1);
    // The shorter side takes the next axis until both hold as many elements.
    do {
      if ((r.from == r.from_end || right.provably_ge(left)) && r.from_end < from.size())
        left = left * from[r.from_end++];
      else if (r.to_end < to.size())
        right = right * to[r.to_end++];
      else if (r.from_end < from.size())
        left = left * from[r.from_end++];
      else
        return std::nullopt;
    } while (!(left == right));
    f = r.from_end;
    t = r.to_end;
    result.push_back(r);
  }
  return result;
}

class Layout {
 public:
  explicit Layout(const Graph& old) : old_(old), b_(g_), values_(old.nodes.size()) {
    g_.name = old.name;
  }

  Graph run() {
    for (const GraphInput& in : old_.inputs) {
      values_[in.value.id].plain = g_.append(old_[in.value]);
      g_.inputs.push_back({in.name, in.kind, values_[in.value.id].plain});
    }
    for (std::uint32_t id = 0; id < old_.nodes.size(); ++id) {
      const Node& n = old_.nodes[id];
      if (n.op == Op::input) continue;
      b_.set_loc(n.loc);
      const std::size_t before = g_.nodes.size();
      if (!moves(Value{id}, n)) copy(Value{id}, n);
      name_last(n, before);
    }
    for (const GraphOutput& out : old_.outputs)
      g_.outputs.push_back({out.name, out.kind, plain(out.value)});
    return std::move(g_);
  }

 private:
  struct Both {
    Value plain, moved;
    Perm perm;                 // of moved
    bool lives_moved = false;  // what is plain was made for a reader, not the other way round
  };

  // ---- A value in either order ----

  Value plain(Value v) {
    Both& x = values_[v.id];
    if (!x.plain.valid()) x.plain = b_.transpose(x.moved, inverse(x.perm));
    return x.plain;
  }
  Value in_order(Value v, const Perm& p) {
    Both& x = values_[v.id];
    if (is_identity(p)) return plain(v);
    if (x.moved.valid() && x.perm == p) return x.moved;
    if (old_[v].op == Op::broadcast) return broadcast_in_order(v, p);
    const Value moved = b_.transpose(plain(v), p);
    if (!x.moved.valid()) x.moved = moved, x.perm = p;
    return moved;
  }
  /// A repeated value is repeated in the new order.
  Value broadcast_in_order(Value v, const Perm& p) {
    const Node& n = old_[v];
    const Perm to = inverse(p);
    Ints dims;
    for (const std::int64_t d : n.ints_attr("dims")) dims.push_back(to[at(d)]);
    Perm order(dims.size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(),
              [&](std::int64_t a, std::int64_t b) { return dims[at(a)] < dims[at(b)]; });
    return b_.broadcast(in_order(n.operands[0], order), permuted(n.type.shape, p),
                        permuted(dims, order));
  }

  bool is_moved(Value v) const { return values_[v.id].lives_moved; }

  void set(Value v, Value moved, Perm p) {
    if (is_identity(p))
      values_[v.id].plain = moved;
    else
      values_[v.id] = {{}, moved, std::move(p), true};
  }

  void copy(Value v, const Node& n) {
    Node c = n;
    for (Value& o : c.operands) o = plain(o);
    values_[v.id].plain = g_.append(std::move(c));
  }

  /// What stands for a node has its name.
  void name_last(const Node& n, std::size_t before) {
    if (!n.name.empty() && g_.nodes.size() > before && g_.nodes.back().name.empty())
      g_.nodes.back().name = n.name;
  }

  // ---- Operations ----

  bool moves(Value v, const Node& n) {
    if (n.op == Op::conv) return conv(v, n);
    const auto leader =
        std::find_if(n.operands.begin(), n.operands.end(), [&](Value o) { return is_moved(o); });
    if (leader == n.operands.end()) return false;
    const Perm p = values_[leader->id].perm;
    if (is_elementwise(n.op)) {
      std::vector<Value> operands;
      for (const Value o : n.operands) operands.push_back(in_order(o, p));
      return set(v, b_.node(n.op, operands, n.attrs), p), true;
    }
    if (lowers_as<LowerReduce>(n.op)) return reduction(v, n, p);
    switch (n.op) {
      case Op::pad:
      case Op::slice:
      case Op::reverse:
      case Op::concat:
        return axis_by_axis(v, n, p);
      case Op::window:
        return window(v, n, p);
      case Op::unwindow:
        return unwindow(v, n, p);
      case Op::broadcast:
        return broadcast(v, n, p);
      case Op::reshape:
        return reshape(v, n, p);
      case Op::transpose:
        return transpose(v, n, p);
      default:
        return false;
    }
  }

  /// Channels, and the groups before them, behind the places.
  static Perm channels_last(const AxisIndices& axes) {
    Perm p(axes.size());
    std::iota(p.begin(), p.end(), 0);
    std::stable_partition(p.begin(), p.end(), [&](std::int64_t k) {
      const char letter = axes[at(k)].at;
      return axes[at(k)].is_window() || (letter != 'g' && letter != 'c' && letter != 'o');
    });
    return p;
  }

  /// Whether a tensor has the axes n, [g], c and places; weights have not.
  static bool is_batch(const AxisIndices& axes) { return !axes.empty() && axes[0].at == 'n'; }

  /// Vectors along few channels would be mostly empty.
  static bool is_narrow(const AxisIndices& axes, const Shape& shape) {
    constexpr std::int64_t kFew = 8;
    const auto c = std::find_if(axes.begin(), axes.end(),
                                [](const AxisIndex& a) { return a.at == 'c' || a.at == 'o'; });
    const Dim& channels = shape[static_cast<std::size_t>(c - axes.begin())];
    return channels.is_constant() && channels.value() < kFew;
  }

  bool conv(Value v, const Node& n) {
    const AxisIndices axes[3] = {*parse_axis_indices(n.str_attr("lhs")),
                                 *parse_axis_indices(n.str_attr("rhs")),
                                 *parse_axis_indices(n.str_attr("out"))};
    const Shape shapes[3] = {old_.type(n.operands[0]).shape, old_.type(n.operands[1]).shape,
                             n.type.shape};
    // Of a result of few channels the vectors run along the last place, of it and of what it reads.
    const bool first = is_batch(axes[2]) && is_narrow(axes[2], shapes[2]);
    Perm perms[3];
    for (int k = 0; k < 3; ++k) {
      perms[k].resize(axes[k].size());
      std::iota(perms[k].begin(), perms[k].end(), 0);
      if (!is_batch(axes[k]) || first) continue;
      if (!is_narrow(axes[k], shapes[k]))
        perms[k] = channels_last(axes[k]);
      else if (k < 2 && is_moved(n.operands[at(k)]))
        perms[k] = values_[n.operands[at(k)].id].perm;
    }
    Attrs attrs = n.attrs;
    const char* keys[3] = {"lhs", "rhs", "out"};
    for (int k = 0; k < 3; ++k)
      attrs.insert_or_assign(keys[k], axis_indices_str(permuted(axes[k], perms[k])));
    attrs.insert_or_assign("shape", permuted(shapes[2], perms[2]));
    set(v,
        b_.node(Op::conv, {in_order(n.operands[0], perms[0]), in_order(n.operands[1], perms[1])},
                attrs),
        perms[2]);
    return true;
  }

  bool reduction(Value v, const Node& n, const Perm& p) {
    const Perm to = inverse(p);
    Attrs attrs = n.attrs;
    std::vector<bool> kept(p.size(), true);
    if (attrs.contains("axes")) {
      Ints axes;
      for (const std::int64_t a : n.ints_attr("axes")) {
        axes.push_back(to[at(a)]);
        kept[at(a)] = false;
      }
      std::sort(axes.begin(), axes.end());
      attrs.insert_or_assign("axes", axes);
    } else {
      const std::int64_t a = n.int_attr("axis");
      attrs.insert_or_assign("axis", to[at(a)]);
      kept[at(a)] = false;
    }
    set(v, b_.node(n.op, {values_[n.operands[0].id].moved}, attrs), restricted(p, kept));
    return true;
  }

  /// Attributes with an entry for each axis, or the number of one, or a list of some.
  bool axis_by_axis(Value v, const Node& n, const Perm& p) {
    const Perm to = inverse(p);
    Attrs attrs = n.attrs;
    attrs.change_each([&](const std::string& key, Attr& attr) {
      if (auto* shape = std::get_if<Shape>(&attr)) {
        *shape = permuted(*shape, p);
      } else if (auto* axis = std::get_if<std::int64_t>(&attr)) {
        *axis = to[at(*axis)];
      } else if (auto* ints = std::get_if<Ints>(&attr)) {
        if (key == "axes") {
          for (std::int64_t& a : *ints) a = to[at(a)];
          std::sort(ints->begin(), ints->end());
        } else {
          *ints = permuted(*ints, p);
        }
      }
    });
    std::vector<Value> operands;
    for (const Value o : n.operands)
      operands.push_back(old_.type(o).shape.size() == p.size() ? in_order(o, p) : plain(o));
    set(v, b_.node(n.op, operands, attrs), p);
    return true;
  }

  /// Attributes of windows whose axes stand in another order.
  struct MovedWindows {
    Attrs attrs;
    Perm whole;  // of the windows' shape
  };
  static MovedWindows moved_windows(const Node& n, const Perm& p) {
    const Ints &axes = n.ints_attr("axes"), &stride = n.ints_attr("stride"),
               &dilation = n.ints_attr("dilation");
    const Perm to = inverse(p);
    Perm order(axes.size());  // of the windows, by their axes' new places
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
      return to[at(axes[at(a)])] < to[at(axes[at(b)])];
    });
    MovedWindows m;
    Ints moved;
    for (const std::int64_t k : order) moved.push_back(to[at(axes[at(k)])]);
    m.attrs = {{"axes", moved},
               {"stride", permuted(stride, order)},
               {"dilation", permuted(dilation, order)}};
    m.whole = p;
    for (const std::int64_t k : order) m.whole.push_back(static_cast<std::int64_t>(p.size()) + k);
    return m;
  }

  bool window(Value v, const Node& n, const Perm& p) {
    MovedWindows m = moved_windows(n, p);
    m.attrs.emplace("shape", permuted(n.type.shape, m.whole));
    set(v, b_.node(Op::window, {values_[n.operands[0].id].moved}, m.attrs), m.whole);
    return true;
  }
  bool unwindow(Value v, const Node& n, const Perm& whole) {
    // The taps stay at the end; the order of the rest is that of the result.
    const std::size_t rank = n.type.shape.size();
    std::vector<bool> kept(whole.size(), false);
    std::fill(kept.begin(), kept.begin() + static_cast<std::ptrdiff_t>(rank), true);
    const Perm p = restricted(whole, kept);
    MovedWindows m = moved_windows(n, p);
    m.attrs.emplace("shape", permuted(n.type.shape, p));
    set(v, b_.node(Op::unwindow, {in_order(n.operands[0], m.whole)}, m.attrs), p);
    return true;
  }

  /// New axes before the operand's first one stay in front, all others go to the end.
  bool broadcast(Value v, const Node& n, const Perm& p) {
    const Ints& dims = n.ints_attr("dims");
    Perm result;
    for (std::int64_t d = 0; d < dims.front(); ++d) result.push_back(d);
    for (const std::int64_t k : p) result.push_back(dims[at(k)]);
    for (std::int64_t d = dims.front(); d < n.type.rank(); ++d)
      if (std::find(dims.begin(), dims.end(), d) == dims.end()) result.push_back(d);
    return set(v, broadcast_in_order(v, result), result), true;
  }

  bool reshape(Value v, const Node& n, const Perm& p) {
    const Value x = n.operands[0];
    const auto parts = regroup(old_.type(x).shape, n.type.shape);
    if (!parts) return false;
    // Each part's axes have to stand together, in their order, in the moved value.
    Perm result;
    for (std::size_t k = 0; k < p.size();) {
      const auto part = std::find_if(parts->begin(), parts->end(), [&](const Regroup& r) {
        return r.from == at(p[k]) && r.from_end > r.from;
      });
      if (part == parts->end()) return false;
      for (std::size_t f = part->from; f < part->from_end; ++f, ++k)
        if (k >= p.size() || at(p[k]) != f) return false;
      for (std::size_t t = part->to; t < part->to_end; ++t)
        result.push_back(static_cast<std::int64_t>(t));
    }
    // Axes of extent 1 that come from nothing stay where they are, at the end.
    for (const Regroup& r : *parts)
      if (r.from == r.from_end)
        for (std::size_t t = r.to; t < r.to_end; ++t)
          result.push_back(static_cast<std::int64_t>(t));
    set(v, b_.reshape(values_[x.id].moved, permuted(n.type.shape, result)), result);
    return true;
  }

  bool transpose(Value v, const Node& n, const Perm& p) {
    Perm back;
    for (const std::int64_t k : n.ints_attr("perm")) back.push_back(inverse(p)[at(k)]);
    values_[v.id].plain = b_.transpose(values_[n.operands[0].id].moved, back);
    return true;
  }

  const Graph& old_;
  Graph g_;
  GraphBuilder b_;
  std::vector<Both> values_;
};

}  // namespace

Graph run_layout(const Graph& old) {
  const bool has_conv = std::any_of(old.nodes.begin(), old.nodes.end(),
                                    [](const Node& n) { return n.op == Op::conv; });
  return has_conv ? Layout(old).run() : old;
}

}  // namespace dlc
