// 16-bit floats in compiled code: conversions to the bit, for every number of the formats and
// around every tie; sums and products in f32; contractions and their gradients.
#include "ir/support/float16.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "codegen/reference/interpreter.h"
#include "ir/graph/text.h"
#include "tests/support/compiled.h"
#include "tests/support/samples.h"
#include "tests/support/text.h"

using namespace dlc;

namespace {

constexpr ElementType kBoth[] = {ElementType::BF16, ElementType::F16};

float widen(std::uint16_t h, ElementType e) {
  return e == ElementType::BF16 ? bf16_to_f32(h) : f16_to_f32(h);
}
std::uint16_t narrow(float v, ElementType e) {
  return e == ElementType::BF16 ? f32_to_bf16(v) : f32_to_f16(v);
}

Literal literal(ElementType e, std::vector<double> values) {
  return {e, {static_cast<std::int64_t>(values.size())}, std::move(values), {}};
}

Graph conversion(ElementType from, ElementType to) {
  return graph_of(
      fmt::format("graph g {{ %x: {}[N] = input input %y: {}[N] = convert %x {{element = \"{}\"}} "
                  "output output \"y\" = %y }}",
                  name(from), name(to), name(to)));
}

}  // namespace

TEST_CASE("every 16-bit float widens to f32 and f64 as it is") {
  for (const ElementType e : kBoth) {
    std::vector<double> all;
    for (unsigned bits = 0; bits < 0x10000; ++bits)
      all.push_back(widen(static_cast<std::uint16_t>(bits), e));
    for (const ElementType to : {ElementType::F32, ElementType::F64}) {
      const Tensor got = std::move(Compiled(conversion(e, to)).run({{"x", literal(e, all)}})[0]);
      for (std::int64_t k = 0; k < got.size(); ++k) {
        const double want = all[static_cast<std::size_t>(k)], v = got.at(k);
        if (!(std::isnan(want) ? std::isnan(v)
                               : v == want && std::signbit(v) == std::signbit(want)))
          FAIL_CHECK(name(e), " ", k, " widens to ", v, ", not ", want);
      }
    }
  }
}

TEST_CASE("f32 becomes the nearest 16-bit float: each number, each tie, and their neighbours") {
  for (const ElementType e : kBoth) {
    std::vector<double> values{HUGE_VAL, -HUGE_VAL, std::nan(""), 1e-45, -1e-45, 3.4e38, -3.4e38};
    for (unsigned bits = 0; bits < 0x10000; ++bits) {
      const float v = widen(static_cast<std::uint16_t>(bits), e),
                  next = widen(static_cast<std::uint16_t>(bits + 1), e);
      if (!std::isfinite(v) || !std::isfinite(next)) continue;
      const float middle = v + (next - v) / 2;
      for (const float x : {v, middle, std::nextafter(middle, v), std::nextafter(middle, next)})
        values.push_back(x);
    }
    for (const int bits : {0, 128}) {
      const Compiled c(conversion(ElementType::F32, e), bits);
      const Tensor got = std::move(c.run({{"x", literal(ElementType::F32, values)}})[0]);
      for (std::int64_t k = 0; k < got.size(); ++k) {
        const auto x = static_cast<float>(values[static_cast<std::size_t>(k)]);
        const std::uint16_t want = narrow(x, e), v = got.as<std::uint16_t>()[k];
        if (std::isnan(x) ? !std::isnan(widen(v, e)) : v != want)
          FAIL_CHECK(name(e), ": ", x, " becomes ", v, ", not ", want);
      }
    }
  }
}

TEST_CASE("f64 and integers become 16-bit floats by way of f32") {
  for (const ElementType e : kBoth) {
    const std::vector<double> wide{1 + 0x1p-8 + 0x1p-40,
                                   1 + 0x1p-11 + 0x1p-40,
                                   65519.9,
                                   65520,
                                   1e300,
                                   -1e-300,
                                   0x1p-149,
                                   0x1p-24,
                                   3e-8,
                                   std::nan("")};
    CHECK(compiled_distance(conversion(ElementType::F64, e),
                            {{"x", literal(ElementType::F64, wide)}}) == 0);
    const Literal longs{ElementType::I64, {6}, {}, {0, -1, 257, 65520, INT64_MAX, (1LL << 40) + 1}};
    CHECK(compiled_distance(conversion(ElementType::I64, e), {{"x", longs}}) == 0);
    const Literal bytes{ElementType::U8, {3}, {}, {0, 129, 255}};
    CHECK(compiled_distance(conversion(ElementType::U8, e), {{"x", bytes}}) == 0);
  }
}

TEST_CASE("an operation is computed in f32 and its result rounded, whatever it is fused with") {
  // 1 + 2^-8 is no bf16: were x + y kept in f32 inside the kernel, the difference would be 2^-8.
  const Graph g = graph_of(R"(graph g {
    %x: bf16[N] = input input  %y: bf16[N] = input input
    %sum: bf16[N] = add %x, %y
    %rest: bf16[N] = sub %sum, %x
    output output "rest" = %rest })");
  const std::vector<Tensor> got =
      Compiled(g).run({{"x", literal(ElementType::BF16, {1, 1})},
                       {"y", literal(ElementType::BF16, {0x1p-8, 0x1.8p-8})}});
  CHECK(got[0].at(0) == 0);
  CHECK(got[0].at(1) == 0x1p-7);
}

TEST_CASE("sums over an axis are kept in f32: a thousand ones are a thousand") {
  for (const char* axes : {"[0]", "[1]"}) {
    const bool rows = std::string(axes) == "[1]";
    const Graph g = graph_of(fmt::format(
        "graph g {{ %x: bf16[{}] = input input %y: bf16[3] = reduce_sum %x {{axes = {}}} "
        "output output \"y\" = %y }}",
        rows ? "3, N" : "N, 3", axes));
    Literal ones = literal(ElementType::BF16, std::vector<double>(3000, 1));
    ones.shape = rows ? std::vector<std::int64_t>{3, 1000} : std::vector<std::int64_t>{1000, 3};
    const std::vector<Tensor> got = Compiled(g).run({{"x", ones}});
    for (int k = 0; k < 3; ++k) CHECK(got[0].at(k) == 1000);
  }
}

TEST_CASE("constants of 16 bits, one number and tables") {
  for (const ElementType e : kBoth) {
    const Graph g = graph_of(fmt::format(
        "graph g {{ %x: {0}[4] = input input %t: {0}[4] = constant [0.1, -3.0, inf, 1e-7] "
        "%s: {0}[] = constant 0.3 %b: {0}[4] = broadcast %s {{dims = [], shape = (4)}} "
        "%y: {0}[4] = mul %x, %t %z: {0}[4] = add %y, %b "
        "output output \"z\" = %z output output \"t\" = %t }}",
        name(e)));
    CHECK(round_trip_error(g) == "");
    Literal x = literal(e, {3, 0.5, -1, 1000});
    CHECK(compiled_distance(g, {{"x", x}}) == 0);
  }
}

TEST_CASE("a contraction of 16-bit floats sums in f32; its gradients have the operands' types") {
  for (const ElementType e : kBoth) {
    Graph g = graph_of(fmt::format(
        "graph g {{ %x: {0}[N, 40] = input input %w: {0}[40, 24] = input param "
        "%y: f32[N, 24] = contract %x, %w {{lhs = \"nk\", rhs = \"km\", out = \"nm\"}} "
        "%z: f32[N, 24] = mul %y, %y %loss: f32[] = reduce_sum %z {{axes = [0, 1]}} "
        "%dx: {0}[N, 40] = grad %loss, %x %dw: {0}[40, 24] = grad %loss, %w "
        "output output \"y\" = %y output output \"dx\" = %dx output output \"dw\" = %dw }}",
        name(e)));
    const Compiled c(g);
    for (const int n : {1, 19, 64}) {
      const auto inputs = sample_values(g, -1, 1, n, 3);
      const std::vector<Tensor> got = c.run(inputs);
      CHECK(got[1].dtype() == static_cast<dlc_dtype>(e));
      CHECK(compiled_distance(c, inputs) <= (e == ElementType::BF16 ? 0x1p-8 : 0x1p-11));
      // The product itself is an f32, not one of 16 bits.
      const Evaluation want = interpret(c.graph(), inputs, Precision::Declared);
      CHECK(distance(got[0], want.values[c.graph().outputs[0].value.id]) <= 1e-6);
    }
  }
}

TEST_CASE("gradients flow through conversions, gathers and elementwise operations of bf16") {
  const Graph g = graph_of(R"(graph g {
    %x: f32[N, 6] = input input  %places: u8[N] = input input  %table: f32[4, 6] = input param
    %t: bf16[4, 6] = convert %table {element = "bf16"}
    %rows: bf16[N, 6] = gather %t, %places {axis = 0}
    %h: bf16[N, 6] = convert %x {element = "bf16"}
    %p: bf16[N, 6] = mul %rows, %h
    %e: bf16[N, 6] = tanh %p
    %f: f32[N, 6] = convert %e {element = "f32"}
    %loss: f32[] = reduce_sum %f {axes = [0, 1]}
    %dx: f32[N, 6] = grad %loss, %x  %dt: f32[4, 6] = grad %loss, %table
    output output "dx" = %dx  output output "dt" = %dt })");
  auto inputs = sample_values(g, -1, 1, 9, 4);
  for (std::size_t k = 0; k < inputs.at("places").i.size(); ++k)
    inputs.at("places").i[k] = static_cast<std::int64_t>(k % 4);
  CHECK(compiled_distance(g, inputs) <= 0x1p-7);
  const Graph expanded = Compiled(g).graph();
  const Evaluation exact = interpret(expanded, inputs, Precision::F64),
                   rounded = interpret(expanded, inputs, Precision::Declared);
  for (const GraphOutput& out : expanded.outputs) {
    const Literal &a = exact.values[out.value.id], &b = rounded.values[out.value.id];
    for (std::int64_t k = 0; k < a.size(); ++k) CHECK(std::abs(a.at(k) - b.at(k)) <= 0.03);
  }
}
