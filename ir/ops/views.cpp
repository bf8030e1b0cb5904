// Operations whose result elements are elements of an operand in another place.
#include <algorithm>
#include <numeric>

#include "ir/ops/common.h"

namespace dlc::ops {

namespace {

const Dim kN = Dim::symbol("N");

Value operand(GraphBuilder& b, Value y, int k = 0) {
  return b.graph()[y].operands[static_cast<std::size_t>(k)];
}

/// result[i] = operand[map(i)] by reference.
Literal evaluate_view(const Literal& from, const Type& result,
                      const std::function<std::int64_t(const Extents&)>& source_offset) {
  Literal out = literal_of(result);
  for_each_index(out.shape, [&](const Extents& i, std::int64_t k) {
    copy_element(out, k, from, source_offset(i));
  });
  return out;
}

/// The part of `v` that begins at `begin` and has extents `shape`. A slice begins at numbers; along
/// an axis that begins at a symbolic place the part is read by a list of places.
Value part(GraphBuilder& b, Value v, const Shape& begin, const Shape& shape) {
  Extents from(shape.size(), 0);
  Shape extents = shape;
  for (std::size_t k = 0; k < shape.size(); ++k) {
    if (begin[k].is_constant())
      from[k] = begin[k].value();
    else
      extents[k] = b.type(v).shape[k];
  }
  if (!(extents == b.type(v).shape))
    v = b.node(Op::slice, {v},
               {{"begin", from}, {"step", Extents(from.size(), 1)}, {"shape", extents}});
  for (std::size_t k = 0; k < shape.size(); ++k) {
    if (begin[k].is_constant()) continue;
    const Type index{I64, {shape[k]}};
    const Value count = b.node(
        Op::iota, {},
        {{"shape", index.shape}, {"axis", std::int64_t{0}}, {"element", std::string("i64")}});
    const Value start = b.broadcast(b.dim_value(begin[k], I64), index.shape, {});
    v = b.node(Op::gather, {v, b.add(count, start)}, {{"axis", static_cast<std::int64_t>(k)}});
  }
  return v;
}

/// The indices of `from` for those of `to` where the two differ by axes of extent 1 only.
std::optional<Index> without_unit_axes(KernelBuilder& b, const Shape& from, const Shape& to,
                                       const Index& index) {
  Index result;
  std::size_t at = 0;
  const auto skip = [&] {
    while (at < to.size() && to[at] == Dim(1)) ++at;
  };
  for (const Dim& d : from) {
    if (d == Dim(1)) {
      result.push_back(b.integer(0));
      continue;
    }
    skip();
    if (at == to.size() || !(to[at] == d)) return std::nullopt;
    result.push_back(index[at++]);
  }
  skip();
  if (at < to.size()) return std::nullopt;
  return result;
}

}  // namespace

extern const OpDef reshape_def{
    .name = "reshape",
    .doc = "the same elements in row-major order under another {shape}",
    .infer = [](Operands o, const Attrs& attrs) -> Inferred {
      if (o.size() != 1) return wrong("1 operand expected, {} given", o.size());
      const Shape* shape = attr<Shape>(attrs, "shape");
      std::string error;
      if (!shape) return wrong("the attribute `shape` is missing");
      if (!shape_is_sane(*shape, error)) return wrong("{}", error);
      const Dim from = element_count(o[0].shape), to = element_count(*shape);
      if (!(from == to))
        return wrong("{} has {} elements, the shape asked for, {}, has {}", o[0].str(), from.str(),
                     Type{o[0].element, *shape}.str(), to.str());
      return ok({o[0].element, *shape});
    },
    // dx = reshape(dy, shape of x)
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      return {b.reshape(dy, Shape(b.type(operand(b, y)).shape))};
    }),
    .evaluate =
        [](const Node&, Literals o, const Type& r) {
          Literal out = o[0];
          out.shape = extents_of(r);
          return out;
        },
    .lowering = LowerView{[](KernelBuilder& b, const Graph& g, const Node& n, const Index& index) {
      const Shape& from = g.type(n.operands[0]).shape;
      const Shape& to = n.type.shape;
      if (auto same = without_unit_axes(b, from, to, index)) return *same;
      // Equal leading and trailing axes keep their indices; only what lies between is taken apart.
      std::size_t head = 0, tail = 0;
      while (head < from.size() && head < to.size() && from[head] == to[head]) ++head;
      while (head + tail < from.size() && head + tail < to.size() &&
             from[from.size() - 1 - tail] == to[to.size() - 1 - tail])
        ++tail;
      const auto middle = [&](const auto& list) {
        return std::vector(list.begin() + static_cast<std::ptrdiff_t>(head),
                           list.end() - static_cast<std::ptrdiff_t>(tail));
      };
      const Index inner = b.delinearize(b.linear_offset(middle(index), middle(to)), middle(from));
      Index result(index.begin(), index.begin() + static_cast<std::ptrdiff_t>(head));
      result.insert(result.end(), inner.begin(), inner.end());
      result.insert(result.end(), index.end() - static_cast<std::ptrdiff_t>(tail), index.end());
      return result;
    }},
    .samples = {{{t(F64, {4, 6})}, {{"shape", Shape{24}}}},
                {{t(F32, {kN, 2, 3})}, {{"shape", Shape{kN, 6}}}},
                {{t(F32, {kN, 6})}, {{"shape", Shape{kN, 1, 3, 2}}}},
                {{t(I32, {2, 3, 4})}, {{"shape", Shape{3, 8}}}},
                {{t(F64, {1, 1})}, {{"shape", Shape{}}}}},
};

extern const OpDef broadcast_def{
    .name = "broadcast",
    .doc =
        "repeats: operand axis k is result axis dims[k] of {shape}; an axis of extent 1 may "
        "stretch {dims}",
    .infer = [](Operands o, const Attrs& attrs) -> Inferred {
      if (o.size() != 1) return wrong("1 operand expected, {} given", o.size());
      const Shape* shape = attr<Shape>(attrs, "shape");
      const Extents* dims = attr<Extents>(attrs, "dims");
      std::string error;
      if (!shape || !dims) return wrong("the attributes `shape` and `dims` are needed");
      if (!shape_is_sane(*shape, error)) return wrong("{}", error);
      if (dims->size() != o[0].shape.size())
        return wrong("`dims` has {} entries for {}", dims->size(), o[0].str());
      for (std::size_t k = 0; k < dims->size(); ++k) {
        const std::int64_t d = (*dims)[k];
        if (d < 0 || d >= static_cast<std::int64_t>(shape->size()) ||
            (k > 0 && d <= (*dims)[k - 1]))
          return wrong("`dims` must increase and name axes of the result");
        const Dim& to = (*shape)[static_cast<std::size_t>(d)];
        if (!(o[0].shape[k] == to) && !(o[0].shape[k] == Dim(1)))
          return wrong("{} does not stretch to {}: {} is neither 1 nor {}", o[0].str(),
                       Type{o[0].element, *shape}.str(), o[0].shape[k].str(), to.str());
      }
      return ok({o[0].element, *shape});
    },
    // dx = sum of dy over the axes that were repeated
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      const Extents dims = b.graph()[y].ints_attr("dims");
      const Shape from = b.type(operand(b, y)).shape, to = b.type(y).shape;
      Extents axes;
      for (std::size_t d = 0; d < to.size(); ++d) {
        const auto at = std::find(dims.begin(), dims.end(), static_cast<std::int64_t>(d));
        const bool repeated =
            at == dims.end() || !(from[static_cast<std::size_t>(at - dims.begin())] == to[d]);
        if (repeated) axes.push_back(static_cast<std::int64_t>(d));
      }
      return {b.reshape(b.reduce(Op::reduce_sum, dy, axes), from)};
    }),
    .evaluate =
        [](const Node& n, Literals o, const Type& r) {
          const Extents& dims = n.ints_attr("dims");
          const Extents strides = row_major_strides(o[0].shape);
          return evaluate_view(o[0], r, [&](const Extents& i) {
            std::int64_t at = 0;
            for (std::size_t k = 0; k < dims.size(); ++k)
              if (o[0].shape[k] != 1) at += i[static_cast<std::size_t>(dims[k])] * strides[k];
            return at;
          });
        },
    .lowering = LowerView{[](KernelBuilder& b, const Graph& g, const Node& n, const Index& index) {
      const Extents& dims = n.ints_attr("dims");
      const Shape& from = g.type(n.operands[0]).shape;
      Index result;
      for (std::size_t k = 0; k < dims.size(); ++k) {
        const auto d = static_cast<std::size_t>(dims[k]);
        result.push_back(from[k] == Dim(1) && !(n.type.shape[d] == Dim(1)) ? b.integer(0)
                                                                           : index[d]);
      }
      return result;
    }},
    .samples = {{{t(F64, {})}, {{"shape", Shape{3, 4}}, {"dims", Extents{}}}},
                {{t(F32, {5})}, {{"shape", Shape{kN, 5}}, {"dims", Extents{1}}}},
                {{t(F64, {3, 1})}, {{"shape", Shape{3, 7}}, {"dims", Extents{0, 1}}}},
                {{t(F64, {3})}, {{"shape", Shape{3, 2}}, {"dims", Extents{0}}}},
                {{t(U8, {kN, 1})}, {{"shape", Shape{kN, 20}}, {"dims", Extents{0, 1}}}}},
};

extern const OpDef transpose_def{
    .name = "transpose",
    .doc = "result axis k is the operand's axis perm[k] {perm}",
    .infer = [](Operands o, const Attrs& attrs) -> Inferred {
      if (o.size() != 1) return wrong("1 operand expected, {} given", o.size());
      const Extents* perm = attr<Extents>(attrs, "perm");
      if (!perm || perm->size() != o[0].shape.size())
        return wrong("`perm` must name every axis of {}", o[0].str());
      Extents sorted = *perm;
      std::sort(sorted.begin(), sorted.end());
      for (std::size_t k = 0; k < sorted.size(); ++k)
        if (sorted[k] != static_cast<std::int64_t>(k))
          return wrong("`perm` is no permutation of the axes of {}", o[0].str());
      Shape shape;
      for (const std::int64_t p : *perm) shape.push_back(o[0].shape[static_cast<std::size_t>(p)]);
      return ok({o[0].element, shape});
    },
    // dx = dy transposed back
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      const Extents perm = b.graph()[y].ints_attr("perm");
      Extents inverse(perm.size());
      for (std::size_t k = 0; k < perm.size(); ++k)
        inverse[static_cast<std::size_t>(perm[k])] = static_cast<std::int64_t>(k);
      return {b.transpose(dy, inverse)};
    }),
    .evaluate =
        [](const Node& n, Literals o, const Type& r) {
          const Extents& perm = n.ints_attr("perm");
          const Extents strides = row_major_strides(o[0].shape);
          return evaluate_view(o[0], r, [&](const Extents& i) {
            std::int64_t at = 0;
            for (std::size_t k = 0; k < perm.size(); ++k)
              at += i[k] * strides[static_cast<std::size_t>(perm[k])];
            return at;
          });
        },
    .lowering = LowerView{[](KernelBuilder&, const Graph&, const Node& n, const Index& index) {
      const Extents& perm = n.ints_attr("perm");
      Index result(index.size());
      for (std::size_t k = 0; k < perm.size(); ++k)
        result[static_cast<std::size_t>(perm[k])] = index[k];
      return result;
    }},
    .samples = {{{t(F64, {3, 5})}, {{"perm", Extents{1, 0}}}},
                {{t(F32, {kN, 2, 3})}, {{"perm", Extents{2, 0, 1}}}},
                {{t(I32, {2, 17})}, {{"perm", Extents{1, 0}}}}},
};

extern const OpDef slice_def{
    .name = "slice",
    .doc = "result[i] = x[begin + i * step], of the extents of {shape} {begin} {step}",
    .infer = [](Operands o, const Attrs& attrs) -> Inferred {
      if (o.size() != 1) return wrong("1 operand expected, {} given", o.size());
      const Extents *begin = attr<Extents>(attrs, "begin"), *step = attr<Extents>(attrs, "step");
      const Shape* shape = attr<Shape>(attrs, "shape");
      const std::size_t rank = o[0].shape.size();
      std::string error;
      if (!begin || !step || !shape || begin->size() != rank || step->size() != rank ||
          shape->size() != rank)
        return wrong("`begin`, `step` and `shape` need one entry for each axis of {}", o[0].str());
      if (!shape_is_sane(*shape, error)) return wrong("{}", error);
      for (std::size_t k = 0; k < rank; ++k) {
        if ((*begin)[k] < 0 || (*step)[k] < 1)
          return wrong("`begin` is at least 0 and `step` at least 1");
        if ((*begin)[k] > kMaxElements || (*step)[k] > kMaxElements)
          return wrong("`begin` and `step` are at most 2^40");
        const Dim &from = o[0].shape[k], &to = (*shape)[k];
        if (to == Dim(0)) {
          if (!from.provably_ge(Dim((*begin)[k])))
            return wrong("axis {} has extent {}; the slice begins at {}", k, from.str(),
                         (*begin)[k]);
          continue;
        }
        const Dim end = Dim((*begin)[k] + 1) + (to - Dim(1)) * Dim((*step)[k]);
        if (!from.provably_ge(end))
          return wrong("axis {} has extent {}; the slice reads up to {}", k, from.str(), end.str());
      }
      return ok({o[0].element, *shape});
    },
    // dx = zeros with dy at the places that were read (padding; a scatter along axes with a larger
    // step)
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      const Extents begin = b.graph()[y].ints_attr("begin"), step = b.graph()[y].ints_attr("step");
      const Shape from = b.type(operand(b, y)).shape;
      for (std::size_t k = 0; k < from.size(); ++k) {
        if (step[k] == 1) continue;
        // Along this axis the places are an index list.
        const Dim count = b.type(dy).shape[k];
        const Value i = b.node(
            Op::iota, {},
            {{"shape", Shape{count}}, {"axis", std::int64_t{0}}, {"element", std::string("i32")}});
        const Type index{I32, {count}};
        const Value places = b.add(b.mul(i, b.splat(index, static_cast<double>(step[k]))),
                                   b.splat(index, static_cast<double>(begin[k])));
        dy = b.node(Op::scatter_add, {places, dy},
                    {{"axis", static_cast<std::int64_t>(k)}, {"size", Shape{from[k]}}});
      }
      Shape low, high;
      for (std::size_t k = 0; k < from.size(); ++k) {
        const bool stepped = step[k] != 1;
        low.push_back(stepped ? Dim(0) : Dim(begin[k]));
        high.push_back(stepped ? Dim(0) : from[k] - Dim(begin[k]) - b.type(dy).shape[k]);
      }
      return {b.pad(dy, low, high)};
    }),
    .evaluate =
        [](const Node& n, Literals o, const Type& r) {
          const Extents &begin = n.ints_attr("begin"), &step = n.ints_attr("step");
          const Extents strides = row_major_strides(o[0].shape);
          return evaluate_view(o[0], r, [&](const Extents& i) {
            std::int64_t at = 0;
            for (std::size_t k = 0; k < i.size(); ++k)
              at += (begin[k] + i[k] * step[k]) * strides[k];
            return at;
          });
        },
    .lowering = LowerView{[](KernelBuilder& b, const Graph&, const Node& n, const Index& index) {
      const Extents &begin = n.ints_attr("begin"), &step = n.ints_attr("step");
      Index result;
      for (std::size_t k = 0; k < index.size(); ++k)
        result.push_back(b.add(b.mul(index[k], b.integer(step[k])), b.integer(begin[k])));
      return result;
    }},
    .samples = {{{t(F64, {10})},
                 {{"begin", Extents{2}}, {"step", Extents{1}}, {"shape", Shape{5}}}},
                {{t(F64, {3, 9})},
                 {{"begin", Extents{0, 1}}, {"step", Extents{1, 3}}, {"shape", Shape{3, 3}}}},
                {{t(F32, {kN, 6})},
                 {{"begin", Extents{0, 2}}, {"step", Extents{1, 1}}, {"shape", Shape{kN, 3}}}}},
};

extern const OpDef reverse_def{
    .name = "reverse",
    .doc = "reads the named axes backwards {axes}",
    .infer = [](Operands o, const Attrs& attrs) -> Inferred {
      if (o.size() != 1) return wrong("1 operand expected, {} given", o.size());
      std::string error;
      if (!axes_attr(attrs, o[0].rank(), error)) return wrong("{}", error);
      return ok(o[0]);
    },
    // dx = reverse(dy)
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      return {b.node(Op::reverse, {dy}, {{"axes", Extents(b.graph()[y].ints_attr("axes"))}})};
    }),
    .evaluate =
        [](const Node& n, Literals o, const Type& r) {
          const Extents strides = row_major_strides(o[0].shape);
          return evaluate_view(o[0], r, [&](Extents i) {
            for (const std::int64_t a : n.ints_attr("axes")) {
              const auto k = static_cast<std::size_t>(a);
              i[k] = o[0].shape[k] - 1 - i[k];
            }
            return dot(i, strides);
          });
        },
    .lowering = LowerView{[](KernelBuilder& b, const Graph&, const Node& n, const Index& index) {
      Index result = index;
      for (const std::int64_t a : n.ints_attr("axes")) {
        const auto k = static_cast<std::size_t>(a);
        result[k] = b.add(b.dim(n.type.shape[k] - Dim(1)), b.mul(index[k], b.integer(-1)));
      }
      return result;
    }},
    .samples = {{{t(F64, {7})}, {{"axes", Extents{0}}}},
                {{t(F32, {kN, 5})}, {{"axes", Extents{0, 1}}}}},
};

extern const OpDef pad_def{
    .name = "pad",
    .doc =
        "x inside a frame of the value of the second operand: low before and high after, per axis "
        "{low} {high}",
    .infer = [](Operands o, const Attrs& attrs) -> Inferred {
      if (o.size() != 2) return wrong("2 operands expected, {} given", o.size());
      const Shape *low = attr<Shape>(attrs, "low"), *high = attr<Shape>(attrs, "high");
      if (!low || !high || low->size() != o[0].shape.size() || high->size() != o[0].shape.size())
        return wrong("`low` and `high` need one entry for each axis of {}", o[0].str());
      if (!o[1].shape.empty() || o[1].element != o[0].element)
        return wrong("the padding value is {}; a scalar {} is expected", o[1].str(),
                     name(o[0].element));
      Shape shape;
      for (std::size_t k = 0; k < low->size(); ++k) {
        if (!(*low)[k].provably_ge(Dim(0)) || !(*high)[k].provably_ge(Dim(0)))
          return wrong("a padding is negative");
        shape.push_back(o[0].shape[k] + (*low)[k] + (*high)[k]);
      }
      std::string error;
      if (!shape_is_sane(shape, error)) return wrong("{}", error);
      return ok({o[0].element, shape});
    },
    // dx = the middle of dy; dvalue = the sum of the frame
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      const Shape low = b.graph()[y].shape_attr("low"), from = b.type(operand(b, y)).shape;
      const Value middle = part(b, dy, low, from);
      Extents all(from.size());
      std::iota(all.begin(), all.end(), 0);
      return {middle,
              b.sub(b.reduce(Op::reduce_sum, dy, all), b.reduce(Op::reduce_sum, middle, all))};
    }),
    .evaluate =
        [](const Node& n, Literals o, const Type& r) {
          const Shape& low = n.shape_attr("low");
          const Extents strides = row_major_strides(o[0].shape);
          Literal out = literal_of(r);
          for_each_index(out.shape, [&](const Extents& i, std::int64_t k) {
            std::int64_t at = 0;
            bool inside = true;
            for (std::size_t a = 0; a < i.size(); ++a) {
              const std::int64_t j = i[a] - low[a].value();
              inside = inside && j >= 0 && j < o[0].shape[a];
              at += j * strides[a];
            }
            copy_element(out, k, inside ? o[0] : o[1], inside ? at : 0);
          });
          return out;
        },
    .lowering =
        LowerGenerate{[](KernelBuilder& b, const Graph& g, const Node& n, const Index& index,
                         const std::function<ExprId(int, const Index&)>& element) {
          // Reads the nearest element inside, then chooses: no load leaves the operand.
          const Shape &low = n.shape_attr("low"), &from = g.type(n.operands[0]).shape;
          Index inner;
          ExprId inside = -1;
          for (std::size_t k = 0; k < index.size(); ++k) {
            const ExprId j = b.scalar(ScalarOp::Sub, I64, {index[k], b.dim(low[k])});
            if (n.type.shape[k] == from[k]) {
              inner.push_back(index[k]);
              continue;
            }
            const ExprId here = b.scalar(ScalarOp::And, Bool,
                                         {b.scalar(ScalarOp::Le, Bool, {b.integer(0), j}),
                                          b.scalar(ScalarOp::Lt, Bool, {j, b.dim(from[k])})});
            inside = inside < 0 ? here : b.scalar(ScalarOp::And, Bool, {inside, here});
            inner.push_back(b.clamped(j, from[k]));
          }
          const ExprId value = element(0, inner);
          if (inside < 0) return value;
          return b.scalar(ScalarOp::Select, n.type.element, {inside, value, element(1, {})});
        }},
    .samples = {{{t(F64, {4}), t(F64, {})}, {{"low", Shape{1}}, {"high", Shape{2}}}},
                {{t(F32, {kN, 5}), t(F32, {})}, {{"low", Shape{0, 2}}, {"high", Shape{0, 1}}}}},
    // One filler for all turns.
    .stack = [](GraphBuilder& b, const Node& n, const std::vector<Value>& operands,
                const std::vector<bool>& stacked, const Dim&) -> Value {
      if (stacked[1]) return {};
      Shape low = n.shape_attr("low"), high = n.shape_attr("high");
      low.insert(low.begin(), 0), high.insert(high.begin(), 0);
      return b.node(Op::pad, operands, {{"low", low}, {"high", high}});
    },
};

extern const OpDef concat_def{
    .name = "concat",
    .doc = "the operands one after the other along {axis}",
    .infer = [](Operands o, const Attrs& attrs) -> Inferred {
      if (o.empty()) return wrong("at least 1 operand expected");
      const auto axis = axis_attr(attrs, o[0].rank());
      if (!axis) return wrong("`axis` is no axis of {}", o[0].str());
      Type r = o[0];
      const auto at = static_cast<std::size_t>(*axis);
      for (std::size_t k = 1; k < o.size(); ++k) {
        Type rest = o[k];
        if (rest.rank() != r.rank() || rest.element != r.element)
          return wrong("the operands are {} and {}; they may differ along axis {} only", o[0].str(),
                       o[k].str(), *axis);
        rest.shape[at] = o[0].shape[at];
        if (!(rest == o[0]))
          return wrong("the operands are {} and {}; they may differ along axis {} only", o[0].str(),
                       o[k].str(), *axis);
        r.shape[at] = r.shape[at] + o[k].shape[at];
      }
      std::string error;
      if (!shape_is_sane(r.shape, error)) return wrong("{}", error);
      return ok(r);
    },
    // each operand's gradient is its part of dy
    .gradient = GradientFn([](GraphBuilder& b, Value y, Value dy) -> V {
      const V operands = b.graph()[y].operands;
      const auto axis = static_cast<std::size_t>(b.graph()[y].int_attr("axis"));
      V result;
      Dim at = 0;
      for (const Value v : operands) {
        const Shape shape = b.type(v).shape;
        Shape begin(shape.size(), 0);
        begin[axis] = at;
        result.push_back(part(b, dy, begin, shape));
        at = at + shape[axis];
      }
      return result;
    }),
    .evaluate =
        [](const Node& n, Literals o, const Type& r) {
          const auto axis = static_cast<std::size_t>(n.int_attr("axis"));
          Literal out = literal_of(r);
          for_each_index(out.shape, [&](Extents i, std::int64_t k) {
            std::size_t part = 0;
            while (i[axis] >= o[part].shape[axis]) i[axis] -= o[part++].shape[axis];
            copy_element(out, k, o[part], dot(i, row_major_strides(o[part].shape)));
          });
          return out;
        },
    .lowering =
        LowerGenerate{[](KernelBuilder& b, const Graph& g, const Node& n, const Index& index,
                         const std::function<ExprId(int, const Index&)>& element) {
          // A chain of choices from the last operand to the first, each reading inside its own
          // bounds.
          const auto axis = static_cast<std::size_t>(n.int_attr("axis"));
          std::vector<Dim> starts{Dim(0)};
          for (const Value v : n.operands) starts.push_back(starts.back() + g.type(v).shape[axis]);
          ExprId value = -1;
          for (std::size_t k = n.operands.size(); k-- > 0;) {
            Index inner = index;
            const ExprId j = b.scalar(ScalarOp::Sub, I64, {index[axis], b.dim(starts[k])});
            inner[axis] = b.clamped(j, g.type(n.operands[k]).shape[axis]);
            const ExprId here = element(static_cast<int>(k), inner);
            if (value < 0) {
              value = here;
              continue;
            }
            const ExprId before = b.scalar(ScalarOp::Lt, Bool, {index[axis], b.dim(starts[k + 1])});
            value = b.scalar(ScalarOp::Select, n.type.element, {before, here, value});
          }
          return value;
        }},
    .samples = {{{t(F64, {2, 3}), t(F64, {2, 4})}, {{"axis", std::int64_t{1}}}},
                {{t(F32, {kN, 1}), t(F32, {kN, 2}), t(F32, {kN, 3})}, {{"axis", std::int64_t{1}}}},
                {{t(I32, {2}), t(I32, {3})}, {{"axis", std::int64_t{0}}}}},
};

}  // namespace dlc::ops
