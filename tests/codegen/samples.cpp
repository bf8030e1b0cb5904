#include "tests/support/samples.h"

#include <doctest/doctest.h>

#include "ir/graph/text.h"
#include "tests/support/compiled.h"

using namespace dlc;

namespace {

double allowed(const Graph& g) {
  const ElementType t = g.type(g.outputs[0].value).element;
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
