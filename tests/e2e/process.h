#pragma once
// Runs the built `dlc` as a user would, and gives each test a directory of its own.
#include <filesystem>
#include <map>
#include <string>
#include <vector>

struct Finished {
  int exit_code;
  std::string out, err;
};
/// `dlc ARGS...` in the source directory.
Finished dlc_command(const std::vector<std::string>& args);

/// Removed with all it holds when the test ends.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  std::string path(const std::string& file) const { return (dir_ / file).string(); }
  std::string write(const std::string& file, const std::string& text) const;  // returns its path

 private:
  std::filesystem::path dir_;
};

std::string read_all(const std::string& path);
inline std::string example(const std::string& name) {
  return std::string(DLC_SOURCE_DIR) + "/examples/" + name;
}
