// The gradient of every operation, from its samples, against finite differences in f64; and the
// gradient of the gradient.
#include <doctest/doctest.h>

#include "ir/graph/builder.h"
#include "ir/graph/text.h"
#include "tests/support/finite_difference.h"
#include "tests/support/samples.h"
#include "tests/support/text.h"

using namespace dlc;

namespace {

bool has_gradient(Op op) { return std::holds_alternative<GradientFn>(op_def(op).gradient); }

/// The sample in f64 with the scalar output `loss`: the sum of the result, weighted.
std::optional<Graph> loss_graph(Op op, Sample s) {
  for (Type& t : s.operands)
    if (is_float(t.element)) t.element = ElementType::F64;
  if (const auto e = s.attrs.find("element"); e != s.attrs.end()) {
    const ElementType to = *parse_element_type(std::get<std::string>(e->second));
    if (is_float(to)) s.attrs["element"] = std::string("f64");
  }
  Graph g = sample_graph(op, s);
  GraphBuilder b(g);
  const Value y = g.outputs[0].value;
  const Type type = b.type(y);
  if (type.element != ElementType::F64) return std::nullopt;
  const Value weighted = b.mul(y, b.input("weights", InputKind::Input, type));
  std::vector<std::int64_t> axes;
  for (int k = 0; k < type.rank(); ++k) axes.push_back(k);
  g.outputs.clear();
  b.output("loss", OutputKind::Loss, b.reduce(Op::reduce_sum, weighted, axes));
  return g;
}

/// `loss` becomes the sum of its gradients with respect to all inputs, each weighted.
Graph gradient_loss(Graph g) {
  GraphBuilder b(g);
  const Value loss = g.outputs[0].value;
  g.outputs.clear();
  Value sum = b.scalar(ElementType::F64, 0);
  const std::vector<GraphInput> inputs = g.inputs;
  for (const GraphInput& in : inputs) {
    const Type type = b.type(in.value);
    if (!is_float(type.element)) continue;
    const Value d = b.node(Op::grad, {loss, in.value});
    const Value v =
        b.input(fmt::format("v{}_{}", g.inputs.size(), in.name), InputKind::Input, type);
    std::vector<std::int64_t> axes;
    for (int k = 0; k < type.rank(); ++k) axes.push_back(k);
    sum = b.add(sum, b.reduce(Op::reduce_sum, b.mul(d, v), axes));
  }
  b.output("loss", OutputKind::Loss, sum);
  return g;
}

void check(Op op, bool second_order) {
  int checked = 0;
  for (const Sample& s : op_def(op).samples) {
    std::optional<Graph> g = loss_graph(op, s);
    if (!g) continue;
    if (second_order) g = gradient_loss(std::move(*g));
    const std::string text = print(*g);
    CAPTURE(text);
    try {
      const GradientReport r = check_gradients(*g, sample_values(*g, s.lo, s.hi, 3, 7));
      CAPTURE(r.where);
      CHECK(r.worst <= 1e-6);
      CHECK(r.kinks <= r.checked / 10);
      checked += r.checked;
    } catch (const std::exception& e) {
      FAIL_CHECK(std::string(e.what()));
    }
  }
  CAPTURE(op_name(op));
  CHECK(checked > 0);
}

/// No float ever comes of a float: there is nothing to differentiate.
bool takes_floats(Op op) {
  for (const Sample& s : op_def(op).samples)
    if (!s.operands.empty() && is_float(s.operands.back().element)) return true;
  return false;
}

}  // namespace

TEST_CASE("the gradient of every operation is what finite differences say") {
  for (const Op op : all_ops())
    if (has_gradient(op)) check(op, false);
}

TEST_CASE("so is the gradient of the gradient") {
  for (const Op op : all_ops())
    if (has_gradient(op)) check(op, true);
}

TEST_CASE("a zero gradient is zero") {
  for (const Op op : all_ops())
    if (std::holds_alternative<ZeroGradient>(op_def(op).gradient) && takes_floats(op) &&
        op != Op::stop_gradient)
      check(op, false);
}

TEST_CASE("stop_gradient hands nothing back") {
  Graph g;
  GraphBuilder b(g);
  const Value x = b.input("x", InputKind::Input, {ElementType::F64, {}});
  b.output("loss", OutputKind::Loss, b.mul(x, b.node(Op::stop_gradient, {x})));
  const GradientReport r = check_gradients(g, sample_values(g, 1, 2, 1, 1));
  CHECK(r.worst > 0.1);  // the slope of x * x is twice the gradient
}

TEST_CASE("parts that begin at a symbolic place have gradients") {
  Graph g;
  GraphBuilder b(g);
  const Dim n = Dim::symbol("N");
  const Value x = b.input("x", InputKind::Input, {ElementType::F64, {n, 2}}),
              y = b.input("y", InputKind::Input, {ElementType::F64, {3, 2}}),
              z = b.input("z", InputKind::Input, {ElementType::F64, {n, 2}});
  const Value all = b.node(Op::concat, {x, y, z}, {{"axis", std::int64_t{0}}});
  const Value framed = b.node(Op::pad, {all, b.scalar(ElementType::F64, 1)},
                              {{"low", Shape{n, 1}}, {"high", Shape{1, 0}}});
  b.output("loss", OutputKind::Loss, b.reduce(Op::reduce_sum, b.mul(framed, framed), {0, 1}));
  const GradientReport r = check_gradients(g, sample_values(g, -1, 1, 2, 1));
  CAPTURE(r.where);
  CHECK(r.checked > 10);
  CHECK(r.worst <= 1e-6);
}

TEST_CASE("the gradient of a product with zeros") {
  Graph g;
  GraphBuilder b(g);
  const Value x = b.input("x", InputKind::Input, {ElementType::F64, {3, 4}});
  const Value p = b.reduce(Op::reduce_prod, x, {1});
  b.output("loss", OutputKind::Loss, b.reduce(Op::reduce_sum, p, {0}));
  auto values = sample_values(g, 1, 2, 1, 1);
  values.at("x").f[1] = 0;                        // one in the first row
  values.at("x").f[4] = values.at("x").f[6] = 0;  // two in the second
  const GradientReport r = check_gradients(g, values, 12);
  CAPTURE(r.where);
  CHECK(r.checked == 12);
  CHECK(r.worst <= 1e-6);
}

namespace {

/// A recurrent cell's turns, forward or in reverse.
const char* const kOneScan = R"(graph g {
  %h0: f64[2, 3] = input input  %x: f64[T, 2, 3] = input input  %w: f64[3, 3] = input param
  %s: (f64[2, 3], f64[T, 2, 3]) = scan %h0, %x, %w {body = graph body {
    %h: f64[2, 3] = input carried  %x: f64[2, 3] = input scanned  %w: f64[3, 3] = input captured
    %p: f64[2, 3] = contract %h, %w {lhs = "nk", rhs = "km", out = "nm"}
    %q: f64[2, 3] = add %p, %x  %t: f64[2, 3] = tanh %q  %u: f64[2, 3] = mul %t, %x
    output carry "h" = %t  output yield "u" = %u
  }, length = (T), reverse = DIRECTION}
  %last: f64[2, 3] = part %s {index = 0}  %all: f64[T, 2, 3] = part %s {index = 1}
  %a: f64[] = reduce_sum %last {axes = [0, 1]}  %b: f64[] = reduce_sum %all {axes = [0, 1, 2]}
  %loss: f64[] = add %a, %b
  output loss "loss" = %loss })";

/// In each turn another scan over the rows of what is scanned.
const char* const kNested = R"(graph g {
  %h0: f64[3] = input input  %x: f64[T, 2, 3] = input input  %w: f64[3] = input param
  %s: (f64[3]) = scan %h0, %x, %w {body = graph body {
    %h: f64[3] = input carried  %x: f64[2, 3] = input scanned  %w: f64[3] = input captured
    %i: (f64[3]) = scan %h, %x, %w {body = graph inner {
      %g: f64[3] = input carried  %y: f64[3] = input scanned  %w: f64[3] = input captured
      %p: f64[3] = mul %g, %w  %q: f64[3] = add %p, %y  %t: f64[3] = sigmoid %q
      output carry "g" = %t
    }, length = (2), reverse = DIRECTION}
    %g: f64[3] = part %i {index = 0}  %n: f64[3] = mul %g, %h
    output carry "h" = %n
  }, length = (T), reverse = 0}
  %last: f64[3] = part %s {index = 0}
  %loss: f64[] = reduce_sum %last {axes = [0]}
  output loss "loss" = %loss })";

}  // namespace

TEST_CASE("the gradients of scans, and theirs, are what finite differences say") {
  for (const char* text : {kOneScan, kNested})
    for (const char* direction : {"0", "1"})
      for (const int order : {1, 2, 3}) {
        std::string now = text;
        now.replace(now.find("DIRECTION"), 9, direction);
        Graph g = graph_of(now);
        for (int k = 1; k < order; ++k) g = gradient_loss(std::move(g));
        CAPTURE(now);
        CAPTURE(order);
        const GradientReport r = check_gradients(g, sample_values(g, -1, 1, 3, 7));
        CAPTURE(r.where);
        CHECK(r.checked > 0);
        CHECK(r.worst <= 1e-6);
      }
}
