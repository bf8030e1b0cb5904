#pragma once
// Where in a model file something comes from. Nodes carry it through every pass, so that dumps,
// errors and kernels can name the source line.
#include <string>

namespace dlc {

struct Loc {
  std::string file;  // as the user named it; empty when unknown
  int line = 0;      // from 1
  int column = 0;    // from 1, in bytes

  bool known() const { return line > 0; }
  bool operator==(const Loc&) const = default;
};

}  // namespace dlc
