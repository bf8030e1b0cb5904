// Convolutions and windows: the geometry of what slides over the axes after the first two.
#include <algorithm>

#include "frontend/sema/builtins.h"
#include "ir/windows.h"

namespace dlc::sema {

namespace {

using Ints = std::vector<std::int64_t>;

/// How a window slides over each spatial axis.
struct Geometry {
  Ints size, stride, dilation, low, high;  // low, high: padding

  /// Elements from the first to the last tap, both included.
  std::int64_t reach(std::size_t k) const { return (size[k] - 1) * dilation[k] + 1; }
};

struct Call {
  Evaluator& ev;
  Program& p;
  Span span;
  Value x;
  Shape before;         // of x
  std::size_t spatial;  // axes
};

std::optional<std::int64_t> integer(const Val& v) {
  const Dim* d = v.get<Dim>();
  return d && d->is_constant() ? std::optional(d->constant()) : std::nullopt;
}

/// An integer for all spatial axes, or a list with one for each.
std::optional<Ints> per_axis(Call& c, const Bound& b, const char* name, std::int64_t least) {
  constexpr std::int64_t kMost = 1 << 20;
  std::vector<Val> items(c.spatial, b.value);
  if (const List* l = b.value.list()) items = l->items;
  Ints result;
  for (const Val& item : items)
    if (const auto v = integer(item)) result.push_back(*v);
  const bool good = items.size() == c.spatial && result.size() == c.spatial &&
                    std::all_of(result.begin(), result.end(),
                                [&](std::int64_t v) { return v >= least && v <= kMost; });
  if (good) return result;
  c.ev.report(Diag::bad_argument, b.span,
              fmt::format("`{}` is an integer from {}, or a list of {} of them, one for each axis "
                          "after the first two",
                          name, least, c.spatial));
  return std::nullopt;
}

/// Padding: as per_axis, or a list of [before, after], or "same", which keeps the extents where the
/// stride is 1 and else divides them by it, rounding up.
bool read_padding(Call& c, const Bound& b, Geometry& g) {
  g.low.assign(c.spatial, 0);
  g.high.assign(c.spatial, 0);
  if (const auto* s = b.value.get<std::string>(); s && *s == "same") {
    for (std::size_t k = 0; k < c.spatial; ++k) {
      const Dim& extent = c.before[k + 2];
      std::int64_t total = g.reach(k) - 1;
      if (g.stride[k] > 1) {
        if (!extent.is_constant()) {
          c.ev.report(Diag::symbolic_division, b.span,
                      fmt::format("\"same\" padding of an axis of {} elements in steps of {} "
                                  "depends on a size that is known only when running",
                                  extent.str(), g.stride[k]),
                      "give the padding in numbers");
          return false;
        }
        const std::int64_t n = extent.value(), out = (n + g.stride[k] - 1) / g.stride[k];
        total = std::max<std::int64_t>(0, (out - 1) * g.stride[k] + g.reach(k) - n);
      }
      g.low[k] = total / 2;
      g.high[k] = total - total / 2;
    }
    return true;
  }
  const List* l = b.value.list();
  if (l && l->items.size() == c.spatial && !l->items.empty() && l->items[0].list()) {
    for (std::size_t k = 0; k < c.spatial; ++k) {
      const List* both = l->items[k].list();
      const auto low = both && both->items.size() == 2 ? integer(both->items[0]) : std::nullopt;
      const auto high = low ? integer(both->items[1]) : std::nullopt;
      if (!high || *low < 0 || *high < 0 || *low > 1 << 20 || *high > 1 << 20) {
        c.ev.report(Diag::bad_argument, b.span,
                    "each entry of `pad` is an integer from 0 or a pair [before, after]");
        return false;
      }
      g.low[k] = *low;
      g.high[k] = *high;
    }
    return true;
  }
  if (!l && !integer(b.value)) {
    c.ev.report(
        Diag::bad_argument, b.span,
        fmt::format("`pad` is an integer, a list, or \"same\"; this is {}", describe(b.value)));
    return false;
  }
  const auto both = per_axis(c, b, "pad", 0);
  if (both) g.low = g.high = *both;
  return both.has_value();
}

/// How many windows fit along spatial axis k; nullopt after a report. `ceil`: also the one that
/// begins inside (the padding before it included) and ends outside.
std::optional<Dim> windows_along(Call& c, const Geometry& g, std::size_t k, bool ceil,
                                 const std::string& what) {
  const Dim& extent = c.before[k + 2];
  const Dim padded = extent + Dim(g.low[k] + g.high[k]), room = padded - Dim(g.reach(k));
  if (!padded.provably_ge(Dim(g.reach(k)))) {
    std::string message =
        fmt::format("{} reaches over {} elements, and axis {} has {}", what, g.reach(k), k + 2,
                    g.low[k] + g.high[k] == 0
                        ? extent.str()
                        : fmt::format("{} with {} of padding", extent.str(), g.low[k] + g.high[k]));
    c.ev.report(Diag::window_mismatch, c.span, message,
                extent.is_constant() ? "pad the axis or take a smaller window"
                                     : "a window must fit for any size; pad the axis");
    return std::nullopt;
  }
  if (g.stride[k] == 1) return room + Dim(1);
  if (!room.is_constant()) {
    c.ev.report(Diag::symbolic_division, c.span,
                fmt::format("axis {} of {} elements cannot be walked in steps of {}: how many fit "
                            "is known only when running",
                            k + 2, extent.str(), g.stride[k]));
    return std::nullopt;
  }
  std::int64_t count = room.value() / g.stride[k] + 1;
  if (ceil) {
    count = (room.value() + g.stride[k] - 1) / g.stride[k] + 1;
    if ((count - 1) * g.stride[k] >= extent.value() + g.low[k]) --count;
  }
  return Dim(count);
}

/// The call of a function whose first argument is [N, channels, ...]; nullopt after a report.
std::optional<Call> spatial_call(Evaluator& ev, Frame& f, const Args& a, Span span,
                                 const char* what) {
  Program* p = program_of(ev, f, span);
  const auto x = p ? ev.tensor(*p, a[0].value, a[0].span) : std::nullopt;
  if (!x) return std::nullopt;
  const Shape shape = p->type(*x).shape;
  if (shape.size() >= 3 && shape.size() <= 5)
    return Call{ev, *p, span, *x, shape, shape.size() - 2};
  ev.report(Diag::rank_mismatch, a[0].span,
            fmt::format("{} works on [N, channels, ...] with one to three axes more, this is {}",
                        what, ev.describe_shape(*p, *x)),
            shape.size() == 2 ? "`reshape` gives a picture its axes" : "");
  return std::nullopt;
}

/// The letters of an einsum with windows: n, groups, channels in and out; places and taps by axis.
struct Letters {
  static constexpr const char *kPlaces = "hwd", *kTaps = "ijk";
  bool groups;
  std::size_t spatial;

  AxisIndices plain(const std::string& before, const char* axes, const std::string& after) const {
    AxisIndices result;
    for (const char ch : before) add(result, ch);
    for (std::size_t k = 0; k < spatial; ++k) result.push_back({axes[k]});
    for (const char ch : after) add(result, ch);
    return result;
  }
  AxisIndices windows(const Geometry& g) const {
    AxisIndices result = plain("ngc", kPlaces, "");
    for (std::size_t k = 0; k < spatial; ++k)
      result[result.size() - spatial + k] = {kPlaces[k], kTaps[k], g.stride[k], g.dilation[k],
                                             -g.low[k]};
    return result;
  }

 private:
  void add(AxisIndices& to, char letter) const {
    if (letter != 'g' || groups) to.push_back({letter});
  }
};

/// The axis `axis` of v taken apart into `groups` and the rest.
Value split_groups(Program& p, Value v, std::size_t axis, std::int64_t groups) {
  if (groups == 1) return v;
  Shape shape = p.type(v).shape;
  shape[axis] = *shape[axis].exact_div(Dim(groups));
  shape.insert(shape.begin() + static_cast<std::ptrdiff_t>(axis), Dim(groups));
  return p.b.reshape(v, shape);
}

/// What conv and conv_transpose have in common: operands of one type, weights
/// [kernel..., in / groups, out], settings.
struct Layer {
  Value x, w;
  Geometry g;
  std::int64_t groups;
};
std::optional<Layer> read_layer(Call& c, const Args& a, bool transposed) {
  Evaluator& ev = c.ev;
  Program& p = c.p;
  const auto both = ev.promoted(p, a[0], a[1], true, c.span);
  if (!both) return std::nullopt;
  Layer l{both->first, both->second, {}, 1};
  const Type &x = p.type(l.x), &w = p.type(l.w);
  if (w.rank() != x.rank()) {
    ev.report(Diag::rank_mismatch, a[1].span,
              fmt::format("the weights of a convolution of {} have {} axes, [kernel..., in, out]; "
                          "these are {}",
                          ev.describe_shape(p, l.x), x.rank(), ev.describe_shape(p, l.w)));
    return std::nullopt;
  }
  const auto groups = integer(a[5].value);
  if (!groups || *groups < 1 || *groups > 1 << 20) {
    ev.report(Diag::bad_argument, a[5].span, "`groups` is an integer from 1");
    return std::nullopt;
  }
  l.groups = *groups;
  for (std::size_t k = 0; k < c.spatial; ++k) {
    const Dim& extent = w.shape[k];
    if (!extent.is_constant() || extent.value() < 1) {
      ev.report(Diag::bad_shape, a[1].span,
                fmt::format("a kernel has a known size of at least 1, this is {}",
                            ev.describe_shape(p, l.w)));
      return std::nullopt;
    }
    l.g.size.push_back(extent.value());
  }
  const Dim &in = x.shape[1], &taken = w.shape[c.spatial], &out = w.shape[c.spatial + 1];
  const auto in_group = in.exact_div(Dim(l.groups)), out_group = out.exact_div(Dim(l.groups));
  if (!in_group || !out_group || !(*in_group == taken)) {
    const std::string split = l.groups == 1 ? "" : fmt::format(" in {} groups", l.groups);
    ev.report(Diag::window_mismatch, c.span,
              !in_group || !out_group
                  ? fmt::format("{} channels in and {} out do not divide into {} groups", in.str(),
                                out.str(), l.groups)
                  : fmt::format("{} has {} channels{}, the weights {} are made for {}",
                                ev.describe_shape(p, l.x), in.str(), split,
                                ev.describe_shape(p, l.w), taken.str()),
              "weights are [kernel..., channels in / groups, channels out]",
              ev.origin_labels(p, l.x, 1));
    return std::nullopt;
  }
  const auto stride = per_axis(c, a[2], "stride", 1);
  const auto dilation = stride ? per_axis(c, a[4], "dilation", 1) : std::nullopt;
  if (!dilation) return std::nullopt;
  l.g.stride = *stride;
  l.g.dilation = *dilation;
  if (transposed && a[3].value.get<std::string>()) {
    ev.report(Diag::bad_argument, a[3].span,
              "`pad` of a transposed convolution is given in numbers");
    return std::nullopt;
  }
  if (!read_padding(c, a[3], l.g)) return std::nullopt;
  l.x = split_groups(p, l.x, 1, l.groups);
  l.w = split_groups(p, l.w, c.spatial + 1, l.groups);
  return l;
}

/// [N, channels out, ...] of what was computed as [N, groups, out / groups, ...].
Val joined(Call& c, const Val& y, const Dim& channels, const Shape& places) {
  const auto* ref = y.get<TensorRef>();
  if (!ref) return y;
  Shape shape{c.p.type(ref->value).shape[0], channels};
  shape.insert(shape.end(), places.begin(), places.end());
  if (shape == c.p.type(ref->value).shape) return y;
  return c.ev.emit(c.p, Op::reshape, {ref->value}, {{"shape", shape}}, c.span);
}

Val emit_conv(Call& c, const Layer& l, const AxisIndices& lhs, const AxisIndices& out,
              const Shape& places) {
  const Letters letters{l.groups > 1, c.spatial};
  const Dim channels = c.p.type(l.w).shape.back() * Dim(l.groups);
  Shape shape{c.p.type(l.x).shape[0]};
  if (l.groups > 1) shape.push_back(Dim(l.groups));
  shape.push_back(c.p.type(l.w).shape.back());
  shape.insert(shape.end(), places.begin(), places.end());
  const Val y = c.ev.emit(c.p, Op::conv, {l.x, l.w},
                          {{"lhs", axis_indices_str(lhs)},
                           {"rhs", axis_indices_str(letters.plain("", Letters::kTaps, "cgo"))},
                           {"out", axis_indices_str(out)},
                           {"shape", shape}},
                          c.span);
  return joined(c, y, channels, places);
}

Val conv(Evaluator& ev, Frame& f, const Args& a, Span span) {
  auto call = spatial_call(ev, f, a, span, "a convolution");
  if (!call) return Poison{};
  Call& c = *call;
  const auto l = read_layer(c, a, false);
  if (!l) return Poison{};
  Shape places;
  for (std::size_t k = 0; k < c.spatial; ++k) {
    const auto count = windows_along(c, l->g, k, false, "the kernel");
    if (!count) return Poison{};
    places.push_back(*count);
  }
  const Letters letters{l->groups > 1, c.spatial};
  return emit_conv(c, *l, letters.windows(l->g), letters.plain("ngo", Letters::kPlaces, ""),
                   places);
}

/// A setting as a list: per_axis(3, 2) is [3, 3], a list of the right length stays what it is.
Val per_axis_list(Evaluator& ev, Frame&, const Args& a, Span) {
  const auto n = integer(a[1].value);
  if (const List* l = a[0].value.list())
    if (n && static_cast<std::int64_t>(l->items.size()) == *n) return a[0].value;
  if (n && *n >= 0 && *n <= 16 && a[0].value.get<Dim>())
    return make_list(std::vector<Val>(static_cast<std::size_t>(*n), a[0].value));
  return ev.report(Diag::bad_argument, a[0].span,
                   fmt::format("an integer or a list of {} is expected, this is {}",
                               n ? fmt::format("{}", *n) : "some", describe(a[0].value)));
}

/// The adjoint of conv with the same settings, as a map from what conv gives to what it takes.
Val conv_transpose(Evaluator& ev, Frame& f, const Args& a, Span span) {
  auto call = spatial_call(ev, f, a, span, "a transposed convolution");
  if (!call) return Poison{};
  Call& c = *call;
  const auto l = read_layer(c, a, true);
  const auto more = l ? per_axis(c, a[6], "output_pad", 0) : std::nullopt;
  if (!more) return Poison{};
  Shape places;
  for (std::size_t k = 0; k < c.spatial; ++k) {
    const Dim whole = (c.before[k + 2] - Dim(1)) * Dim(l->g.stride[k]) +
                      Dim(l->g.reach(k) + (*more)[k] - l->g.low[k] - l->g.high[k]);
    if ((*more)[k] >= std::max(l->g.stride[k], l->g.dilation[k]) && (*more)[k] > 0)
      return ev.report(Diag::bad_argument, a[6].span,
                       fmt::format("`output_pad` is less than the stride or the dilation, this is "
                                   "{}",
                                   (*more)[k]));
    if (!whole.provably_ge(Dim(1)))
      return ev.report(Diag::window_mismatch, span,
                       fmt::format("with {} of padding nothing is left of axis {}",
                                   l->g.low[k] + l->g.high[k], k + 2));
    if (l->g.stride[k] > 1 && !whole.is_constant())
      return ev.report(Diag::symbolic_division, span,
                       fmt::format("axis {} of {} elements cannot be spread in steps of {}: its "
                                   "size is known only when running",
                                   k + 2, c.before[k + 2].str(), l->g.stride[k]));
    places.push_back(whole);
  }
  const Letters letters{l->groups > 1, c.spatial};
  AxisIndices out = letters.windows(l->g);
  for (AxisIndex& axis : out)
    if (axis.at == 'c') axis.at = 'o';
  return emit_conv(c, *l, letters.plain("ngc", Letters::kPlaces, ""), out, places);
}

/// [N, c, windows..., taps]: a view of every window, for reductions over the taps.
Val windows(Evaluator& ev, Frame& f, const Args& a, Span span) {
  auto call = spatial_call(ev, f, a, span, "a window");
  if (!call) return Poison{};
  Call& c = *call;
  Geometry g;
  const auto size = per_axis(c, a[1], "size", 1);
  const auto stride = size ? per_axis(c, is_none(a[2]) ? a[1] : a[2], "stride", 1) : std::nullopt;
  const auto dilation = stride ? per_axis(c, a[4], "dilation", 1) : std::nullopt;
  const auto ceil = dilation ? flag(ev, a[6], "ceil", false) : std::nullopt;
  if (!ceil) return Poison{};
  g.size = *size;
  g.stride = *stride;
  g.dilation = *dilation;
  if (!read_padding(c, a[3], g)) return Poison{};
  Shape low(2, 0), high(2, 0), over(2, 0), shape(c.before.begin(), c.before.begin() + 2);
  Ints axes;
  Dim taps(1);
  for (std::size_t k = 0; k < c.spatial; ++k) {
    const auto count = windows_along(c, g, k, *ceil, "the window");
    if (!count) return Poison{};
    axes.push_back(static_cast<std::int64_t>(k) + 2);
    shape.push_back(*count);
    taps = taps * Dim(g.size[k]);
    // The last window may end beyond the padding, or before it.
    const Dim end = (*count - Dim(1)) * Dim(g.stride[k]) + Dim(g.reach(k) - g.low[k]);
    const Dim behind = end - c.before[k + 2], padding(g.high[k]);
    const bool beyond = behind.provably_ge(padding);
    low.push_back(Dim(g.low[k]));
    high.push_back(beyond ? padding : behind.provably_ge(Dim(0)) ? behind : Dim(0));
    over.push_back(beyond ? behind - padding : Dim(0));
  }
  Value inside = c.x;
  // Framed by `value`, then by what lies beyond; both at once where that is the same.
  const auto framed = [&](const Shape& before, const Shape& after, const Bound& with) {
    const auto is_zero = [](const Dim& d) { return d == Dim(0); };
    if (std::all_of(before.begin(), before.end(), is_zero) &&
        std::all_of(after.begin(), after.end(), is_zero))
      return true;
    const auto value = ev.tensor(c.p, with.value, with.span, c.p.type(inside).element);
    const Val made =
        value ? ev.emit(c.p, Op::pad, {inside, *value}, {{"low", before}, {"high", after}}, span)
              : Val(Poison{});
    if (const auto* ref = made.get<TensorRef>()) inside = ref->value;
    return made.get<TensorRef>() != nullptr;
  };
  const bool one = is_none(a[7]);
  if (one)
    for (std::size_t k = 0; k < high.size(); ++k) high[k] = high[k] + over[k];
  if (!framed(low, high, a[5]) || (!one && !framed(Shape(over.size(), 0), over, a[7])))
    return Poison{};
  Shape each = shape;
  for (const std::int64_t s : g.size) each.push_back(Dim(s));
  const Val view = ev.emit(
      c.p, Op::window, {inside},
      {{"axes", axes}, {"stride", g.stride}, {"dilation", g.dilation}, {"shape", each}}, span);
  const auto* ref = view.get<TensorRef>();
  if (!ref || c.spatial == 1) return view;
  shape.push_back(taps);
  return ev.emit(c.p, Op::reshape, {ref->value}, {{"shape", shape}}, span);
}

}  // namespace

std::vector<Builtin> conv_builtins() {
  return {
      {"conv",
       {"x", "w", "stride=1", "pad=0", "dilation=1", "groups=1"},
       "the convolution of [N, in, ...] with weights [kernel..., in / groups, out]",
       conv},
      {"conv_transpose",
       {"x", "w", "stride=1", "pad=0", "dilation=1", "groups=1", "output_pad=0"},
       "the transposed convolution of [N, in, ...] with weights [kernel..., in / groups, out]",
       conv_transpose},
      {"per_axis",
       {"value", "n"},
       "a list of n equal integers, or the list of n that value is",
       per_axis_list},
      {"windows",
       {"x", "size", "stride=none", "pad=0", "dilation=1", "value=0", "ceil=false", "beyond=none"},
       "[N, c, windows..., taps] of [N, c, ...]: every window, padded with value, as a view; "
       "beyond: what a ceiled window reads behind the padding",
       windows},
  };
}

}  // namespace dlc::sema
