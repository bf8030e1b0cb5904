#include "ir/graph/builder.h"

#include <algorithm>
#include <numeric>

#include "ir/op_def.h"

namespace dlc {

Value GraphBuilder::input(std::string name, InputKind kind, Type type) {
  const Value v = g_.append(Node{Op::input, {}, {}, std::move(type), loc_, name});
  g_.inputs.push_back({std::move(name), kind, v});
  return v;
}

void GraphBuilder::output(std::string name, OutputKind kind, Value v) {
  g_.outputs.push_back({std::move(name), kind, v});
}

Value GraphBuilder::node(Op op, std::vector<Value> operands, Attrs attrs) {
  std::vector<Type> types;
  types.reserve(operands.size());
  for (const Value v : operands) types.push_back(g_.type(v));
  Inferred inferred = infer_type(op, types, attrs);
  DLC_CHECK(inferred.type, "building a graph: {}", inferred.error);
  const Value v = g_.append(
      Node{op, std::move(operands), std::move(attrs), std::move(*inferred.type), loc_, {}});
  return v;
}

Value GraphBuilder::constant(Literal value) {
  return node(Op::constant, {}, {{"value", std::make_shared<const Literal>(std::move(value))}});
}

Value GraphBuilder::scalar(ElementType t, double v) { return constant(Literal::scalar(t, v)); }

Value GraphBuilder::splat(const Type& type, double v) {
  return broadcast(scalar(type.element, v), type.shape, {});
}

Value GraphBuilder::dim_value(const Dim& d, ElementType t) {
  if (d.is_constant()) return scalar(t, static_cast<double>(d.value()));
  return node(Op::dim, {}, {{"dim", Shape{d}}, {"element", std::string(name(t))}});
}

Value GraphBuilder::ordinals(Shape shape) {
  const Value all = node(Op::iota, {},
                         {{"axis", std::int64_t{0}},
                          {"element", std::string(name(ElementType::I32))},
                          {"shape", Shape{element_count(shape)}}});
  return reshape(all, shape);
}

Value GraphBuilder::last_equal(Value places, const Dim& size) {
  const Attrs axis{{"axis", std::int64_t{0}}};
  const Value last =
      node(Op::scatter,
           {splat(Type{ElementType::I32, {size}}, 0), places, ordinals(type(places).shape)}, axis);
  return node(Op::gather, {last, places}, axis);
}

Value GraphBuilder::convert(Value a, ElementType t) {
  if (type(a).element == t) return a;
  return node(Op::convert, {a}, {{"element", std::string(name(t))}});
}

Value GraphBuilder::reshape(Value a, const Shape& shape) {
  if (type(a).shape == shape) return a;
  return node(Op::reshape, {a}, {{"shape", shape}});
}

Value GraphBuilder::broadcast(Value a, const Shape& shape, const std::vector<std::int64_t>& dims) {
  std::vector<std::int64_t> identity(shape.size());
  std::iota(identity.begin(), identity.end(), 0);
  if (type(a).shape == shape && dims == identity) return a;
  return node(Op::broadcast, {a}, {{"shape", shape}, {"dims", dims}});
}

Value GraphBuilder::broadcast_trailing(Value a, const Shape& shape) {
  std::vector<std::int64_t> dims(type(a).shape.size());
  std::iota(dims.begin(), dims.end(), static_cast<std::int64_t>(shape.size() - dims.size()));
  return broadcast(a, shape, dims);
}

Value GraphBuilder::transpose(Value a, const std::vector<std::int64_t>& perm) {
  if (std::is_sorted(perm.begin(), perm.end())) return a;
  return node(Op::transpose, {a}, {{"perm", perm}});
}

Value GraphBuilder::pad(Value a, const Shape& low, const Shape& high) {
  const Shape none(low.size(), 0);
  if (low == none && high == none) return a;
  return node(Op::pad, {a, scalar(type(a).element, 0)}, {{"low", low}, {"high", high}});
}

Value GraphBuilder::reduce(Op op, Value a, const std::vector<std::int64_t>& axes) {
  if (axes.empty()) return a;
  return node(op, {a}, {{"axes", axes}});
}

Value GraphBuilder::sum_to_trailing(Value a, const Shape& shape) {
  const Shape from = type(a).shape;
  const std::size_t extra = from.size() - shape.size();
  std::vector<std::int64_t> axes;
  for (std::size_t k = 0; k < from.size(); ++k)
    if (k < extra || (shape[k - extra] == Dim(1) && !(from[k] == Dim(1))))
      axes.push_back(static_cast<std::int64_t>(k));
  return reshape(reduce(Op::reduce_sum, a, axes), shape);
}

Value GraphBuilder::contract(Value a, Value b, std::string lhs, std::string rhs, std::string out) {
  return node(Op::contract, {a, b},
              {{"lhs", std::move(lhs)}, {"rhs", std::move(rhs)}, {"out", std::move(out)}});
}

}  // namespace dlc
