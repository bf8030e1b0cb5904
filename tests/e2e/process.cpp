#include "tests/e2e/process.h"

#include <doctest/doctest.h>
#include <sys/wait.h>

#include <cstdlib>

Finished dlc_command(const std::vector<std::string>& args) {
  TempDir dir;
  const std::string out = dir.path("out"), err = dir.path("err");
  std::string line = "cd '" DLC_SOURCE_DIR "' && '" DLC_BINARY "'";
  for (const std::string& a : args) {
    line += " '";
    for (const char ch : a) line += ch == '\'' ? std::string("'\\''") : std::string(1, ch);
    line += "'";
  }
  const int status = std::system((line + " >" + out + " 2>" + err + " </dev/null").c_str());
  REQUIRE(WIFEXITED(status));
  return {WEXITSTATUS(status), read_all(out), read_all(err)};
}
