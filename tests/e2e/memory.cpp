// What a process holds at its peak.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/e2e/process.h"

namespace {

double peak_mib(const std::vector<std::string>& more) {
  std::vector<std::string> args{
      "bench", example("softmax_regression.dl"), "--seconds", "0.01", "--json", "--threads", "1"};
  args.insert(args.end(), more.begin(), more.end());
  const Finished f = dlc_command(args);
  REQUIRE_MESSAGE(f.exit_code == 0, f.err);
  return nlohmann::json::parse(f.out).at("peak_rss_mib").get<double>();
}

}  // namespace

// The sanitizers keep what is freed.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_CASE("LLVM and the data are not in memory at the same time") {
  peak_mib({});  // compiles, unless the code is cached already
  const double rows = 60000.0 * 784 / (1 << 20), warm = peak_mib({}),
               cold = peak_mib({"--no-cache"});
  CHECK(warm < rows + 40);
  CHECK(cold < rows + 60);  // LLVM alone takes some 65 MiB
}
#endif
