// Nothing is missing from a definition.
#include <doctest/doctest.h>

#include <set>

#include "ir/op_def.h"
#include "tests/support/samples.h"

using namespace dlc;

TEST_CASE("every operation has its name, a doc, samples, and a gradient or a reason") {
  const std::set<Op> without_samples{Op::input, Op::grad, Op::dim, Op::scan, Op::part};
  std::string last;
  for (const Op op : all_ops()) {
    const OpDef& def = op_def(op);
    CAPTURE(def.name);
    CHECK(def.name == op_name(op));
    CHECK(parse_op_name(def.name) == op);
    CHECK(last < def.name);  // ops.def is sorted
    last = def.name;
    CHECK(!def.doc.empty());
    CHECK(def.doc.back() != '.');
    CHECK(def.samples.empty() == without_samples.contains(op));
    CHECK((def.infer != nullptr));
    CHECK((def.evaluate != nullptr));
    if (const auto* f = std::get_if<GradientFn>(&def.gradient)) CHECK((*f != nullptr));
    if (const auto* no = std::get_if<NotDifferentiable>(&def.gradient)) CHECK(!no->why.empty());
    if (const auto* zero = std::get_if<ZeroGradient>(&def.gradient)) CHECK(!zero->why.empty());
    if (const auto* none = std::get_if<LowerNone>(&def.lowering)) CHECK(!none->why.empty());
  }
}

TEST_CASE("an attribute that a doc names is one that the samples give, and the other way round") {
  for (const Op op : all_ops()) {
    const OpDef& def = op_def(op);
    CAPTURE(def.name);
    for (const Sample& s : def.samples)
      for (const auto& [key, value] : s.attrs)
        CHECK(def.doc.find("{" + key + "}") != std::string_view::npos);
  }
}

TEST_CASE("samples cover f64 wherever floats are taken") {
  for (const Op op : all_ops()) {
    bool f32 = false, f64 = false;
    for (const Sample& s : op_def(op).samples)
      for (const Type& t : s.operands) {
        f32 = f32 || t.element == ElementType::F32;
        f64 = f64 || t.element == ElementType::F64;
      }
    CAPTURE(op_name(op));
    CHECK((!f32 || f64));
  }
}
