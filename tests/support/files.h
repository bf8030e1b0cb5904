#pragma once
// Whole files, for tests.
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

inline std::string read_all(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}
