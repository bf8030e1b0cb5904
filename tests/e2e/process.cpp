#include "tests/e2e/process.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

std::string read_all(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

TempDir::TempDir() {
  std::string name = (std::filesystem::temp_directory_path() / "dlc_test_XXXXXX").string();
  REQUIRE(mkdtemp(name.data()) != nullptr);
  dir_ = name;
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(dir_, ignored);
}

std::string TempDir::write(const std::string& file, const std::string& text) const {
  std::ofstream(path(file), std::ios::binary) << text;
  return path(file);
}

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
