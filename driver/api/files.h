#pragma once
// Text files for the verbs: reading with a clear error, writing atomically.
#include <string>

namespace dlc {

std::string read_text(const std::string& path);  // "-" is standard input

}  // namespace dlc
