#pragma once
// Whole files, and what they hold, for tests.
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

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}
