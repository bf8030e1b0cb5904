#include "ir/graph/gradient_path.h"

#include <doctest/doctest.h>

#include "tests/support/text.h"

using namespace dlc;

namespace {

Value named(const Graph& g, std::string_view name) {
  for (std::uint32_t id = 0; id < g.nodes.size(); ++id)
    if (g.nodes[id].name == name) return Value{id};
  FAIL("no node of that name");
  return {};
}

std::size_t obstacles(const char* text) {
  const Graph g = graph_of(text);
  return find_gradient_obstacles(g, named(g, "y"), named(g, "x")).size();
}

}  // namespace

TEST_CASE("which nodes lie between x and y") {
  const Graph g = graph_of(R"(graph g {
    %x: f32[2] = input input
    %z: f32[2] = input input
    %a: f32[2] = exp %x
    %b: f32[2] = exp %z
    %y: f32[2] = add %a, %b
    %c: f32[2] = neg %a
  })");
  const std::vector<bool> between = nodes_between(g, named(g, "x"), named(g, "y"));
  CHECK(between == std::vector<bool>{true, false, true, false, true, false});
}

TEST_CASE("operations that give no floats end a path; they are no obstacle") {
  CHECK(obstacles(R"(graph g {
    %x: f32[2] = input input
    %i: i32[] = argmax %x {axis = 0}
    %y: f32[] = gather %x, %i {axis = 0}
  })") == 0);
  CHECK(obstacles(R"(graph g {
    %x: f32[2] = input input
    %c: bool[2] = lt %x, %x
    %y: f32[2] = select %c, %x, %x
  })") == 0);
  CHECK(obstacles(R"(graph g {
    %x: f32[2] = input input
    %f: f32[2] = floor %x
    %y: f32[2] = mul %f, %x
  })") == 0);
}

TEST_CASE("asking for the gradient of something that is no float is one") {
  const Graph g = graph_of(R"(graph g {
    %x: f32[2] = input input
    %y: i32[] = argmax %x {axis = 0}
  })");
  const auto found = find_gradient_obstacles(g, named(g, "y"), named(g, "x"));
  REQUIRE(found.size() == 1);
  CHECK(found[0].node == named(g, "y"));
  CHECK(found[0].why == "its result is an integer");
}

TEST_CASE("a gradient of a gradient is fine") {
  CHECK(obstacles(R"(graph g {
    %x: f64[] = input input
    %c: f64[] = mul %x, %x
    %d: f64[] = grad %c, %x
    %y: f64[] = mul %d, %d
  })") == 0);
}
