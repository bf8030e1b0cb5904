#pragma once
// The files of frontend/std, embedded at build time (cmake/embed.cmake).
#include <string>
#include <vector>

namespace dlc {

struct StdFile {
  std::string name;  // "layers.dl"
  std::string text;
};
const std::vector<StdFile>& std_files();

}  // namespace dlc
