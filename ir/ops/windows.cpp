// The view of a tensor's windows, and its adjoint.
#include <algorithm>

#include "ir/ops/common.h"

namespace dlc::ops {

namespace {

/// Windows over some axes of a tensor `x`; `windows` has those axes counted in windows and, at the
/// end, an axis of taps for each.
struct Windows {
  Extents axes, stride, dilation;
  Shape x, windows;

  std::size_t axis(std::size_t k) const { return static_cast<std::size_t>(axes[k]); }
  const Dim& taps(std::size_t k) const { return windows[x.size() + k]; }
};

/// A message where the attributes do not fit the two shapes.
std::string check(const Windows& w) {
  const std::size_t count = w.axes.size();
  if (w.stride.size() != count || w.dilation.size() != count)
    return "`axes`, `stride` and `dilation` need one entry for each window";
  if (w.windows.size() != w.x.size() + count)
    return fmt::format("{} windows over {} have {} axes", count, Type{F32, w.x}.str().substr(3),
                       w.x.size() + count);
  Shape rest = w.windows;
  for (std::size_t k = 0; k < count; ++k) {
    if (w.axes[k] < 0 || w.axis(k) >= w.x.size() || (k > 0 && w.axes[k] <= w.axes[k - 1]))
      return "`axes` must increase and name axes of the tensor";
    if (w.stride[k] < 1 || w.dilation[k] < 1 || w.stride[k] > kMaxElements ||
        w.dilation[k] > kMaxElements)
      return "strides and dilations are from 1 to 2^40";
    if (!w.taps(k).is_constant() || w.taps(k).value() < 1) return "a window has at least one tap";
    const Dim &from = w.x[w.axis(k)], &to = w.windows[w.axis(k)];
    if (to == Dim(0)) continue;
    const Dim end =
        (to - Dim(1)) * Dim(w.stride[k]) + Dim((w.taps(k).value() - 1) * w.dilation[k] + 1);
    if (!from.provably_ge(end))
      return fmt::format("axis {} has extent {}; the windows read up to {}", w.axes[k], from.str(),
                         end.str());
  }
  for (std::size_t k = 0; k < count; ++k) rest[w.axis(k)] = w.x[w.axis(k)];
  rest.resize(w.x.size());
  if (!(rest == w.x)) return "the other axes keep their extents";
  return {};
}

/// Of a `window` node's operand and result, or of an `unwindow`'s result and operand.
Windows windows_of(const Node& n, const Shape& x, const Shape& windows) {
  return {n.ints_attr("axes"), n.ints_attr("stride"), n.ints_attr("dilation"), x, windows};
}

Inferred infer(Operands o, const Attrs& attrs, bool back) {
  if (o.size() != 1) return wrong("1 operand expected, {} given", o.size());
  const Extents *axes = attr<Extents>(attrs, "axes"), *stride = attr<Extents>(attrs, "stride"),
                *dilation = attr<Extents>(attrs, "dilation");
  const Shape* shape = attr<Shape>(attrs, "shape");
  if (!axes || !stride || !dilation || !shape)
    return wrong("the attributes `axes`, `stride`, `dilation` and `shape` are needed");
  std::string error;
  if (!shape_is_sane(*shape, error)) return wrong("{}", error);
  error =
      check({*axes, *stride, *dilation, back ? *shape : o[0].shape, back ? o[0].shape : *shape});
  if (!error.empty()) return wrong("{}", error);
  return ok({o[0].element, *shape});
}

Attrs attrs_of(const Node& n, const Shape& shape) {
  return {{"axes", Extents(n.ints_attr("axes"))},
          {"stride", Extents(n.ints_attr("stride"))},
          {"dilation", Extents(n.ints_attr("dilation"))},
          {"shape", shape}};
}

/// Calls f with the offsets of each window's element among the windows and in x.
void for_each_tap(const Windows& w, const std::function<void(std::int64_t, std::int64_t)>& f) {
  Extents x, all;
  for (const Dim& d : w.x) x.push_back(d.value());
  for (const Dim& d : w.windows) all.push_back(d.value());
  const Extents strides = row_major_strides(x);
  for_each_index(all, [&](const Extents& i, std::int64_t at) {
    Extents in_x(i.begin(), i.begin() + static_cast<std::ptrdiff_t>(x.size()));
    for (std::size_t k = 0; k < w.axes.size(); ++k)
      in_x[w.axis(k)] = in_x[w.axis(k)] * w.stride[k] + i[x.size() + k] * w.dilation[k];
    f(at, dot(in_x, strides));
  });
}

Shape shape_of(const Extents& e) { return Shape(e.begin(), e.end()); }

/// One way in which an element of x may be in a window along an axis.
struct Membership {
  ExprId at, tap;
  ExprId inside;  // whether there is such a window and tap; -1: always
};

/// All of them for the element `i`, along axis k.
std::vector<Membership> memberships(KernelBuilder& b, const Windows& w, std::size_t k, ExprId i) {
  const std::int64_t stride = w.stride[k], dilation = w.dilation[k], taps = w.taps(k).value();
  const Dim &count = w.windows[w.axis(k)], &extent = w.x[w.axis(k)];
  const auto binary = [&](ScalarOp op, ElementType t, ExprId x, ExprId y) {
    return b.scalar(op, t, {x, y});
  };
  std::vector<Membership> result;
  const auto add = [&](ExprId at, ExprId tap, std::vector<ExprId> conditions) {
    // Reads the nearest window that there is, then chooses: no load leaves the operand.
    const ExprId last = b.dim(count - Dim(1));
    conditions.push_back(binary(ScalarOp::Le, Bool, b.integer(0), at));
    conditions.push_back(binary(ScalarOp::Le, Bool, at, last));
    ExprId inside = conditions[0];
    for (std::size_t c = 1; c < conditions.size(); ++c)
      inside = binary(ScalarOp::And, Bool, inside, conditions[c]);
    result.push_back({b.clamped(at, count), tap, inside});
  };
  if (stride == 1 && taps == 1) return {{i, b.integer(0), -1}};
  const ExprId by = b.integer(stride);
  if (dilation == 1) {
    // The last window that begins at or before i, and those before it that still reach i.
    const ExprId last = binary(ScalarOp::Div, I64, i, by),
                 first_tap = binary(ScalarOp::Rem, I64, i, by);
    const bool exact = extent == count * Dim(stride) && taps == stride;
    if (exact) return {{last, first_tap, -1}};
    for (std::int64_t back = 0; back * stride < taps; ++back) {
      const ExprId tap = b.add(first_tap, b.integer(back * stride));
      const ExprId most = b.integer(taps - 1);
      add(b.add(last, b.integer(-back)), binary(ScalarOp::Min, I64, tap, most),
          {binary(ScalarOp::Le, Bool, tap, most)});
    }
    return result;
  }
  for (std::int64_t tap = 0; tap < taps; ++tap) {
    const ExprId from = b.add(i, b.integer(-tap * dilation));
    std::vector<ExprId> conditions;
    if (stride > 1)
      conditions.push_back(
          binary(ScalarOp::Eq, Bool, binary(ScalarOp::Rem, I64, from, by), b.integer(0)));
    add(binary(ScalarOp::Div, I64, from, by), b.integer(tap), std::move(conditions));
  }
  return result;
}

ExprId sum_over_windows(KernelBuilder& b, const Graph& g, const Node& n, const Index& index,
                        const std::function<ExprId(int, const Index&)>& element) {
  const Windows w = windows_of(n, n.type.shape, g.type(n.operands[0]).shape);
  std::vector<std::vector<Membership>> all;
  for (std::size_t k = 0; k < w.axes.size(); ++k)
    all.push_back(memberships(b, w, k, index[w.axis(k)]));
  ExprId sum = -1;
  Index at = index;
  at.resize(index.size() + w.axes.size());
  const std::function<void(std::size_t, ExprId)> walk = [&](std::size_t k, ExprId inside) {
    if (k < all.size()) {
      for (const Membership& m : all[k]) {
        at[w.axis(k)] = m.at;
        at[index.size() + k] = m.tap;
        walk(k + 1, inside < 0     ? m.inside
                    : m.inside < 0 ? inside
                                   : b.scalar(ScalarOp::And, Bool, {inside, m.inside}));
      }
      return;
    }
    ExprId value = element(0, at);
    if (inside >= 0)
      value = b.scalar(ScalarOp::Select, n.type.element,
                       {inside, value, b.constant(n.type.element, 0)});
    sum = sum < 0 ? value : b.add(sum, value);
  };
  walk(0, -1);
  return sum;
}

std::vector<Sample> samples(bool back) {
  const Dim n = Dim::symbol("N");
  const auto sample = [&](ElementType e, Extents axes, Extents stride, Extents dilation, Shape x,
                          Shape windows) {
    Attrs attrs{
        {"axes", axes}, {"stride", stride}, {"dilation", dilation}, {"shape", back ? x : windows}};
    return Sample{{t(e, back ? windows : x)}, std::move(attrs)};
  };
  return {
      sample(F64, {1, 2}, {2, 2}, {1, 1}, {n, 6, 4}, {n, 3, 2, 2, 2}),  // side by side
      sample(F32, {1, 2}, {2, 3}, {1, 1}, {n, 7, 8}, {n, 3, 3, 3, 2}),  // 3 taps 2 apart; gaps
      sample(F32, {1}, {1}, {1}, {n, 6, 5}, {n, 4, 5, 3}),              // every place
      sample(F64, {0}, {2}, {2}, {9}, {3, 3}),                          // dilated
      sample(F32, {0}, {1}, {3}, {8}, {2, 3}),
      sample(F32, {0, 1}, {3, 1}, {1, 1}, {8, 2}, {3, 2, 1, 1}),  // one tap
  };
}

}  // namespace

extern const OpDef window_def{
    .name = "window",
    .doc =
        "windows over {axes}, {stride} apart, elements {dilation} apart: {shape} counts windows, "
        "and "
        "taps at the end",
    .infer = [](Operands o, const Attrs& attrs) { return infer(o, attrs, false); },
    // dx = unwindow(dy)
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      const Node n = b.graph()[y];
      return {b.node(Op::unwindow, {dy}, attrs_of(n, b.type(n.operands[0]).shape))};
    }),
    .evaluate =
        [](const Node& n, Literals o, const Type& r) {
          Literal out = literal_of(r);
          for_each_tap(windows_of(n, shape_of(o[0].shape), r.shape),
                       [&](std::int64_t at, std::int64_t x) { copy_element(out, at, o[0], x); });
          return out;
        },
    .lowering = LowerView{[](KernelBuilder& b, const Graph& g, const Node& n, const Index& index) {
      const Windows w = windows_of(n, g.type(n.operands[0]).shape, n.type.shape);
      Index result(index.begin(), index.begin() + static_cast<std::ptrdiff_t>(w.x.size()));
      for (std::size_t k = 0; k < w.axes.size(); ++k)
        result[w.axis(k)] = b.add(b.mul(result[w.axis(k)], b.integer(w.stride[k])),
                                  b.mul(index[w.x.size() + k], b.integer(w.dilation[k])));
      return result;
    }},
    .samples = samples(false),
};

extern const OpDef unwindow_def{
    .name = "unwindow",
    .doc =
        "the adjoint of window: each element of {shape} is the sum of the taps it is under {axes} "
        "{stride} {dilation}",
    .infer = [](Operands o, const Attrs& attrs) { return infer(o, attrs, true); },
    // dx = window(dy)
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      const Node n = b.graph()[y];
      return {b.node(Op::window, {dy}, attrs_of(n, b.type(n.operands[0]).shape))};
    }),
    .evaluate =
        [](const Node& n, Literals o, const Type& r) {
          Literal out = literal_of(r);
          for_each_tap(
              windows_of(n, r.shape, shape_of(o[0].shape)),
              [&](std::int64_t at, std::int64_t x) { out.set(x, out.at(x) + o[0].at(at)); });
          return out;
        },
    .lowering = LowerGenerate{sum_over_windows},
    .samples = samples(true),
};

}  // namespace dlc::ops
