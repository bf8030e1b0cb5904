#pragma once
// Runs the built `dlc` as a user would.
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/temp_dir.h"

struct Finished {
  int exit_code;
  std::string out, err;
};
/// `dlc ARGS...` in the source directory.
Finished dlc_command(const std::vector<std::string>& args);

/// The same, ended with SIGKILL after so long; the exit code where it had finished by itself.
std::optional<int> dlc_killed_after(const std::vector<std::string>& args,
                                    std::chrono::microseconds time);

inline std::string example(const std::string& name) {
  return std::string(DLC_SOURCE_DIR) + "/examples/" + name;
}
