// --mem-limit: less memory with the same results, or an error that says what to do.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <regex>

#include "tests/e2e/process.h"
#include "tests/support/files.h"

namespace {

const char* kModel = R"(data points {
  x: f32[1000, 16] = uniform(low: -1, high: 1)
  y = x[:, 0:1] * x[:, 1:2]
}
model deep {
  input  x: f32[N, 16]
  target y: f32[N, 1]
  h1 = x |> dense(64) |> gelu |> dropout(0.1)
  h2 = h1 |> dense(64) |> gelu |> dropout(0.1)
  h3 = h2 |> dense(64) |> gelu |> dropout(0.1)
  loss = mean((h3 |> dense(1) - y) ^ 2)
}
train deep on points { optimizer = sgd(lr: 0.01); batch = 256; epochs = 2 }
)";

std::string match(const std::string& text, const std::string& pattern) {
  std::smatch m;
  return std::regex_search(text, m, std::regex(pattern)) ? m[1].str() : "";
}

double intermediates(const std::string& file, const std::vector<std::string>& more) {
  std::vector<std::string> args{"check", file};
  args.insert(args.end(), more.begin(), more.end());
  const Finished f = dlc_command(args);
  REQUIRE_MESSAGE(f.exit_code == 0, f.err);
  return std::stod(match(f.out, "intermediates ([0-9.]+) KiB"));
}

}  // namespace

TEST_CASE("training within a limit gives the same parameters") {
  TempDir dir;
  const std::string file = dir.write("deep.dl", kModel);
  const double whole = intermediates(file, {});
  const std::string limit = fmt::format("{:.0f}KiB", whole * 0.6);
  CHECK(intermediates(file, {"--mem-limit", limit}) <= whole * 0.6 + 1);
  CHECK(contains(dlc_command({"check", file, "--mem-limit", limit}).out, "of them computed again"));
  const Finished free = dlc_command({"train", file, "--save", dir.path("free.safetensors")});
  REQUIRE_MESSAGE(free.exit_code == 0, free.err);
  const Finished fitted = dlc_command({"train", file, "--save", dir.path("fitted.safetensors"),
                                       "--mem-limit", limit, "--threads", "2", "--time-passes"});
  REQUIRE_MESSAGE(fitted.exit_code == 0, fitted.err);
  CHECK(std::regex_search(fitted.err, std::regex("train_step: [1-9][0-9]* kernels? computed again "
                                                 "to fit " +
                                                 limit)));
  CHECK(contains(fitted.err, "\nfit "));
  CHECK(read_all(dir.path("free.safetensors")) == read_all(dir.path("fitted.safetensors")));
}

TEST_CASE("a limit that is not reached changes nothing") {
  TempDir dir;
  const std::string file = dir.write("deep.dl", kModel);
  const auto kernels = [&](std::vector<std::string> args) {
    args.insert(args.begin(), {"dump", file, "--stage", "kernels"});
    const Finished f = dlc_command(args);
    CHECK_MESSAGE(f.exit_code == 0, f.err);
    return f.out;
  };
  const std::string whole = kernels({});
  CHECK(kernels({"--mem-limit", "1GiB"}) == whole);
  CHECK(!contains(whole, "_again"));
  CHECK(contains(kernels({"--mem-limit", "500KiB"}), "_again  @ "));
  const Finished bench = dlc_command({"bench", file, "--seconds", "0.01", "--mem-limit", "500KiB"});
  CHECK_MESSAGE(bench.exit_code == 0, bench.err);
}

TEST_CASE("too little memory: what is in the way, and what would do") {
  TempDir dir;
  const std::string file = dir.write("deep.dl", kModel);
  for (const std::string verb : {"train", "check", "bench"}) {
    const Finished f = dlc_command({verb, file, "--mem-limit", "100KiB"});
    CHECK(f.exit_code == 1);
    CHECK(contains(f.err, "error: train_step needs "));
    CHECK(contains(f.err, " for the intermediates of 256 rows, --mem-limit allows 100KiB\n"));
    CHECK(std::regex_search(f.err, std::regex("computed again it needs [0-9.]+KiB\n")));
    CHECK(contains(f.err, "  alive at the peak, while k"));
    CHECK(
        std::regex_search(f.err, std::regex("\n +64.0KiB  [^ ]+: f32\\[256, 64\\]  .*:[0-9]+\n")));
  }
  const Finished f = dlc_command({"check", file, "--mem-limit", "100KiB"});
  // What the message advises works.
  const std::string limit = match(f.err, "--mem-limit ([0-9.]+KiB) is enough for 256 rows");
  const std::string batch = match(f.err, "; ([0-9]+) rows in a batch fit into 100KiB\n");
  REQUIRE_MESSAGE(!limit.empty(), f.err);
  REQUIRE_MESSAGE(!batch.empty(), f.err);
  CHECK(dlc_command({"check", file, "--mem-limit", limit}).exit_code == 0);
  CHECK(
      dlc_command({"check", file, "--mem-limit", "100KiB", "--set", "batch=" + batch}).exit_code ==
      0);
  const std::string more = std::to_string(std::stoi(batch) + 1);
  CHECK(dlc_command({"check", file, "--mem-limit", "100KiB", "--set", "batch=" + more}).exit_code ==
        1);
  const Finished none = dlc_command({"train", file, "--mem-limit", "10B", "--batch", "7"});
  CHECK(none.exit_code == 1);
  CHECK(contains(none.err, "of 7 rows, --mem-limit allows 10B\n"));
  CHECK(contains(none.err, "; no batch is small enough for 10B\n"));
}

TEST_CASE("sizes") {
  TempDir dir;
  const std::string file = dir.write("deep.dl", kModel);
  for (const std::string good : {"64MiB", "1.5GiB", "900000", "900000B", "2 MiB", "1MB", "900kB"}) {
    const Finished f = dlc_command({"check", file, "--mem-limit", good});
    CHECK_MESSAGE(f.exit_code == 0, good, ": ", f.err);
  }
  for (const std::string bad : {"64XiB", "MiB", "0", "-5MiB", "1e30GiB", "64 mib", "nan", "many"}) {
    const Finished f = dlc_command({"check", file, "--mem-limit=" + bad});
    CHECK(f.exit_code == 1);
    CHECK_MESSAGE(f.err == "error: --mem-limit " + bad +
                               ": a size is expected: 64MiB, 1.5GiB or a number of bytes\n",
                  f.err);
  }
  const Finished graph = dlc_command({"dump", file, "--stage", "graph", "--mem-limit", "1MiB"});
  CHECK(graph.exit_code == 1);
  CHECK(
      graph.err ==
      "error: --mem-limit 1MiB: memory is planned after stage graph; use --stage kernels, llvm or "
      "asm\n");
}
