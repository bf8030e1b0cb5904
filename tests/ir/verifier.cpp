// Broken graphs, made by hand, get the right complaint.
#include <doctest/doctest.h>

#include "ir/graph/builder.h"
#include "ir/graph/text.h"

using namespace dlc;

namespace {

/// %w: param, %x: input, %y = w + x, and the outputs y and update w.
Graph sound() {
  Graph g;
  g.name = "g";
  GraphBuilder b(g);
  const Type t{ElementType::F32, {Dim::symbol("N"), 3}};
  const Value w = b.input("w", InputKind::Param, t), x = b.input("x", InputKind::Input, t);
  const Value y = b.add(w, x);
  b.output("y", OutputKind::Output, y);
  b.output("w", OutputKind::Update, y);
  return g;
}

void complains(const Graph& g, const char* about) {
  CAPTURE(about);
  CHECK_THROWS_WITH_AS(verify(g), doctest::Contains(about), InternalError);
}

}  // namespace

TEST_CASE("a sound graph passes") { CHECK_NOTHROW(verify(sound())); }

TEST_CASE("operands precede their users") {
  Graph g = sound();
  g.nodes[2].operands[1] = Value{2};
  complains(g, "node 2 (add) uses node 2, which does not precede it");
  g.nodes[2].operands[1] = Value{};
  complains(g, "does not precede it");
  g.nodes[2].operands[1] = Value{77};
  complains(g, "does not precede it");
}

TEST_CASE("types are what inference says") {
  Graph g = sound();
  g.nodes[2].type.element = ElementType::F64;
  complains(g, "node 2 (add) is typed f64[N, 3], inference says f32[N, 3]");
  g = sound();
  g.nodes[2].operands.pop_back();
  complains(g, "node 2 (add): add: 2 operand(s) expected, 1 given");
  g = sound();
  g.nodes[2].op = Op::reduce_sum;
  complains(g, "reduce_sum");
  g = sound();
  g.nodes[1].type.shape = {Dim(-2), Dim(3)};
  complains(g, "negative");
  g = sound();
  g.nodes[1].type.shape = {Dim::symbol("N") * Dim(INT64_MAX), Dim(3)};
  complains(g, "too large");
}

TEST_CASE("inputs are input nodes with one name each") {
  Graph g = sound();
  g.inputs[1].name = "w";
  complains(g, "two inputs are named `w`");
  g = sound();
  g.inputs[1].value = Value{2};
  complains(g, "input `x` is no input node");
  g = sound();
  g.inputs[1].value = Value{};
  complains(g, "input `x` is no input node");
  g = sound();
  g.inputs.pop_back();
  complains(g, "node 1 is an input without a name");
  g = sound();
  g.inputs.push_back({"again", InputKind::Input, g.inputs[0].value});
  complains(g, "node 0 is two inputs");
  g = sound();
  g.nodes[1].operands = {Value{0}};
  complains(g, "has operands");
}

TEST_CASE("outputs name nodes, updates fit their parameters") {
  Graph g = sound();
  g.outputs[0].value = Value{};
  complains(g, "output `y` has no node");
  g = sound();
  g.outputs.push_back(g.outputs[0]);
  complains(g, "two outputs are named `y`");
  g = sound();
  g.outputs[1].name = "x";
  complains(g, "the update `x` has no parameter or state");
  g = sound();
  g.outputs[1].name = "v";
  complains(g, "the update `v` has no parameter or state");
  g = sound();
  GraphBuilder b(g);
  g.outputs[1].value = b.reduce(Op::reduce_sum, g.outputs[1].value, {0});
  complains(g, "the update of `w` has another type");
}

TEST_CASE("building a node with operands that do not fit is an internal error") {
  Graph g = sound();
  GraphBuilder b(g);
  const Value c = b.scalar(ElementType::F32, 1);
  CHECK_THROWS_WITH_AS(b.add(g.inputs[0].value, c), doctest::Contains("they must be equal"),
                       InternalError);
}
