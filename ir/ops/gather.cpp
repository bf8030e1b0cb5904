// Reading, adding and writing at places that are data.
#include <algorithm>
#include <numeric>

#include "ir/ops/common.h"

namespace dlc::ops {

namespace {

const Dim kN = Dim::symbol("N");

/// shape with axis replaced by the axes of `index`.
Shape gathered_shape(const Shape& shape, std::size_t axis, const Shape& index) {
  Shape result(shape.begin(), shape.begin() + static_cast<std::ptrdiff_t>(axis));
  result.insert(result.end(), index.begin(), index.end());
  result.insert(result.end(), shape.begin() + static_cast<std::ptrdiff_t>(axis) + 1, shape.end());
  return result;
}

/// `visit(k, at)` for each element k of `rows` in order, which are those of `x` at the places: it
/// belongs to element `at` of x.
void for_each_place(const Node& n, const Literal& places, const Literal& rows, const Literal& x,
                    const std::function<void(std::int64_t, std::int64_t)>& visit) {
  const auto axis = static_cast<std::size_t>(n.int_attr("axis"));
  const std::size_t rank = places.shape.size();
  const Extents strides = row_major_strides(x.shape), p_strides = row_major_strides(places.shape);
  for_each_index(rows.shape, [&](const Extents& i, std::int64_t k) {
    std::int64_t place = 0, at = 0;
    for (std::size_t a = 0; a < rank; ++a) place += i[axis + a] * p_strides[a];
    const std::int64_t j =
        std::clamp<std::int64_t>(places.i[static_cast<std::size_t>(place)], 0, x.shape[axis] - 1);
    for (std::size_t a = 0; a < x.shape.size(); ++a)
      at += (a < axis ? i[a] : a == axis ? j : i[a - 1 + rank]) * strides[a];
    visit(k, at);
  });
}

/// Places that are stacked come in front of the row that is read; of stacked rows, each turn's own
/// places would be a gather along two axes.
Value stack_gather(GraphBuilder& b, const Node& n, const std::vector<Value>& operands,
                   const std::vector<bool>& stacked, const Dim&) {
  const std::int64_t axis = n.int_attr("axis");
  if (stacked[0] && stacked[1]) return {};
  if (stacked[0]) return b.node(Op::gather, operands, {{"axis", axis + 1}});
  const Value all = b.node(Op::gather, operands, {{"axis", axis}});
  Extents perm{axis};
  for (std::int64_t k = 0; k < b.type(all).rank(); ++k)
    if (k != axis) perm.push_back(k);
  return b.transpose(all, perm);
}

/// Only where all turns add at the same places.
Value stack_scatter_add(GraphBuilder& b, const Node& n, const std::vector<Value>& operands,
                        const std::vector<bool>& stacked, const Dim&) {
  if (stacked[0]) return {};
  return b.node(Op::scatter_add, operands,
                {{"axis", n.int_attr("axis") + 1}, {"size", n.shape_attr("size")}});
}

/// The same; what is not stacked is repeated.
Value stack_scatter(GraphBuilder& b, const Node& n, const std::vector<Value>& operands,
                    const std::vector<bool>& stacked, const Dim& length) {
  if (stacked[1]) return {};
  const auto of_all_turns = [&](std::size_t k) {
    if (stacked[k]) return operands[k];
    Shape shape = b.type(operands[k]).shape;
    shape.insert(shape.begin(), length);
    return b.broadcast_trailing(operands[k], shape);
  };
  const Value base = of_all_turns(0), updates = of_all_turns(2);
  return b.node(Op::scatter, {base, operands[1], updates}, {{"axis", n.int_attr("axis") + 1}});
}

bool is_index_type(ElementType e) { return e == I32 || e == I64 || e == U8; }

/// What is wrong with updates along {axis}, whose axes from there on are those of the places; or
/// nothing.
std::optional<Inferred> wrong_updates(const Type& places, const Type& updates,
                                      const std::int64_t* axis) {
  const std::size_t rank = places.shape.size();
  if (!is_index_type(places.element))
    return wrong("the places are {}; integers are expected", places.str());
  if (!axis || *axis < 0 || static_cast<std::size_t>(*axis) + rank > updates.shape.size())
    return wrong("the places {} do not fit the updates {} at `axis`", places.str(), updates.str());
  for (std::size_t k = 0; k < rank; ++k)
    if (!(places.shape[k] == updates.shape[static_cast<std::size_t>(*axis) + k]))
      return wrong("the places {} do not fit the updates {} at axis {}", places.str(),
                   updates.str(), *axis);
  return std::nullopt;
}

}  // namespace

extern const OpDef gather_def{
    .name = "gather",
    .doc =
        "x at the places of an integer tensor, whose axes replace {axis}; places outside are "
        "clamped",
    .infer = [](Operands o, const Attrs& attrs) -> Inferred {
      if (o.size() != 2) return wrong("2 operands expected, {} given", o.size());
      const auto axis = axis_attr(attrs, o[0].rank());
      if (!axis) return wrong("`axis` is no axis of {}", o[0].str());
      if (!is_index_type(o[1].element))
        return wrong("the places are {}; integers are expected", o[1].str());
      if (o[0].shape[static_cast<std::size_t>(*axis)] == Dim(0))
        return wrong("axis {} of {} has no elements to read", *axis, o[0].str());
      const Shape shape = gathered_shape(o[0].shape, static_cast<std::size_t>(*axis), o[1].shape);
      std::string error;
      if (!shape_is_sane(shape, error)) return wrong("{}", error);
      return ok({o[0].element, shape});
    },
    // dx = zeros, with dy added at the places; in f32 where x is a 16-bit float
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      const Node n = b.graph()[y];
      const std::int64_t axis = n.int_attr("axis");
      const Dim size = b.type(n.operands[0]).shape[static_cast<std::size_t>(axis)];
      const ElementType element = b.type(dy).element;
      const Value wide = b.convert(dy, accumulator_type(element));
      const Value sum =
          b.node(Op::scatter_add, {n.operands[1], wide}, {{"axis", axis}, {"size", Shape{size}}});
      return {b.convert(sum, element), Value{}};
    }),
    .evaluate =
        [](const Node& n, Literals o, const Type& r) {
          Literal out = literal_of(r);
          for_each_place(n, o[1], out, o[0],
                         [&](std::int64_t k, std::int64_t at) { copy_element(out, k, o[0], at); });
          return out;
        },
    .lowering =
        LowerGenerate{[](KernelBuilder& b, const Graph& g, const Node& n, const Index& index,
                         const std::function<ExprId(int, const Index&)>& element) {
          const auto axis = static_cast<std::size_t>(n.int_attr("axis"));
          const Shape& from = g.type(n.operands[0]).shape;
          const std::size_t rank = g.type(n.operands[1]).shape.size();
          const auto at = index.begin() + static_cast<std::ptrdiff_t>(axis);
          ExprId j = element(1, Index(at, at + static_cast<std::ptrdiff_t>(rank)));
          if (b.type(j) != I64) j = b.scalar(ScalarOp::Convert, I64, {j});
          Index inner(index.begin(), at);
          inner.push_back(b.clamped(j, from[axis]));
          inner.insert(inner.end(), at + static_cast<std::ptrdiff_t>(rank), index.end());
          return element(0, inner);
        }},
    .samples = {{{t(F64, {5, 3}), t(I32, {kN})}, {{"axis", std::int64_t{0}}}, 0, 4},
                {{t(F32, {2, 6}), t(I64, {3, 2})}, {{"axis", std::int64_t{1}}}, 0, 5},
                {{t(F64, {4, 3}), t(I32, {})}, {{"axis", std::int64_t{0}}}, 0, 3},
                {{t(U8, {9, 20}), t(I32, {kN})}, {{"axis", std::int64_t{0}}}, 0, 8},
                {{t(BF16, {9, 20}), t(I32, {kN})}, {{"axis", std::int64_t{0}}}, 0, 8}},
    .stack = stack_gather,
};

extern const OpDef scatter_add_def{
    .name = "scatter_add",
    .doc =
        "zeros of extent {size} along {axis}, with the second operand added at the places of the "
        "first, in order; places outside are clamped, as gather clamps them",
    .infer = [](Operands o, const Attrs& attrs) -> Inferred {
      if (o.size() != 2) return wrong("2 operands expected, {} given", o.size());
      const std::int64_t* axis = attr<std::int64_t>(attrs, "axis");
      const Shape* size = attr<Shape>(attrs, "size");
      if (!size || size->size() != 1 || (*size)[0] == Dim(0))
        return wrong("the attribute `size` is one dimension, not 0");
      if (!is_number(o[1].element))
        return wrong("the updates are {}; numbers are expected", o[1].str());
      if (is_16_bit_float(o[1].element))
        return wrong("the updates are {}; sums are kept in f32: convert them first", o[1].str());
      if (const auto error = wrong_updates(o[0], o[1], axis)) return *error;
      Shape shape(o[1].shape.begin(), o[1].shape.begin() + *axis);
      shape.push_back((*size)[0]);
      shape.insert(shape.end(), o[1].shape.begin() + *axis + o[0].rank(), o[1].shape.end());
      std::string error;
      if (!shape_is_sane(shape, error)) return wrong("{}", error);
      return ok({o[1].element, shape});
    },
    // dupdate = dy at the places
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      const Node n = b.graph()[y];
      return {Value{}, b.node(Op::gather, {dy, n.operands[0]}, {{"axis", n.int_attr("axis")}})};
    }),
    .evaluate =
        [](const Node& n, Literals o, const Type& r) {
          Literal out = literal_of(r);
          for_each_place(n, o[0], o[1], out, [&](std::int64_t k, std::int64_t at) {
            if (is_float(out.element))
              out.f[static_cast<std::size_t>(at)] += o[1].f[static_cast<std::size_t>(k)];
            else
              out.i[static_cast<std::size_t>(at)] += o[1].i[static_cast<std::size_t>(k)];
          });
          out.wrap();
          return out;
        },
    .lowering = LowerScatter{},
    .samples =
        {{{t(I32, {kN}), t(F64, {kN, 3})}, {{"axis", std::int64_t{0}}, {"size", Shape{4}}}, 0, 3},
         {{t(I32, {2, 2}), t(F32, {3, 2, 2})},
          {{"axis", std::int64_t{1}}, {"size", Shape{5}}},
          0,
          4}},
    .stack = stack_scatter_add,
};

extern const OpDef scatter_def{
    .name = "scatter",
    .doc =
        "the first operand, with the third put at the places of the second along {axis}; of equal "
        "places the last counts; places outside are clamped",
    .infer = [](Operands o, const Attrs& attrs) -> Inferred {
      if (o.size() != 3) return wrong("3 operands expected, {} given", o.size());
      const auto axis = axis_attr(attrs, o[0].rank());
      if (!axis) return wrong("`axis` is no axis of {}", o[0].str());
      if (o[0].shape[static_cast<std::size_t>(*axis)] == Dim(0))
        return wrong("axis {} of {} has no elements to replace", *axis, o[0].str());
      if (const auto error = wrong_updates(o[1], o[2], &*axis)) return *error;
      const Type rows{o[0].element,
                      gathered_shape(o[0].shape, static_cast<std::size_t>(*axis), o[1].shape)};
      if (!(o[2] == rows))
        return wrong("the updates are {}; {} is expected", o[2].str(), rows.str());
      return ok({o[0].element, o[0].shape});
    },
    // dbase = dy, with zeros at the places; dupdate = dy at the places that no later update takes
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      const Node n = b.graph()[y];
      const Attrs axis{{"axis", n.int_attr("axis")}};
      const Value places = n.operands[1];
      const Type updates = b.type(n.operands[2]);
      const Dim size = b.type(y).shape[static_cast<std::size_t>(n.int_attr("axis"))];
      const Value kept = b.node(Op::scatter, {dy, places, b.splat(updates, 0)}, axis);
      const Value all = b.node(Op::gather, {dy, places}, axis);
      const Value is_last =
          b.node(Op::eq, {b.last_equal(places, size), b.ordinals(b.type(places).shape)});
      Extents dims(b.type(places).shape.size());
      std::iota(dims.begin(), dims.end(), n.int_attr("axis"));
      return {kept, Value{},
              b.select(b.broadcast(is_last, updates.shape, dims), all, b.splat(updates, 0))};
    }),
    .evaluate =
        [](const Node& n, Literals o, const Type&) {
          Literal out = o[0];
          for_each_place(n, o[1], o[2], out,
                         [&](std::int64_t k, std::int64_t at) { copy_element(out, at, o[2], k); });
          return out;
        },
    .lowering = LowerScatter{},
    .samples =
        {{{t(F64, {5, 3}), t(I32, {kN}), t(F64, {kN, 3})}, {{"axis", std::int64_t{0}}}, 0, 5},
         {{t(F32, {2, 5, 2}), t(I32, {2, 2}), t(F32, {2, 2, 2, 2})},
          {{"axis", std::int64_t{1}}},
          0,
          4},
         {{t(BF16, {9}), t(I64, {kN}), t(BF16, {kN})}, {{"axis", std::int64_t{0}}}, 0, 8},
         {{t(I64, {9}), t(I32, {kN}), t(I64, {kN})}, {{"axis", std::int64_t{0}}}, 0, 8}},
    .stack = stack_scatter,
};

}  // namespace dlc::ops
