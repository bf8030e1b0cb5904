#pragma once
// What a training run writes down.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/e2e/process.h"

/// Trains with these arguments, which must succeed; the last line of the log.
inline nlohmann::json train(std::vector<std::string> args) {
  TempDir dir;
  args.insert(args.begin(), "train");
  args.insert(args.end(), {"--log", dir.path("run.jsonl")});
  const Finished f = dlc_command(args);
  REQUIRE_MESSAGE(f.exit_code == 0, f.out, f.err);
  std::istringstream lines(read_all(dir.path("run.jsonl")));
  std::string line, last;
  while (std::getline(lines, line))
    if (!line.empty()) last = line;
  return nlohmann::json::parse(last);
}
