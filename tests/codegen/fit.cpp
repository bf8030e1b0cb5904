// Less memory, the same bits.
#include "passes/loop/fit.h"

#include <doctest/doctest.h>

#include <cstring>

#include "ir/graph/text.h"
#include "tests/support/compiled.h"
#include "tests/support/finite_difference.h"
#include "tests/support/random_graph.h"

using namespace dlc;

TEST_CASE("random graphs with and without a limit of memory: the bits are the same") {
  constexpr int kN = 37;
  int recomputed = 0;
  for (unsigned seed = 0; seed < 60; ++seed) {
    const Graph g =
        with_gradients(random_graph(seed, seed % 4 ? ElementType::F32 : ElementType::F64));
    const std::string text = print(g);
    CAPTURE(text);
    const Compiled free(g);
    int again = 0;
    const Compiled fitted(g, 0, [&](loop::Program& p) {
      Extents extents;
      for (const std::string& s : p.symbols) extents[s] = kN;
      Fitted f = fit_memory(p, extents, p.arena_bytes.evaluate(extents) * 2 / 3);
      again = f.recomputed;
      p = std::move(f.program);
    });
    recomputed += again;
    for (const int n : {1, 16, kN}) {
      const auto inputs = random_inputs(g, n, seed + 1);
      const std::vector<Tensor> want = free.run(inputs), got = fitted.run(inputs, 2);
      REQUIRE(got.size() == want.size());
      for (std::size_t k = 0; k < want.size(); ++k)
        CHECK(std::memcmp(got[k].data(), want[k].data(), want[k].bytes()) == 0);
    }
  }
  CHECK(recomputed > 20);
}
