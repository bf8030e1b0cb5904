// Operations with a region, and what takes their results.
#include "ir/graph/scan.h"

#include "ir/ops/common.h"

namespace dlc::ops {

namespace {

using Region = std::shared_ptr<const Graph>;

/// With the turns as axis 0.
Type stacked(const Type& t, const Dim& length) {
  Type result = t;
  result.shape.insert(result.shape.begin(), length);
  return result;
}

Inferred infer_scan(Operands o, const Attrs& attrs) {
  const Region* region = attr<Region>(attrs, "body");
  const Shape* length = attr<Shape>(attrs, "length");
  if (!region || !length || length->size() != 1 || !attr<std::int64_t>(attrs, "reverse"))
    return wrong("the attributes `body`, `length` (one dimension) and `reverse` are needed");
  const Graph& body = **region;
  const Dim& turns = (*length)[0];
  if (body.inputs.size() != o.size())
    return wrong("the body has {} inputs, {} operands are given", body.inputs.size(), o.size());
  std::size_t carried = 0;
  for (std::size_t k = 0; k < o.size(); ++k) {
    const GraphInput& in = body.inputs[k];
    if (in.kind < InputKind::Carried)
      return wrong("`{}` is {}; a body's inputs are carried, scanned, captured or a condition",
                   in.name, name(in.kind));
    if (k > 0 && in.kind < body.inputs[k - 1].kind)
      return wrong("the body's inputs are first the carried, then the scanned, then the captured");
    if (in.kind == InputKind::Condition &&
        (k + 1 < o.size() || !(body.type(in.value) == Type{ElementType::Bool, {}})))
      return wrong("the condition is one bool[], and comes last");
    const Type& t = body.type(in.value);
    const Type expected = in.kind == InputKind::Scanned ? stacked(t, turns) : t;
    if (!(expected == o[k]))
      return wrong("the operand for `{}` is {}, the body needs {}", in.name, o[k].str(),
                   expected.str());
    carried += in.kind == InputKind::Carried ? 1 : 0;
  }
  Type result;
  for (std::size_t k = 0; k < body.outputs.size(); ++k) {
    const GraphOutput& out = body.outputs[k];
    const Type& t = body.type(out.value);
    if (k < carried) {
      if (out.kind != OutputKind::Carry)
        return wrong("output {} of the body is no `carry`, and {} values are carried", k, carried);
      if (!(t == o[k]))
        return wrong("`{}` is {} at first and {} after a turn", body.inputs[k].name, o[k].str(),
                     t.str());
      result.parts.push_back(t);
    } else {
      if (out.kind != OutputKind::Yield) return wrong("output `{}` is no `yield`", out.name);
      result.parts.push_back(stacked(t, turns));
    }
  }
  if (body.outputs.size() < carried)
    return wrong("{} values are carried, the body gives {}", carried, body.outputs.size());
  std::string error;
  for (const Type& t : result.parts)
    if (!t.parts.empty() || !shape_is_sane(t.shape, error))
      return wrong("{}", error.empty() ? "a result has parts" : error);
  if (result.parts.empty()) return wrong("nothing is carried, and nothing yielded");
  return ok(std::move(result));
}

}  // namespace

extern const OpDef scan_def{
    .name = "scan",
    .doc =
        "runs the region {body} for each slice along axis 0 of what is scanned, {length} turns, in "
        "{reverse} order if 1; the results are the last carried values, then what is yielded; "
        "with {checkpoint} 1 the gradient keeps nothing of a turn but the carried values, with 2 "
        "those of every root of the turns",
    .infer = infer_scan,
    .gradient = GradientOfRegion{},
    .evaluate = [](const Node&, Literals, const Type&) -> Literal {
      throw InternalError("a scan is run by the interpreter");
    },
    .lowering = LowerNone{"it is a loop of kernels"},
    .samples = {},
    .stack = cannot_stack,
};

extern const OpDef part_def{
    .name = "part",
    .doc = "result number {index} of an operation with several",
    .infer = [](Operands o, const Attrs& attrs) -> Inferred {
      if (o.size() != 1) return wrong("1 operand expected, {} given", o.size());
      const std::int64_t* index = attr<std::int64_t>(attrs, "index");
      if (!index || *index < 0 || static_cast<std::size_t>(*index) >= o[0].parts.size())
        return wrong("`index` is no part of {}", o[0].str());
      return ok(o[0].parts[static_cast<std::size_t>(*index)]);
    },
    .gradient = GradientOfRegion{},
    .evaluate = [](const Node&, Literals, const Type&) -> Literal {
      throw InternalError("the parts of a scan are known to the interpreter");
    },
    .lowering = LowerNone{"it is written by what it is a part of"},
    .samples = {},
    .stack = cannot_stack,
};

}  // namespace dlc::ops
