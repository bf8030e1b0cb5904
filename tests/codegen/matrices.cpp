// f32 as matrices of bf16: as exact as sums of f32 in vectors, whatever the shape and the layout,
// the same bits on any number of threads. Without a unit for matrices all of this is true of
// vectors.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "codegen/reference/interpreter.h"
#include "ir/graph/text.h"
#include "tests/support/compiled.h"
#include "tests/support/samples.h"
#include "tests/support/text.h"

using namespace dlc;

namespace {

struct Product {
  const char *a, *b, *c;  // shapes
  const char *lhs = "mk", *rhs = "kn", *out = "mn";
};
const Product kProducts[] = {
    {"N, 256", "256, 128", "N, 128"},                              // a layer
    {"N, 300", "300, 70", "N, 70"},                                // no whole matrices
    {"N, 129", "129, 200", "N, 200"},                              // one product more than a block
    {"N, 64", "64, 48", "N, 48"},                                  // an odd number of vectors
    {"N, 40", "40, 1100", "N, 1100"},                              // groups of panels
    {"700, 96", "96, 520", "700, 520"},                            // blocks of rows
    {"N, 200", "N, 160", "200, 160", "km", "kn"},                  // a weight gradient
    {"N, 70", "N, 90", "70, 90", "km", "kn"},                      //
    {"N, 128", "N, 32", "128, 32", "km", "kn"},                    // one panel
    {"9*N, 128", "9*N, 32", "128, 32", "km", "kn"},                //
    {"N, 128", "128, 32", "N, 32"},                                //
    {"9*N, 128", "9*N, 32", "32, 128", "km", "kn", "nm"},          // columns of C are apart
    {"N, 128", "128, 32", "32, N", "mk", "kn", "nm"},              //
    {"N, 128", "32, 128", "N, 32", "mk", "nk"},                    //
    {"N, 150", "130, 150", "N, 130", "mk", "nk"},                  // the right side transposed
    {"N, 97", "75, 97", "N, 75", "mk", "nk"},                      //
    {"160, N", "100, 160", "N, 100", "km", "nk"},                  // both
    {"6, 80, 64", "6, 64, 72", "6, 80, 72", "bmk", "bkn", "bmn"},  // several
    {"6, 80, 64", "6, 72, 64", "6, 80, 72", "bmk", "bnk", "bmn"},
    {"N, 4, 96", "96, 64", "N, 4, 64", "bmk", "kn", "bmn"},  // rows of two indices
    {"N, 6, 160", "N, 6, 96", "160, 96", "bkm", "bkn", "mn"},
    {"3, N, 96", "96, 64", "N, 3, 64", "bmk", "kn", "mbn"},  // unevenly spaced
    {"N, 700", "700, 1100", "N, 1100"},                      // V from beyond the cache
};

Graph graph_of_product(const Product& p) {
  return graph_of(fmt::format(
      "graph g {{ %size: u8[N] = input input %a: f32[{0}] = input input %b: f32[{1}] = input input "
      "%c: f32[{2}] = contract %a, %b {{lhs = \"{3}\", rhs = \"{4}\", out = \"{5}\"}} "
      "%one: f32[] = constant 1.0 %ones: f32[{2}] = broadcast %one {{shape = ({2}), dims = []}} "
      "%d: f32[{2}] = add %c, %ones output output \"d\" = %d }}",
      p.a, p.b, p.c, p.lhs, p.rhs, p.out));
}

/// The largest error of an output, relative to what the sums of sizes come to, in 2^-24.
double worst(const Graph& g, const std::vector<Tensor>& got,
             const std::map<std::string, Literal>& inputs) {
  std::map<std::string, Literal> sizes = inputs;
  for (const char* name : {"a", "b"})
    for (double& v : sizes.at(name).f) v = std::abs(v);
  const Evaluation exact = interpret(g, inputs, Precision::F64),
                   size = interpret(g, sizes, Precision::F64);
  const int id = g.outputs[0].value.id;
  double result = 0;
  for (std::int64_t k = 0; k < got[0].size(); ++k)
    result = std::max(result, std::abs(got[0].at(k) - exact.values[id].at(k)) /
                                  std::max(size.values[id].at(k), 1e-30));
  return result * 0x1p24;
}

}  // namespace

TEST_CASE("products of f32 by parts of bf16 are as exact as in f32") {
  for (const Product& p : kProducts) {
    const Graph g = graph_of_product(p);
    const std::string text = print(g);
    CAPTURE(text);
    const Compiled any(g), vectors(g, 512);
    for (const int n : {1, 47, 48, 100, 300}) {
      CAPTURE(n);
      auto inputs = sample_values(g, -1, 1, n, 7);
      // What an earlier call has left behind does not count.
      auto spoilt = inputs;
      for (const char* name : {"a", "b"})
        for (double& v : spoilt.at(name).f) v = std::numeric_limits<double>::quiet_NaN();
      any.run(spoilt);
      const std::vector<Tensor> got = any.run(inputs);
      const double error = worst(g, got, inputs);
      CHECK(error <= std::max(4.0, 2 * worst(vectors.graph(), vectors.run(inputs), inputs)));
      CHECK(same_bits(any.run(inputs, 3)[0], got[0]));
      // Of very different sizes.
      for (const char* name : {"a", "b"}) {
        int k = 0;
        for (double& v : inputs.at(name).f)
          v = static_cast<double>(static_cast<float>(std::ldexp(v, (k++ * 7) % 60 - 30)));
      }
      CHECK(worst(g, any.run(inputs), inputs) <=
            std::max(4.0, 2 * worst(vectors.graph(), vectors.run(inputs), inputs)));
    }
  }
}

TEST_CASE("denormals count as zeros, and spoil nothing") {
  for (const Product& p : kProducts) {
    const Graph g = graph_of_product(p);
    const std::string text = print(g);
    CAPTURE(text);
    auto inputs = sample_values(g, -1, 1, 100, 7);
    for (double& v : inputs.at("a").f) v = static_cast<float>(v * 0x1p-120);
    const std::vector<Tensor> d = Compiled(g).run(inputs);
    for (std::int64_t k = 0; k < d[0].size(); ++k) CHECK(d[0].at(k) == 1);
  }
}

TEST_CASE("what is no number stays so, in its row and column alone") {
  const Graph g = graph_of_product(kProducts[0]);
  const Compiled c(g);
  auto inputs = sample_values(g, -1, 1, 64, 7);
  inputs.at("a").f[5 * 256 + 3] = std::numeric_limits<double>::quiet_NaN();
  inputs.at("a").f[9 * 256 + 200] = std::numeric_limits<double>::infinity();
  const std::vector<Tensor> got = c.run(inputs);
  for (std::int64_t m = 0; m < 64; ++m)
    for (std::int64_t n = 0; n < 128; ++n)
      CHECK(std::isfinite(got[0].at(m * 128 + n)) == (m != 5 && m != 9));
}
