// Wrong programs, one for each kind of mistake, with their messages. DLC_UPDATE=1 writes the
// messages anew, to be read before they are committed.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "frontend/frontend.h"
#include "ir/support/check.h"
#include "tests/support/files.h"

using namespace dlc;
namespace fs = std::filesystem;

namespace {

const fs::path kFolder = fs::path(DLC_SOURCE_DIR) / "tests/errors";

std::vector<fs::path> programs() {
  std::vector<fs::path> result;
  for (const auto& entry : fs::directory_iterator(kFolder))
    if (entry.path().extension() == ".dl") result.push_back(entry.path());
  std::sort(result.begin(), result.end());
  return result;
}

/// Stands for the readers: any file but those called missing is a table of 100 rows.
Type probe(const FileSource& file) {
  if (file.path.starts_with("missing"))
    throw UserError(
        fmt::format("`{}` is not there; install the package or give --data DIR", file.path));
  return {ElementType::F32, {Dim(100), Dim(4)}};
}

std::string messages(const fs::path& program) {
  Sources sources;
  Diagnostics diagnostics;
  // A relative name, so that the messages do not depend on where the source tree is.
  const int source = sources.add(program.filename().string(), read_all(program));
  FrontendOptions options;
  options.probe = probe;
  compile_source(sources, source, options, diagnostics);
  return diagnostics.empty() ? "" : diagnostics.render(sources, false);
}

}  // namespace

TEST_CASE("each wrong program has its message") {
  const bool update = std::getenv("DLC_UPDATE") != nullptr;
  for (const fs::path& program : programs()) {
    fs::path golden = program;
    golden.replace_extension(".txt");
    const std::string got = messages(program);
    CAPTURE(program.filename().string());
    CHECK(!got.empty());
    if (update) std::ofstream(golden, std::ios::binary) << got;
    CHECK(got == read_all(golden));
  }
}

TEST_CASE("there is a wrong program for every kind of mistake, and it is named after the kind") {
  std::vector<std::string> seen;
  for (const fs::path& program : programs()) {
    const std::string name = program.stem().string();
    const std::string kind = name.substr(0, name.find('.'));
    CHECK_MESSAGE(messages(program).find("[" + kind + "]") != std::string::npos, name);
    seen.push_back(kind);
  }
#define DLC_DIAGNOSTIC(id, doc) \
  CHECK_MESSAGE(std::find(seen.begin(), seen.end(), #id) != seen.end(), "no program for ", #id);
#include "ir/support/diagnostics.def"
#undef DLC_DIAGNOSTIC
}
