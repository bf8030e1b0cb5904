// Malformed programs of the kernel IR get the right complaint.
#include <doctest/doctest.h>

#include "ir/loop/loop.h"
#include "ir/support/check.h"

using namespace dlc;
using namespace dlc::loop;

namespace {

/// out[i] = in[i] + sum over r of in[r]
Program sound() {
  Program p;
  p.name = "p";
  p.symbols = {"N"};
  const Type t{ElementType::F32, {Dim::symbol("N")}};
  p.buffers.push_back({"in", BufferKind::Input, t, {}, {}, -1});
  p.buffers.push_back({"out", BufferKind::Output, t, {}, {}, -1});
  Kernel k;
  k.name = "k0";
  KernelBuilder b(k);
  const AxisId i = b.axis("i", Dim::symbol("N")), r = b.axis("r", Dim::symbol("N"));
  k.outer = {i};
  const ExprId sum = b.load(0, ElementType::F32, b.axis_value(r));
  k.stages.push_back({{r}, {{ReduceKind::Sum, sum}}, {}});
  const ExprId value =
      b.add(b.load(0, ElementType::F32, b.axis_value(i)), b.row_value(0, 0, ElementType::F32));
  k.stages.push_back({{}, {}, {{1, b.axis_value(i), value}}});
  p.kernels.push_back(std::move(k));
  return p;
}

void complains(const Program& p, const char* about) {
  CAPTURE(about);
  CHECK_THROWS_WITH_AS(verify(p), doctest::Contains(about), InternalError);
}

}  // namespace

TEST_CASE("a sound program passes, and reads as loops") {
  const Program p = sound();
  CHECK_NOTHROW(verify(p));
  CHECK(print(p.kernels[0], p) ==
        "kernel k0\n"
        "  N+N*N flops, 4*N bytes read, 4*N written\n"
        "  parallel i in 0..N\n"
        "    for r in 0..N\n"
        "      r0_0 = sum in[r]\n"
        "    out[i] = (in[i] + r0_0)\n");
}

TEST_CASE("axes are used inside their loops") {
  Program p = sound();
  Kernel& k = p.kernels[0];
  k.stages[1].stores[0].value = k.stages[0].reductions[0].value;
  complains(p, "axis r is used outside its loop");
  p = sound();
  p.kernels[0].outer.clear();
  complains(p, "axis i is used outside its loop");
  p = sound();
  p.kernels[0].outer.push_back(9);
  complains(p, "kernel k0: no axis 9");
  p = sound();
  p.kernels[0].stages[0].axes.push_back(0);
  complains(p, "kernel k0: axis i is looped over twice");
}

TEST_CASE("row values come from earlier stages") {
  Program p = sound();
  std::swap(p.kernels[0].stages[0], p.kernels[0].stages[1]);
  complains(p, "stage 0 uses a value of stage 0");
  p = sound();
  p.kernels[0].stages[0].reductions.clear();
  complains(p, "stage 0 has no reduction 0");
}

TEST_CASE("loads and stores have the buffers' types; inputs are read-only") {
  Program p = sound();
  p.buffers[0].type.element = ElementType::F64;
  complains(p, "in is loaded as f32");
  p = sound();
  p.buffers[1].type.element = ElementType::F64;
  complains(p, "out is stored as f32");
  p = sound();
  p.buffers[1].kind = BufferKind::Param;
  complains(p, "writes out, which is read-only");
  p = sound();
  p.kernels[0].stages[1].stores[0].buffer = 7;
  complains(p, "kernel k0: no buffer 7");
  p = sound();
  for (Expr& e : p.kernels[0].exprs)
    if (e.kind == ExprKind::Load) e.buffer = -1;
  complains(p, "kernel k0: no buffer -1");
}

TEST_CASE("a local buffer is of one point") {
  Program p = sound();
  p.buffers[1].kind = BufferKind::Local;
  complains(p, "out has the elements of one point, and an offset depends on which");
  p = sound();
  p.buffers[0].kind = BufferKind::Local;
  complains(p, "in has the elements of one point, and an offset depends on which");
}

TEST_CASE("expressions refer backwards to what there is") {
  Program p = sound();
  p.kernels[0].stages[1].stores[0].value = 99;
  complains(p, "no expression 99");
  p = sound();
  Expr& last = p.kernels[0].exprs.back();
  last.operands[0] = static_cast<ExprId>(p.kernels[0].exprs.size()) - 1;
  complains(p, "which does not precede it");
  p = sound();
  p.kernels[0].exprs.back().op = ScalarOp::Select;
  complains(p, "select of 2 operands");
  p = sound();
  p.kernels[0].exprs.back().type = ElementType::F64;
  complains(p, "add of f32 gives f64");
  p = sound();
  p.kernels[0].stages.clear();
  complains(p, "kernel k0 does nothing");
  p = sound();
  KernelBuilder b(p.kernels[0]);
  p.kernels[0].stages[1].stores[0].value = b.accumulator(ElementType::F32);
  complains(p, "an accumulator without a contraction");
}

TEST_CASE("a contraction is summed in the type of its operands, or f32") {
  Program p = sound();
  p.kernels[0].contraction.push_back({0, 0, ElementType::F32, {}, 0, 0});
  CHECK_NOTHROW(verify(p));
  p.kernels[0].contraction[0].type = ElementType::F64;
  complains(p, "in of f32 times in of f32 in f64");
  p = sound();
  const Type narrow{ElementType::BF16, {Dim::symbol("N")}};
  for (const char* name : {"a", "b"})
    p.buffers.push_back({name, BufferKind::Input, narrow, {}, {}, -1});
  p.kernels[0].contraction.push_back({2, 3, ElementType::F32, {}, 0, 0});
  CHECK_NOTHROW(verify(p));
  p.kernels[0].contraction[0].b = 0;
  complains(p, "a of bf16 times in of f32");
  p = sound();
  p.kernels[0].contraction.push_back(
      {0, 0, ElementType::F32, {}, 0, 0, {}, {{'h', 'i', 1, 1, -1, 4}}});
  complains(p, "a frame along h, which is no index of in");
}

TEST_CASE("offsets are i64, symbols are declared, aliases fit") {
  Program p = sound();
  p.kernels[0].stages[1].stores[0].offset = p.kernels[0].stages[1].stores[0].value;
  complains(p, "an offset is f32");
  p = sound();
  p.symbols.clear();
  complains(p, "the program has no symbol N");
  p = sound();
  p.buffers.push_back({"w", BufferKind::Param, {ElementType::F32, {3}}, {}, {}, -1});
  p.buffers[1].alias = 2;
  complains(p, "out has another type than what it updates");
  p.buffers[1].alias = 12;
  complains(p, "out updates a buffer that is not there");
}

TEST_CASE("the builder keeps index arithmetic affine and values apart") {
  Kernel k;
  KernelBuilder b(k);
  const ExprId i = b.axis_value(b.axis("i", 7));
  CHECK(b.add(i, b.integer(0)) == i);
  CHECK(b.mul(i, b.integer(1)) == i);
  CHECK(b.mul(i, b.integer(0)) == b.integer(0));
  CHECK(b.add(b.integer(2), b.integer(3)) == b.integer(5));
  CHECK(b.axis_value(b.axis("one", 1)) == b.integer(0));
  CHECK(b.constant(ElementType::F32, 0.0) != b.constant(ElementType::F32, -0.0));
  CHECK(b.constant(ElementType::F32, std::numeric_limits<double>::quiet_NaN()) ==
        b.constant(ElementType::F32, std::numeric_limits<double>::quiet_NaN()));
  CHECK(b.constant(ElementType::F32, 1) != b.constant(ElementType::F64, 1));
  // Indices that come of an offset give the offset back.
  const Shape shape{4, 5, 6};
  const std::vector<ExprId> index = b.delinearize(i, shape);
  CHECK(b.linear_offset(index, shape) == i);
}
