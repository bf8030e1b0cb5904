#include "driver/api/files.h"

#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "ir/support/check.h"

namespace dlc {

std::string read_text(const std::string& path) {
  std::ostringstream text;
  if (path == "-") {
    text << std::cin.rdbuf();
    return text.str();
  }
  std::error_code error;
  if (std::filesystem::is_directory(path, error))
    throw UserError(fmt::format("{}: is a directory, a file is expected", path));
  std::ifstream in(path, std::ios::binary);
  if (!in || !(text << in.rdbuf())) throw UserError(fmt::format("{}: cannot be read", path));
  return text.str();
}

}  // namespace dlc
