#include "tests/support/samples.h"

#include <doctest/doctest.h>

#include "ir/graph/text.h"
#include "tests/support/compiled.h"

using namespace dlc;

namespace {

double allowed(const Graph& g) {
  const ElementType t = g.type(g.outputs[0].value).element;
  // A last place of 16 bits, where f32 rounds to the other side of a tie.
  if (is_16_bit_float(t)) return t == ElementType::BF16 ? 0x1p-8 : 0x1p-11;
  return t == ElementType::F64 ? 2e-14 : is_float(t) ? 2e-6 : 0;
}

}  // namespace

TEST_CASE("every sample of every operation: compiled code agrees with the interpreter") {
  for (const Op op : all_ops())
    for (const Sample& s : op_def(op).samples) {
      const Graph g = sample_graph(op, s);
      const std::string text = print(g);
      CAPTURE(text);
      try {
        const Compiled c(g);
        for (const int symbol : {1, 5, 37}) {
          CAPTURE(symbol);
          CHECK(compiled_distance(c, sample_values(g, s.lo, s.hi, symbol, 1)) <= allowed(g));
        }
      } catch (const std::exception& e) {
        FAIL_CHECK(text, "\n", std::string(e.what()));
      }
    }
}
