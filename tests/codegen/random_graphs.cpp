// Random graphs and their gradients, compiled: the values are the interpreter's, and the bits do
// not depend on the number of threads.
#include <doctest/doctest.h>

#include <cstring>

#include "codegen/reference/interpreter.h"
#include "ir/graph/text.h"
#include "tests/support/compiled.h"
#include "tests/support/finite_difference.h"
#include "tests/support/random_graph.h"

using namespace dlc;

namespace {

constexpr unsigned kGraphs = 200;

void check_against_interpreter(ElementType element, double tolerance, int vector_bits,
                               unsigned first, unsigned last) {
  for (unsigned seed = first; seed < last; ++seed) {
    // Gradients in f64 always, in f32 for some: most of the time is spent compiling.
    const bool gradients = element == ElementType::F64 || seed % 8 == 0;
    const Graph plain = random_graph(seed, element);
    const Graph g = gradients ? with_gradients(plain) : plain;
    const std::string text = print(g);
    CAPTURE(text);
    try {
      const Compiled c(g, vector_bits);
      for (const int n : {1, 3, 16, 37}) {
        const auto inputs = random_inputs(g, n, seed + 1);
        const Evaluation expected = interpret(c.graph(), inputs, Precision::Declared);
        const std::vector<Tensor> got = c.run(inputs);
        for (std::size_t k = 0; k < got.size(); ++k) {
          const GraphOutput& out = c.graph().outputs[k];
          const bool is_exact = !is_float(c.graph().type(out.value).element);
          CAPTURE(out.name);
          CAPTURE(n);
          CHECK(distance(got[k], expected.values[out.value.id]) <= (is_exact ? 0 : tolerance));
        }
      }
    } catch (const std::exception& e) {
      FAIL_CHECK(std::string(e.what()));
    }
  }
}

}  // namespace

TEST_CASE("random graphs in f64: compiled code agrees with the interpreter") {
  check_against_interpreter(ElementType::F64, 1e-11, 0, 0, kGraphs);
}

TEST_CASE("random graphs in f32: compiled code agrees with the interpreter") {
  check_against_interpreter(ElementType::F32, 1e-4, 0, 0, kGraphs);
}

TEST_CASE("and so does code for narrower vectors") {
  check_against_interpreter(ElementType::F32, 1e-4, 256, 0, 10);
  check_against_interpreter(ElementType::F64, 1e-11, 128, 15, 20);
}

TEST_CASE("the bits are the same with 1, 2 and 3 threads") {
  for (unsigned seed = 0; seed < 20; ++seed) {
    const Graph g = with_gradients(random_graph(seed, ElementType::F32));
    const std::string text = print(g);
    CAPTURE(text);
    const Compiled c(g);
    // Large enough that kernels are split, unless N * N is.
    const bool squares = text.find("N, N") != std::string::npos;
    const auto inputs = random_inputs(g, squares ? 211 : 40009, seed);
    const std::vector<Tensor> one = c.run(inputs, 1);
    for (const int threads : {2, 3}) {
      const std::vector<Tensor> many = c.run(inputs, threads);
      for (std::size_t k = 0; k < one.size(); ++k)
        CHECK(std::memcmp(one[k].data(), many[k].data(), one[k].bytes()) == 0);
    }
  }
}
