#pragma once
// Where in a model file something comes from. Nodes carry it through every pass, so that dumps,
// errors and kernels can name the source line.
#include <string>

namespace dlc {

class Loc {
 public:
  Loc() = default;
  Loc(const std::string& file, int line, int column);

  /// As the user named it; empty when unknown. One text for all that come from it, so that a copy
  /// of a place is three words.
  const std::string& file() const;

  int line = 0;    // from 1
  int column = 0;  // from 1, in bytes

  bool known() const { return line > 0; }
  bool operator==(const Loc&) const = default;

 private:
  const std::string* file_ = nullptr;  // of all names, each of which is there once
};

}  // namespace dlc
