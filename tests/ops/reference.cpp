// docs/ir.md: its table of operations is the registry's, its examples parse and lower as it says.
// DLC_UPDATE=1 rewrites the generated parts.
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>

#include "ir/graph/text.h"
#include "passes/lower/lower.h"
#include "passes/pass_manager.h"
#include "tests/support/files.h"
#include "tests/support/samples.h"
#include "tests/support/text.h"

using namespace dlc;

namespace {

const std::string kPath = std::string(DLC_SOURCE_DIR) + "/docs/ir.md";
constexpr std::string_view kTableBegin =
    "<!-- operations: from the definitions in ir/ops; rewrite with DLC_UPDATE=1 build/.../test_ops "
    "-->\n";
constexpr std::string_view kTableEnd = "<!-- end of operations -->";

std::string gradient_text(const OpDef& def) {
  if (const auto* zero = std::get_if<ZeroGradient>(&def.gradient))
    return fmt::format("zero: {}", zero->why);
  if (const auto* none = std::get_if<NotDifferentiable>(&def.gradient))
    return fmt::format("none: {}", none->why);
  return "yes";
}

std::string lowering_text(const OpDef& def) {
  constexpr std::string_view kNames[] = {"elementwise", "view",    "generated", "reduction",
                                         "contraction", "scatter", "never"};
  return std::string(kNames[def.lowering.index()]);
}

std::string table() {
  std::string out =
      "| operation | result, and {attributes} | gradient | lowered as |\n|---|---|---|---|\n";
  for (const Op op : all_ops()) {
    const OpDef& def = op_def(op);
    std::string doc(def.doc);
    for (std::size_t at = 0; (at = doc.find('|', at)) != std::string::npos; at += 2)
      doc.insert(at, "\\");
    out += fmt::format("| `{}` | {} | {} | {} |\n", def.name, doc, gradient_text(def),
                       lowering_text(def));
  }
  return out;
}

/// A fenced block: its kind, and where its text begins and ends in the page.
struct Block {
  std::string kind;
  std::size_t begin, end;
};

std::vector<Block> blocks(const std::string& text) {
  std::vector<Block> result;
  std::size_t at = 0;
  while ((at = text.find("\n```", at)) != std::string::npos) {
    const std::size_t line_end = text.find('\n', at + 4);
    const std::size_t close = text.find("```", line_end);
    REQUIRE(close != std::string::npos);
    result.push_back({text.substr(at + 4, line_end - at - 4), line_end + 1, close});
    at = close + 3;
  }
  return result;
}

std::string lowered(const Graph& g) {
  loop::Program p =
      lower(run_passes(g, default_pipeline(PipelineEnd::Fused, false), {.verify = true}));
  run_loop_passes(p, true);
  return loop::print(p);
}

/// The page with its generated parts made anew.
std::string renewed(std::string text) {
  const std::size_t begin = text.find(kTableBegin), end = text.find(kTableEnd);
  REQUIRE(begin != std::string::npos);
  REQUIRE(end != std::string::npos);
  text.replace(begin + kTableBegin.size(), end - begin - kTableBegin.size(), table());
  const std::vector<Block> all = blocks(text);
  for (std::size_t k = all.size(); k-- > 1;)
    if (all[k].kind == "kernels") {
      REQUIRE(all[k - 1].kind == "ir");
      const Graph g = graph_of(text.substr(all[k - 1].begin, all[k - 1].end - all[k - 1].begin));
      text.replace(all[k].begin, all[k].end - all[k].begin, lowered(g));
    }
  return text;
}

}  // namespace

TEST_CASE("docs/ir.md says what is so") {
  const std::string text = read_all(kPath), now = renewed(text);
  if (text != now && std::getenv("DLC_UPDATE")) {
    std::ofstream(kPath) << now;
    MESSAGE("rewrote ", kPath);
    return;
  }
  INFO("DLC_UPDATE=1 rewrites the generated parts of ", kPath);
  CHECK(text == now);
}

TEST_CASE("the examples of docs/ir.md parse, verify, print back and compile") {
  const std::string text = read_all(kPath);
  int examples = 0;
  for (const Block& b : blocks(text)) {
    if (b.kind != "ir") continue;
    const std::string example = text.substr(b.begin, b.end - b.begin);
    CAPTURE(example);
    const Graph g = graph_of(example);
    CHECK(round_trip_error(g) == "");
    CHECK_NOTHROW(lowered(g));
    // Printed as it stands there, but for the comment.
    std::string printed = print(g);
    CHECK(example.ends_with(printed));
    ++examples;
  }
  CHECK(examples >= 3);
}
