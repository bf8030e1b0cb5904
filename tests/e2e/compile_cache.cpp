// The second run of a model finds its code on the disk and never starts LLVM.
#include <doctest/doctest.h>

#include <cstdlib>

#include "tests/e2e/process.h"

namespace {

/// The environment of the commands that a test runs.
struct CacheDirectory {
  explicit CacheDirectory(const std::string& path) {
    if (const char* given = std::getenv("DLC_CACHE_DIR")) old = given;
    setenv("DLC_CACHE_DIR", path.c_str(), 1);
  }
  ~CacheDirectory() {
    old.empty() ? unsetenv("DLC_CACHE_DIR") : setenv("DLC_CACHE_DIR", old.c_str(), 1);
  }
  std::string old;
};

}  // namespace

TEST_CASE("a second run compiles nothing") {
  TempDir dir;
  const CacheDirectory cache(dir.path("cache"));
  const std::vector<std::string> command{"train", example("linear_regression.dl"), "--epochs", "1",
                                         "--time-passes"};
  const Finished first = dlc_command(command), second = dlc_command(command);
  REQUIRE_MESSAGE(first.exit_code == 0, first.err);
  REQUIRE_MESSAGE(second.exit_code == 0, second.err);
  for (const char* row : {"parse and sema", "differentiate", "fuse", "lower", "plan", "total"})
    for (const Finished* f : {&first, &second}) CHECK(contains(f->err, row));
  for (const char* row : {"cache miss", "load LLVM", "emission", "LLVM passes", "code generation",
                          "linking", "cache store"}) {
    CHECK(contains(first.err, row));
    CHECK(!contains(second.err, row));
  }
  CHECK(contains(second.err, "cache hit"));
  // The same losses, whatever the code came from.
  const auto epoch = [](const Finished& f) {
    const std::size_t at = f.out.find("epoch 1");
    REQUIRE(at != std::string::npos);
    return f.out.substr(at, f.out.find("  ", f.out.find("train", at)) - at);
  };
  CHECK(epoch(first) == epoch(second));
  std::vector<std::string> anew = command;
  anew.push_back("--no-cache");
  CHECK(contains(dlc_command(anew).err, "load LLVM"));
}

TEST_CASE("the stages of compiling are timed without compiling to the end, too") {
  const Finished check = dlc_command({"check", example("linear_regression.dl"), "--time-passes"});
  CHECK(check.exit_code == 0);
  CHECK(contains(check.err, "train_step"));
  CHECK(contains(check.err, "fuse"));
  const Finished dump = dlc_command(
      {"dump", example("linear_regression.dl"), "--stage", "optimized", "--time-passes"});
  CHECK(contains(dump.err, "simplify"));
  CHECK(!contains(dump.err, "lower"));
}
