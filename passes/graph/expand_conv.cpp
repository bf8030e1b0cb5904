// A conv becomes a contract of views (docs/convolution.md).
//
//   a window in an operand    pad %x where it is left, then the view `window`:
//                             x[n, c, 2h+i-1] is window(pad(x))[n, c, h, i]
//   a window in the result    out[s h + d i + c] gathers: h = (a - d i - c) / s. Of stride 1 that
//   is
//                             a window over h with the taps backwards. Of stride s it is s convs,
//                             one for each remainder of a, of the taps whose turn it is; their
//                             results are interleaved.
//
// Taps that only ever meet the frame go first. Letters of extent 1 go, and neighbours that only
// ever occur together are one axis, so that a 1x1 convolution is a matmul.
#include <algorithm>
#include <numeric>

#include "ir/graph/rewriter.h"
#include "ir/support/integers.h"
#include "ir/windows.h"
#include "passes/graph/views.h"

namespace dlc {

namespace {

using Ints = std::vector<std::int64_t>;

/// A tensor with its axes' indices.
struct Part {
  Value v;
  AxisIndices axes;
};

class Expansion {
 public:
  Expansion(GraphBuilder& b, const Node& n, Value lhs, Value rhs)
      : b_(b), shape_(n.shape_attr("shape")) {
    lhs_ = {lhs, *parse_axis_indices(n.str_attr("lhs"))};
    rhs_ = {rhs, *parse_axis_indices(n.str_attr("rhs"))};
    out_ = *parse_axis_indices(n.str_attr("out"));
  }

  Value run() {
    const Shape whole = shape_;
    Shape low(whole.size(), 0), high(whole.size(), 0);
    drop_taps(low, high);
    return b_.pad(gathered(lhs_, rhs_, out_, shape_), low, high);
  }

 private:
  Shape shape_of(const Part& p) const { return b_.type(p.v).shape; }

  static std::size_t axis_of(const AxisIndices& axes, char letter) {
    for (std::size_t k = 0; k < axes.size(); ++k)
      if (!axes[k].is_window() && axes[k].at == letter) return k;
    return axes.size();
  }
  static bool has(const Part& p, char letter) { return axis_of(p.axes, letter) < p.axes.size(); }

  Value slice(Value v, std::size_t axis, std::int64_t begin, std::int64_t step, const Dim& extent) {
    Shape shape = b_.type(v).shape;
    if (begin == 0 && step == 1 && shape[axis] == extent) return v;
    Ints begins(shape.size(), 0), steps(shape.size(), 1);
    begins[axis] = begin;
    steps[axis] = step;
    shape[axis] = extent;
    return b_.node(Op::slice, {v}, {{"begin", begins}, {"step", steps}, {"shape", shape}});
  }

  // ---- Taps that meet nothing but the frame ----

  /// Of a kernel larger than the picture, the taps that no window has inside of it go; a gradient
  /// with respect to them is zero: `low` and `high` are how many of a result's axes are left out.
  void drop_taps(Shape& low, Shape& high) {
    std::map<char, Dim> extents;
    for (const Part& p : {lhs_, rhs_}) note_extents(p.axes, shape_of(p), extents);
    note_extents(out_, shape_, extents);
    for (auto [axes, shape] : {std::pair{&lhs_.axes, shape_of(lhs_)},
                               std::pair{&rhs_.axes, shape_of(rhs_)}, std::pair{&out_, shape_}})
      for (std::size_t k = 0; k < shape.size(); ++k) {
        AxisIndex& window = (*axes)[k];
        if (!window.is_window() || !shape[k].is_constant() ||
            !extents.at(window.at).is_constant() || !extents.at(window.tap).is_constant())
          continue;
        const std::int64_t taps = extents.at(window.tap).value();
        const auto is_met = [&](std::int64_t tap) {
          const std::int64_t begin = window.dilation * tap + window.offset;
          const std::int64_t first = begin >= 0 ? 0 : (-begin + window.step - 1) / window.step;
          return first < extents.at(window.at).value() &&
                 begin + first * window.step < shape[k].value();
        };
        std::int64_t from = 0, to = taps;
        while (from < to && !is_met(from)) ++from;
        while (from < to && !is_met(to - 1)) --to;
        if (from == to || to - from == taps) continue;
        window.offset += window.dilation * from;
        for (Part* p : {&lhs_, &rhs_})
          if (has(*p, window.tap))
            p->v = slice(p->v, axis_of(p->axes, window.tap), from, 1, Dim(to - from));
        if (const std::size_t axis = axis_of(out_, window.tap); axis < out_.size()) {
          shape_[axis] = Dim(to - from);
          low[axis] = Dim(from);
          high[axis] = Dim(taps - to);
        }
      }
  }

  // ---- Windows in the result ----

  /// The conv as contractions, one window of the result after the other turned into one of an
  /// operand.
  Value gathered(Part lhs, Part rhs, AxisIndices out, const Shape& shape) {
    for (std::size_t k = 0; k < out.size(); ++k)
      if (out[k].is_window()) return phases(lhs, rhs, out, shape, k);
    return contraction(std::move(lhs), std::move(rhs), out, shape);
  }

  Value phases(const Part& lhs, const Part& rhs, const AxisIndices& out, const Shape& shape,
               std::size_t axis) {
    const std::int64_t stride = out[axis].step;
    if (stride == 1) return phase(lhs, rhs, out, shape, axis, 0, shape[axis]);
    DLC_CHECK(shape[axis].is_constant(), "a strided window over an axis of open extent {}",
              shape[axis].str());
    const std::int64_t extent = shape[axis].value(), each = ceil_div(extent, stride);
    // [.., a', r, ..] joined is a = stride * a' + r.
    std::vector<Value> parts;
    for (std::int64_t r = 0; r < stride; ++r) {
      const Value part = phase(lhs, rhs, out, shape, axis, r, Dim(each));
      Shape apart = b_.type(part).shape;
      apart.insert(apart.begin() + static_cast<std::ptrdiff_t>(axis) + 1, Dim(1));
      parts.push_back(b_.reshape(part, apart));
    }
    const Value stacked =
        b_.node(Op::concat, parts, {{"axis", static_cast<std::int64_t>(axis) + 1}});
    Shape joined = shape;
    joined[axis] = Dim(each * stride);
    return slice(b_.reshape(stacked, joined), axis, 0, 1, shape[axis]);
  }

  /// The elements stride * a' + r of the result along `axis`, for a' below `extent`.
  Value phase(Part lhs, Part rhs, AxisIndices out, Shape shape, std::size_t axis, std::int64_t r,
              const Dim& extent) {
    const AxisIndex window = out[axis];
    const std::int64_t s = window.step, d = window.dilation;
    shape[axis] = extent;
    Part &source = has(lhs, window.at) ? lhs : rhs, &weights = has(lhs, window.at) ? rhs : lhs;
    const std::size_t taps_axis = axis_of(weights.axes, window.tap);
    const std::int64_t taps = shape_of(weights)[taps_axis].value();
    // s a' + r = s h + d i + c has a solution for the taps i0, i0 + t, ... with t = s / gcd(s, d).
    const std::int64_t gcd = std::gcd(s, d), t = s / gcd;
    const auto divides = [&](std::int64_t i) { return (r - d * i - window.offset) % s == 0; };
    std::int64_t i0 = 0;
    while (i0 < std::min(taps, t) && !divides(i0)) ++i0;
    if (i0 >= std::min(taps, t))
      return b_.splat({accumulator_type(b_.type(lhs.v).element), shape}, 0);
    const std::int64_t count = ceil_div(taps - i0, t), dilation = d / gcd;
    const std::int64_t first = (r - d * i0 - window.offset) / s;
    // h = a' + first - dilation q for the q-th of them; backwards, q' = count - 1 - q.
    Value taken = slice(weights.v, taps_axis, i0, t, Dim(count));
    if (count > 1)
      taken = b_.node(Op::reverse, {taken}, {{"axes", Ints{static_cast<std::int64_t>(taps_axis)}}});
    weights.v = taken;
    source.axes[axis_of(source.axes, window.at)] = {window.at, window.tap, 1, dilation,
                                                    first - dilation * (count - 1)};
    out[axis] = {window.at};
    return gathered(std::move(lhs), std::move(rhs), std::move(out), shape);
  }

  // ---- Windows in the operands ----

  /// The operand with plain axes: inside its frame, as a view of windows.
  Part windowed(Part p, const std::map<char, Dim>& extents) {
    const Shape before = shape_of(p);
    const std::size_t rank = before.size();
    Shape low(rank, 0), high(rank, 0), shape = before;
    Ints axes, stride, dilation, begin(rank, 0);
    Shape taps;
    std::string tap_letters;
    for (std::size_t k = 0; k < rank; ++k) {
      AxisIndex& a = p.axes[k];
      if (!a.is_window()) continue;
      const Dim last = (extents.at(a.at) - Dim(1)) * Dim(a.step) +
                       (extents.at(a.tap) - Dim(1)) * Dim(a.dilation) + Dim(a.offset);
      const Dim beyond = last + Dim(1) - before[k];
      low[k] = Dim(std::max<std::int64_t>(0, -a.offset));
      begin[k] = std::max<std::int64_t>(0, a.offset);
      high[k] = beyond.provably_ge(Dim(0)) ? beyond : Dim(0);
      axes.push_back(static_cast<std::int64_t>(k));
      stride.push_back(a.step);
      dilation.push_back(a.dilation);
      taps.push_back(extents.at(a.tap));
      tap_letters += a.tap;
      shape[k] = extents.at(a.at);
      a = {a.at};
    }
    if (axes.empty()) return p;
    p.v = b_.pad(p.v, low, high);
    for (std::size_t k = 0; k < rank; ++k)
      if (begin[k] > 0) p.v = slice(p.v, k, begin[k], 1, b_.type(p.v).shape[k] - Dim(begin[k]));
    shape.insert(shape.end(), taps.begin(), taps.end());
    for (const char letter : tap_letters) p.axes.push_back({letter});
    p.v = b_.node(Op::window, {p.v},
                  {{"axes", axes}, {"stride", stride}, {"dilation", dilation}, {"shape", shape}});
    return p;
  }

  Value contraction(Part lhs, Part rhs, const AxisIndices& out, const Shape& shape) {
    std::map<char, Dim> all;
    note_extents(out, shape, all);
    note_extents(lhs.axes, shape_of(lhs), all);
    note_extents(rhs.axes, shape_of(rhs), all);
    lhs = windowed(std::move(lhs), all);
    rhs = windowed(std::move(rhs), all);
    std::string letters[3] = {at_letters(lhs.axes), at_letters(rhs.axes), at_letters(out)};
    Value operands[2] = {lhs.v, rhs.v};
    Shape result = shape;
    drop_unit_letters(letters, operands, result);
    join_neighbours(letters, operands, result);
    return b_.reshape(b_.contract(operands[0], operands[1], letters[0], letters[1], letters[2]),
                      shape);
  }

  /// Axes of extent 1 say nothing.
  void drop_unit_letters(std::string (&letters)[3], Value (&operands)[2], Shape& result) {
    for (int which = 0; which < 3; ++which) {
      Shape shape = which < 2 ? b_.type(operands[which]).shape : result, kept;
      std::string left;
      for (std::size_t k = 0; k < shape.size(); ++k) {
        if (shape[k] == Dim(1)) continue;
        kept.push_back(shape[k]);
        left += letters[which][k];
      }
      letters[which] = left;
      if (which < 2)
        operands[which] = b_.reshape(operands[which], kept);
      else
        result = kept;
    }
  }

  /// Letters `ab` that stand together wherever one of them does become one axis, if their operand's
  /// rows follow one another in memory; windows do not.
  void join_neighbours(std::string (&letters)[3], Value (&operands)[2], Shape& result) {
    for (std::size_t k = 0; k + 1 < letters[2].size();) {
      const std::string pair = letters[2].substr(k, 2);
      if (!joinable(pair, letters, operands)) {
        ++k;
        continue;
      }
      for (int which = 0; which < 3; ++which) {
        const std::size_t at = letters[which].find(pair);
        if (at == std::string::npos) continue;
        Shape shape = which < 2 ? b_.type(operands[which]).shape : result;
        shape[at] = shape[at] * shape[at + 1];
        shape.erase(shape.begin() + static_cast<std::ptrdiff_t>(at) + 1);
        letters[which].erase(at + 1, 1);
        if (which < 2)
          operands[which] = b_.reshape(operands[which], shape);
        else
          result = shape;
      }
    }
  }

  bool joinable(const std::string& pair, const std::string (&letters)[3],
                const Value (&operands)[2]) const {
    for (int which = 0; which < 2; ++which) {
      const bool first = letters[which].find(pair[0]) != std::string::npos,
                 second = letters[which].find(pair[1]) != std::string::npos;
      if (!first && !second) continue;
      if (letters[which].find(pair) == std::string::npos ||
          !is_in_order(b_.graph(), operands[which]))
        return false;
    }
    return true;
  }

  GraphBuilder& b_;
  Shape shape_;
  Part lhs_, rhs_;
  AxisIndices out_;
};

}  // namespace

Graph run_expand_conv(const Graph& old) {
  return rewrite(
      old,
      [](GraphBuilder& b, const Graph& from, Value v, const std::vector<Value>& operands) -> Value {
        if (from[v].op != Op::conv) return {};
        return Expansion(b, from[v], operands[0], operands[1]).run();
      });
}

}  // namespace dlc
