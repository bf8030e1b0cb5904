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

/// ThreadSanitizer runs the handlers of signals at system calls only, and a compiled loop over
/// steps makes none.
#ifdef __SANITIZE_THREAD__
inline constexpr bool kSignalsWait = true;
#else
inline constexpr bool kSignalsWait = false;
#endif

/// The same, ended with SIGKILL after so long; the exit code where it had finished by itself.
std::optional<int> dlc_killed_after(const std::vector<std::string>& args,
                                    std::chrono::microseconds time);

inline std::string example(const std::string& name) {
  return std::string(DLC_SOURCE_DIR) + "/examples/" + name;
}
