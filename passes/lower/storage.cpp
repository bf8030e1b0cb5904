#include "passes/lower/storage.h"

#include "ir/support/check.h"

namespace dlc {

using loop::AxisId;
using loop::ExprId;
using loop::Kernel;
using loop::KernelBuilder;
using Index = Expressions::Index;

ExprId offset_at(KernelBuilder& b, const MemoryView& p, const Index& index, const Shape& shape) {
  if (!p.strides) return b.add(b.dim(p.base), b.linear_offset(index, shape));
  const std::vector<Dim>& strides = *p.strides;
  ExprId offset = b.dim(p.base);
  for (std::size_t from = 0, to = 0; from < index.size(); from = to) {
    for (to = from + 1; to < index.size() && strides[to - 1] == strides[to] * shape[to];) ++to;
    const auto part = [&](const auto& of) {
      return std::vector(of.begin() + static_cast<std::ptrdiff_t>(from),
                         of.begin() + static_cast<std::ptrdiff_t>(to));
    };
    const ExprId at = b.linear_offset(part(index), part(shape));
    offset = b.add(offset, b.mul(at, b.dim(strides[to - 1])));
  }
  return offset;
}

ExprId Storage::offset(KernelBuilder& b, Value v, const Index& index) const {
  return offset_at(b, place(v), index, g.type(v).shape);
}

MemoryView Storage::strided(Value v) const {
  std::optional<MemoryView> view = view_of(v);
  DLC_CHECK(view, "an operand of a contraction or scan is no strided view");
  return *std::move(view);
}

std::optional<MemoryView> Storage::view_of(Value v) const {
  Kernel scratch;
  KernelBuilder b(scratch);
  Index index;
  std::vector<AxisId> axes;
  for (const Dim& d : g.type(v).shape) {
    axes.push_back(b.axis("i", d));
    index.push_back(b.axis_value(axes.back()));
  }
  MemoryView result;
  result.strides.emplace(axes.size(), 0);
  bool is_view = true;
  Expressions e(
      g, b, [&](Value x) { return is_leaf(x); },
      [&](Value x, const Index& at) {
        result.buffer = buffer(x);
        const auto affine = as_affine(scratch, offset(b, x, at));
        is_view = is_view && affine;
        if (affine) result.base = affine->base;
        for (std::size_t k = 0; affine && k < axes.size(); ++k)
          if (const auto s = affine->strides.find(axes[k]); s != affine->strides.end())
            (*result.strides)[k] = s->second;
        return b.load(0, g.type(x).element, b.integer(0));
      });
  e.element(v, index);
  if (!is_view) return std::nullopt;
  return result;
}

namespace {

/// The strides of a reshape's operand in the memory that the reshape has with `strides`; nullopt
/// when it has none: when one of its axes goes on where no single step leads.
std::optional<std::vector<Dim>> strides_below_reshape(const Shape& shape,
                                                      const std::vector<Dim>& strides,
                                                      const Shape& below) {
  std::vector<Dim> result(below.size(), 0);
  std::size_t above = shape.size(), at = below.size();
  while (at > 0) {
    if (below[at - 1] == Dim(1)) {
      --at;
      continue;
    }
    while (above > 0 && shape[above - 1] == Dim(1)) --above;
    if (above == 0) return std::nullopt;
    // As many axes of both as make one extent, from the last on.
    std::size_t first = above - 1, low = at - 1;
    Dim here = shape[first], there = below[low];
    while (!(here == there)) {
      if (there.provably_ge(here) && first > 0)
        here = here * shape[--first];
      else if (here.provably_ge(there) && low > 0)
        there = there * below[--low];
      else
        return std::nullopt;
    }
    std::optional<Dim> step, next;
    for (std::size_t k = above; k-- > first;) {
      if (shape[k] == Dim(1)) continue;
      if (!step) step = strides[k];
      if (next && !(strides[k] == *next)) return std::nullopt;
      next = strides[k] * shape[k];
    }
    for (std::size_t k = at; k-- > low;) {
      result[k] = *step;
      step = *step * below[k];
    }
    above = first, at = low;
  }
  return result;
}

}  // namespace

std::optional<MemoryView> place_of_part(const Storage& s, Value concat, std::size_t part) {
  const Node& n = s.g[concat];
  const auto axis = static_cast<std::size_t>(n.int_attr("axis"));
  MemoryView view = s.strided(concat);
  for (std::size_t k = 0; k < part; ++k)
    view.base = view.base + s.g.type(n.operands[k]).shape[axis] * (*view.strides)[axis];
  const Value operand = n.operands[part];
  view.strides = strides_below_reshape(s.g.type(operand).shape, *view.strides,
                                       s.g.type(s.g.below_reshapes(operand)).shape);
  if (!view.strides) return std::nullopt;
  return view;
}

}  // namespace dlc
