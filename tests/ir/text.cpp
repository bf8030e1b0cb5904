#include "ir/graph/text.h"

#include <doctest/doctest.h>

#include "codegen/reference/interpreter.h"
#include "ir/graph/builder.h"
#include "ir/op_def.h"
#include "tests/support/samples.h"

using namespace dlc;

TEST_CASE("the text of every sample parses back to itself") {
  for (const Op op : all_ops()) {
    for (const Sample& s : op_def(op).samples) {
      const Graph g = sample_graph(op, s);
      verify(g);
      const std::string text = print(g);
      CAPTURE(text);
      const std::vector<Graph> again = parse_graphs(text, "sample.ir");
      REQUIRE(again.size() == 1);
      CHECK(print(again[0]) == text);
      CHECK(again[0].nodes.back().type == g.nodes.back().type);
      CHECK(again[0].nodes.back().loc == g.nodes.back().loc);
    }
  }
}

TEST_CASE("names, kinds, kernels and updates survive") {
  Graph g;
  g.name = "train_step";
  GraphBuilder b(g);
  const Value w = b.input("dense_1.w", InputKind::Param, {ElementType::F32, {3}});
  const Value odd = b.input("a name", InputKind::Input, {ElementType::F32, {3}});
  const Value sum = b.add(w, odd);
  g[sum].name = "sum";
  const Value again = b.add(sum, odd);
  g[again].name = "sum";
  g[again].kernel = 4;
  b.output("dense_1.w", OutputKind::Update, again);
  const std::string text = print(g);
  CAPTURE(text);
  const Graph back = parse_graphs(text, "x.ir").at(0);
  CHECK(print(back) == text);
  CHECK(back.nodes[3].name == "sum");
  CHECK(back.nodes[3].kernel == 4);
  CHECK(back.outputs[0].kind == OutputKind::Update);
  CHECK(back.find_input("a name") != nullptr);
}

TEST_CASE("any name of a graph and of a value survives") {
  for (const char* name : {"g", "a graph", "", "12", "x\"y\\z", "two\nlines", "\xc3\xa4", "a~2"}) {
    Graph g;
    g.name = name;
    GraphBuilder b(g);
    const Value x = b.input(name, InputKind::Input, {ElementType::F32, {}});
    const Value y = b.neg(x);
    g[y].name = name;
    b.output(name, OutputKind::Output, y);
    const Graph back = parse_graphs(print(g), "x.ir").at(0);
    CHECK(print(back) == print(g));
    CHECK(back.name == name);
    CHECK(back.inputs[0].name == name);
    CHECK(back.nodes[1].name == name);
    CHECK(back.outputs[0].name == name);
  }
}

TEST_CASE("numbers are exact") {
  Graph g;
  GraphBuilder b(g);
  const double tricky[] = {0.1, 1e300, -0.0, HUGE_VAL, std::nan(""), 5e-324, 123456789012345680.0};
  Literal l = Literal::zeros(ElementType::F64, {7});
  for (int k = 0; k < 7; ++k) l.f[static_cast<std::size_t>(k)] = tricky[k];
  b.output("c", OutputKind::Output, b.constant(l));
  const Graph back = parse_graphs(print(g), "x.ir").at(0);
  CHECK(print(back) == print(g));
  const Literal& value = back.nodes[0].literal_attr("value");
  CHECK(value.f[0] == 0.1);
  CHECK(std::signbit(value.f[2]));
  CHECK(value.f[5] == 5e-324);
}

TEST_CASE("malformed text gives a message with line and column") {
  const char* cases[] = {
      "grph x {}",
      "graph x {",
      "graph x { %a: f32[2] = input param\n %b: f32[3] = neg %a }",
      "graph x { %b: f32[3] = neg %a }",
      "graph x { %b: f32[3] = frobnicate }",
      "graph x { %b: f99[3] = constant 1 }",
      "graph x { %b: f32[99999999999] = constant splat 1 }",
      "graph x { %b: f32[2] = constant [1, }",
      "graph x { %a: f32[2] = input nothing }",
      "graph x { output update \"w\" = %a }",
      "graph x { %a: f32[2] = input param output update \"w\" = %a }",
      "graph x { %a: f32[2] = input param %a: f32[2] = input param }",
      "graph x { %a: f32[2, 3] = input param %b: f32[6] = reshape %a {shape = (7)} }",
      "graph x { %a: f32[2] = input param %b: f32[] = reduce_sum %a {axes = [1]} }",
      "graph \"x { }",
      "\xff\xfe",
  };
  for (const char* text : cases) {
    CAPTURE(text);
    try {
      parse_graphs(text, "bad.ir");
      FAIL("accepted");
    } catch (const UserError& e) {
      CHECK(std::string(e.what()).rfind("bad.ir:", 0) == 0);
    }
  }
}

TEST_CASE("dimensions are canonical polynomials") {
  const Dim n = Dim::symbol("N"), t = Dim::symbol("T");
  CHECK((n + Dim(1)) * (n - Dim(1)) == n * n - Dim(1));
  CHECK((n * t + t * n).str() == "2*N*T");
  CHECK(parse_dim("2*N*T-3") == n * t * Dim(2) - Dim(3));
  CHECK(parse_dim((n * n * Dim(5) - t + Dim(7)).str()) == n * n * Dim(5) - t + Dim(7));
  CHECK((n * Dim(784)).exact_div(Dim(28)) == n * Dim(28));
  CHECK((n * Dim(784)).exact_div(n) == Dim(784));
  CHECK(!(n * Dim(3)).exact_div(Dim(2)));
  CHECK((n * Dim(2)).provably_ge(n));
  CHECK(!n.provably_ge(Dim(2)));
  CHECK(!parse_dim("N+"));
  CHECK(!parse_dim(""));
  CHECK((n * t + Dim(2)).evaluate({{"N", 3}, {"T", 4}}) == 14);
}
