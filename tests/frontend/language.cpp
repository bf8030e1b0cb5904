// docs/language.md is true: every example compiles, and the table of primitives is the compiler's
// own. DLC_UPDATE=1 writes the table anew.
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "frontend/frontend.h"
#include "frontend/sema/evaluator.h"
#include "tests/support/files.h"

using namespace dlc;

namespace {

const std::string kPage = std::string(DLC_SOURCE_DIR) + "/docs/language.md";

struct Example {
  int line;
  std::string text;
};

/// The fenced blocks marked `dl`; the statements of those marked `dl model` in a model.
std::vector<Example> examples(const std::string& page) {
  std::vector<Example> result;
  std::istringstream lines(page);
  std::string line;
  bool inside = false, in_model = false;
  for (int number = 1; std::getline(lines, line); ++number) {
    if (!inside && (line == "```dl" || line == "```dl model")) {
      inside = true;
      in_model = line == "```dl model";
      result.push_back({number, in_model ? "model example {\n" : "\n"});
    } else if (inside && line == "```") {
      inside = false;
      if (in_model) result.back().text += "}\n";
    } else if (inside) {
      result.back().text += line + "\n";
    }
  }
  return result;
}

std::string primitives_table() {
  std::string out = "| function | |\n|---|---|\n";
  for (const sema::Builtin& b : sema::builtins()) {
    std::string doc;
    for (const char* c = b.doc; *c; ++c) doc += *c == '|' ? std::string("\\|") : std::string(1, *c);
    out += fmt::format("| `{}({})` | {} |\n", b.name, fmt::join(b.parameters, ", "), doc);
  }
  return out;
}

}  // namespace

TEST_CASE("every example of the language page compiles") {
  const std::vector<Example> all = examples(read_all(kPage));
  CHECK(all.size() >= 15);
  for (const Example& e : all) {
    Sources sources;
    Diagnostics diagnostics;
    const int source = sources.add(fmt::format("language.md, line {}", e.line), e.text);
    FrontendOptions options;  // of the files that an example may read, stand-ins
    options.probe = [](const FileSource&) { return Type{ElementType::I32, {Dim(10000)}}; };
    options.count_tokens = [](const FileSource&) -> std::int64_t { return 70; };
    const Module m = compile_source(sources, source, options, diagnostics);
    CHECK_MESSAGE(diagnostics.empty(), diagnostics.render(sources, false));
  }
}

TEST_CASE("the sources on the page of optimisation are the library's") {
  const std::string root = DLC_SOURCE_DIR;
  const std::string page = read_all(root + "/docs/optimisation.md");
  const std::string library = read_all(root + "/frontend/std/optimizers.dl");
  const std::string begin = "```dl std\n", end = "```\n";
  int seen = 0;
  for (std::size_t at = page.find(begin); at != std::string::npos; at = page.find(begin, at)) {
    at += begin.size();
    const std::string source = page.substr(at, page.find(end, at) - at);
    CHECK_MESSAGE(library.find("\n" + source) != std::string::npos, source);
    ++seen;
  }
  CHECK(seen == 17);  // all optimizers, weight decay and the schedules
}

TEST_CASE("the language page lists the primitives as they are") {
  std::string page = read_all(kPage);
  const std::string begin = "<!-- primitives -->\n", end = "<!-- end of primitives -->\n";
  const std::size_t from = page.find(begin), to = page.find(end);
  REQUIRE(from != std::string::npos);
  REQUIRE(to != std::string::npos);
  const std::size_t start = from + begin.size();
  const std::string table = "\n" + primitives_table() + "\n";
  if (std::getenv("DLC_UPDATE")) {
    page.replace(start, to - start, table);
    std::ofstream(kPage, std::ios::binary) << page;
  }
  CHECK(page.substr(start, page.find(end) - start) == table);
}

TEST_CASE("the standard library is documented") {
  for (const StdEntry& e : standard_library()) CHECK_MESSAGE(!e.doc.empty(), e.name);
}
