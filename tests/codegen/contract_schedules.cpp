// Every schedule of a contraction gives the same bits, whatever its tiles, blocks and packing: the
// order of a sum is k's alone. And what the cost model prefers is what has been measured to be
// best.
#include <doctest/doctest.h>

#include <map>

#include "codegen/llvm/jit.h"
#include "codegen/native/contract_schedule.h"
#include "ir/graph/text.h"
#include "passes/lower/lower.h"
#include "tests/support/compiled.h"
#include "tests/support/samples.h"
#include "tests/support/text.h"

using namespace dlc;

namespace {

struct Shape3 {
  const char *m, *k, *n;  // "N" for the symbol
  const char *lhs = "mk", *rhs = "kn";
  const char* element = "f32";
};

Graph graph_of_shape(const Shape3& s) {
  const auto type = [&](const std::string& letters) {
    std::string shape;
    for (const char l : letters)
      shape += (shape.empty() ? "" : ", ") + std::string(l == 'm' ? s.m : l == 'k' ? s.k : s.n);
    return shape;
  };
  const std::string sum = s.element == std::string("f64") ? "f64" : "f32";
  return graph_of(fmt::format(
      "graph g {{ %size: u8[N] = input input %a: {0}[{1}] = input input %b: {0}[{2}] = input input "
      "%bias: {4}[{3}] = input input %c: {4}[{3}] = contract %a, %b {{lhs = \"{5}\", rhs = "
      "\"{6}\", "
      "out = \"mn\"}} %d: {4}[{3}] = add %c, %bias output output \"d\" = %d }}",
      s.element, type(s.lhs), type(s.rhs), type("mn"), sum, s.lhs, s.rhs));
}

/// The kernels of a graph, and the schedules of its one contraction.
loop::Program lowered(const Graph& g) {
  loop::Program p = lower(run_passes(g, default_pipeline(PipelineEnd::Fused, false), {}));
  run_loop_passes(p, true);
  return p;
}
const loop::Kernel& contraction_of(const loop::Program& p) {
  for (const loop::Kernel& k : p.kernels)
    if (!k.contraction.empty()) return k;
  throw InternalError("no contraction");
}

Compiled compiled_with(const Graph& g, const loop::ContractSchedule& s, int bits) {
  return Compiled(g, bits, [&](loop::Program& p) {
    for (loop::Kernel& k : p.kernels)
      for (loop::Contraction& c : k.contraction) c.schedule = s;
  });
}

}  // namespace

TEST_CASE("all schedules of a contraction: the same bits, near the interpreter's values") {
  const Shape3 shapes[] = {
      {"67", "41", "83"},                       // nothing fits a tile
      {"N", "300", "70"},                       // a layer, k in blocks
      {"70", "N", "300", "km", "nk"},           // a weight gradient, transposed
      {"70", "N", "320", "km", "kn"},           //
      {"500", "600", "70"},                     // more rows than wait at once
      {"40", "N", "130", "mk", "nk"},           // the right side transposed
      {"130", "600", "140", "mk", "nk"},        //
      {"N", "97", "33", "mk", "nk"},            //
      {"37", "45", "N", "km", "nk"},            // both sides transposed
      {"N", "49", "33", "mk", "nk", "f64"},     //
      {"N", "1025", "70", "mk", "nk", "bf16"},  // turned over in pairs
      {"64", "300", "40", "mk", "nk", "f16"},   //
      {"N", "530", "10"},                       // a head
      {"10", "N", "784", "km", "kn"},           //
      {"N", "290", "33", "mk", "kn", "f64"},    //
      {"49", "N", "300", "km", "kn", "f64"},    //
      {"N", "1025", "70", "mk", "kn", "bf16"},  // pairs and one left, two blocks
      {"33", "N", "48", "km", "kn", "bf16"},    // pairs from two rows of memory
      {"100", "N", "200", "km", "nk", "bf16"},  // and from turned ones
      {"500", "600", "1060", "mk", "kn", "bf16"},
      {"64", "300", "40", "mk", "kn", "f16"},
      {"N", "530", "1280"},              // V from beyond the cache: several panels at a time
      {"130", "540", "1088"},            // a number of panels that has no divisor
      {"640", "N", "1024", "km", "kn"},  // a result that comes from there, too
      {"1024", "N", "90", "km", "kn"},   // elements of U that are a page apart
      {"500", "600", "1060"},            // groups of panels, blocks of rows and of k, and a rest
  };
  for (const Shape3& s : shapes) {
    const Graph g = graph_of_shape(s);
    const std::string text = print(g);
    CAPTURE(text);
    const bool is_bf16 = s.element == std::string("bf16");
    for (const int bits : {512, 256}) {
      const loop::Program p = lowered(g);
      const loop::Kernel& kernel = contraction_of(p);
      auto candidates = contract_schedules(p, kernel, {bits, false});
      CHECK(!candidates.empty());
      if (candidates.size() > 6) candidates.resize(6);
      const int rows = candidates[0].schedule.rows, vectors = candidates[0].schedule.vectors;
      for (const loop::ContractSchedule extra : {loop::ContractSchedule{rows, vectors, 64, true},
                                                 {rows, vectors, 64, false},
                                                 {rows, vectors, 0, false}})
        candidates.push_back({extra, 0});
      std::map<int, std::vector<Tensor>> first;
      for (const ScheduleCost& c : candidates) {
        // Pairs come in packed blocks.
        if (is_bf16 && bits == 512 && !c.schedule.packed) continue;
        // What is turned over is so as it is packed.
        if (contract_roles(p, kernel, {bits, false}).turned && !c.schedule.packed) continue;
        const std::string schedule =
            fmt::format("{}x{} by {} packed {}, {} bits", c.schedule.rows, c.schedule.vectors,
                        c.schedule.k_block, c.schedule.packed, bits);
        CAPTURE(schedule);
        const Compiled code = compiled_with(g, c.schedule, bits);
        for (const int n : {1, 47, 70}) {
          CAPTURE(n);
          const auto inputs = sample_values(g, -1, 1, n, 7);
          std::vector<Tensor> got = code.run(inputs);
          CHECK(same_bits(code.run(inputs, 3)[0], got[0]));
          if (!first.contains(n)) {
            CHECK(compiled_distance(code, inputs) <= (s.element == std::string("f64") ? 1e-14
                                                      : is_bf16                       ? 1e-5
                                                                                      : 3e-6));
            first[n] = std::move(got);
          } else {
            CHECK(same_bits(got[0], first[n][0]));
          }
        }
      }
    }
  }
}

TEST_CASE("what the cost model prefers") {
  const auto best = [](const Shape3& s, const VectorUnit& unit) {
    const loop::Program p = lowered(graph_of_shape(s));
    const loop::ContractSchedule c = contract_schedule(p, contraction_of(p), unit);
    return fmt::format("{}x{}{}{}", c.rows, c.vectors,
                       c.k_block > 0 ? fmt::format(" by {}", c.k_block) : "",
                       c.packed ? " packed" : "");
  };
  SUBCASE("with vectors of 512 bits") {
    const VectorUnit unit{512};
    CHECK(best({"512", "512", "512"}, unit) == "6x4");
    CHECK(best({"1024", "1024", "1024"}, unit) == "6x4");
    CHECK(best({"2048", "2048", "2048"}, unit).starts_with("6x4 by 512"));
    CHECK(best({"256", "784", "256"}, unit) == "6x4");
    CHECK(best({"32", "256", "1024"}, unit) == "8x3");
    CHECK(best({"N", "256", "1024"}, unit) == "8x3");  // a batch is seldom a multiple of 6
    CHECK(best({"784", "N", "256", "km", "kn"}, unit) == "6x4 by 256");
    CHECK(best({"N", "784", "10"}, unit) == "12x1");
    CHECK(best({"1", "256", "256"}, unit) == "1x16");
  }
  SUBCASE("with 256 bits, on a core with half a megabyte") {
    VectorUnit unit{256};
    unit.core.l2_way = 65536;
    CHECK(best({"64", "64", "64"}, unit) == "4x3");
    CHECK(best({"256", "784", "256"}, unit) == "4x3 by 512 packed");
    CHECK(best({"1024", "1024", "1024"}, unit) == "4x3 by 512 packed");
    CHECK(best({"32", "1024", "256"}, unit) == "6x2");                // too few rows to pack for
    CHECK(best({"32", "256", "1024"}, unit) == "4x3 by 256 packed");  // but these are pages apart
    CHECK(best({"N", "256", "256"}, unit) == "4x3 by 512 packed");
    // U is copied beside blocks of V, so these are shorter.
    CHECK(best({"256", "784", "256", "km", "kn"}, unit) == "4x3 by 256 packed");
    CHECK(best({"784", "N", "256", "km", "kn"}, unit) == "4x3 by 128 packed");
    CHECK(best({"256", "N", "1024", "km", "kn"}, unit) == "4x3 by 128 packed");
    CHECK(best({"N", "784", "10"}, unit) == "6x2");
  }
}

TEST_CASE("a unit for matrices takes what is clearly faster on it") {
  const auto parts = [](const Shape3& s, bool has_unit = true) {
    const loop::Program p = lowered(graph_of_shape(s));
    Core server;  // none has the unit that does not do two multiply-adds a cycle
    server.wide_fma = 2;
    const ContractRoles r = contract_roles(p, contraction_of(p), {512, true, has_unit, server});
    return r.matrices ? r.parts : 0;
  };
  CHECK(parts({"512", "512", "512"}) == 3);
  CHECK(parts({"512", "512", "512"}, false) == 0);
  CHECK(parts({"N", "784", "256"}) == 3);
  CHECK(parts({"784", "N", "256", "km", "kn"}) == 3);  // a weight gradient
  CHECK(parts({"N", "256", "256", "mk", "nk"}) == 3);  // an input gradient
  CHECK(parts({"N", "256", "10"}) == 0);               // a head
  CHECK(parts({"64", "64", "64"}) == 0);               // copies would cost too much
  CHECK(parts({"N", "1025", "70", "mk", "kn", "bf16"}) == 1);
  CHECK(parts({"N", "512", "512", "mk", "kn", "f64"}) == 0);
}
