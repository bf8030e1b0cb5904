// The files tests/graph/passes/<pass>/<case>.ir: a graph, the passes to run on it, and what their
// output must look like (tests/support/check_lines.h).
#include <doctest/doctest.h>

#include <filesystem>
#include <map>

#include "ir/graph/text.h"
#include "passes/lower/lower.h"
#include "tests/support/check_lines.h"
#include "tests/support/files.h"
#include "tests/support/text.h"

using namespace dlc;
namespace fs = std::filesystem;

namespace {

const fs::path kFolder = fs::path(DLC_SOURCE_DIR) / "tests/graph/passes";

std::vector<fs::path> case_files() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(kFolder))
    if (entry.path().extension() == ".ir") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

TEST_CASE("each file under tests/graph/passes checks out") {
  for (const fs::path& path : case_files()) {
    const std::string name = fs::relative(path, kFolder).string();
    try {
      const std::string text = read_all(path);
      const CheckFile file = parse_check_lines(text);
      const Graph before = graph_of(text);
      if (!find_loop_pass(file.passes.back()))
        CHECK(round_trip_error(run_passes(before, file.passes, {.verify = true})) == "");
      const std::string after = run_passes_to_text(before, file.passes, {.verify = true});
      if (const std::string failed = failed_check(file, after); !failed.empty())
        FAIL_CHECK(name, ": ", failed);
    } catch (const std::exception& e) {
      FAIL_CHECK(name, ": ", std::string(e.what()));
    }
  }
}

TEST_CASE("every pass has its cases") {
  std::map<std::string, int> counts;
  for (const fs::path& path : case_files()) ++counts[path.parent_path().filename().string()];
  for (const GraphPass& pass : graph_passes()) {
    CAPTURE(pass.name);
    CHECK(!pass.doc.empty());
    CHECK(counts[std::string(pass.name)] >= (pass.name == "simplify" ? 8 : 4));
    counts.erase(std::string(pass.name));
  }
  for (const LoopPass& pass : loop_passes()) {
    CAPTURE(pass.name);
    CHECK(counts[std::string(pass.name)] >= 4);
    counts.erase(std::string(pass.name));
  }
  CHECK(counts.empty());  // a folder that is no pass
}

TEST_CASE("the checker itself") {
  const auto failed = [](const std::string& checks, const std::string& output) {
    return failed_check(parse_check_lines("# RUN: dce\n" + checks), output);
  };
  CHECK(failed("# CHECK: b\n# CHECK: c\n", "a\nb\nc\n") == "");
  CHECK(failed("# CHECK: c\n# CHECK: b\n", "a\nb\nc\n").starts_with("line 3: CHECK: b\nnot found"));
  CHECK(failed("# CHECK: a\n# CHECK-NEXT: b\n", "a\nb\nc\n") == "");
  CHECK(failed("# CHECK: a\n# CHECK-NEXT: c\n", "a\nb\nc\n") != "");
  CHECK(failed("# CHECK: a\n# CHECK-NOT: b\n# CHECK: c\n", "a\nb\nc\n") != "");
  CHECK(failed("# CHECK: b\n# CHECK-NOT: a\n", "a\nb\nc\n") == "");
  CHECK(failed("# CHECK: x[{{[0-9]+}}] = (1)\n", "x[12] = (1)\n") == "");
  CHECK(failed("# CHECK: x[{{[0-9]+}}]\n", "x[k]\n") != "");
  CHECK_THROWS(parse_check_lines("# CHECK: a\n"));
  CHECK_THROWS(parse_check_lines("# RUN: dce\n"));
}

TEST_CASE("the pass manager: order, disabling, timings, dumps, errors") {
  const Graph g = graph_of(
      "graph g { %x: f32[2] = input input %z: f32[] = constant 0.0 "
      "%b: f32[2] = broadcast %z {shape = (2), dims = []} %y: f32[2] = add %x, %b "
      "output output \"y\" = %y }");
  std::vector<std::string> seen;
  std::vector<PassTiming> timings;
  PassOptions options;
  options.verify = true;
  options.disabled = {"cse"};
  options.timings = &timings;
  options.after_each = [&](std::string_view pass, const Graph&) { seen.emplace_back(pass); };
  const Graph after = run_passes(g, {"simplify", "cse", "dce"}, options);
  CHECK(seen == std::vector<std::string>{"simplify", "dce"});
  CHECK(timings.size() == 2);
  CHECK(after.nodes.size() == 1);
  CHECK_THROWS_WITH_AS(run_passes(g, {"simplify", "frobnicate"}, {}),
                       doctest::Contains("there is no pass `frobnicate`"), UserError);
  CHECK(find_graph_pass("cse") != nullptr);
  CHECK(find_graph_pass("no") == nullptr);
  for (const PipelineEnd end : {PipelineEnd::Backward, PipelineEnd::Optimized, PipelineEnd::Fused})
    for (const bool gather : {false, true})
      for (const std::optional<ElementType> mixed :
           {std::optional<ElementType>(), std::optional(ElementType::BF16),
            std::optional(ElementType::F16)})
        for (const std::string& name : default_pipeline(end, gather, mixed))
          CHECK(find_graph_pass(name) != nullptr);
}

TEST_CASE("what goes wrong inside a pass names the pass and shows its graph") {
  Graph g =
      graph_of("graph g { %x: f32[2] = input input %y: f32[2] = neg %x output output \"y\" = %y }");
  g.nodes[1].type.shape = {Dim(3)};
  CHECK_THROWS_WITH_AS(run_passes(g, {"dce", "simplify"}, {.verify = true}),
                       doctest::Contains("in pass"), InternalError);
}
