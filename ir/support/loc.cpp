#include "ir/support/loc.h"

#include <mutex>
#include <unordered_set>

namespace dlc {

namespace {

/// The one copy of a name, which stays.
const std::string* only(const std::string& name) {
  static std::mutex mutex;
  static std::unordered_set<std::string> names;
  const std::scoped_lock lock(mutex);
  return &*names.insert(name).first;
}

}  // namespace

Loc::Loc(const std::string& file, int at_line, int at_column)
    : line(at_line), column(at_column), file_(file.empty() ? nullptr : only(file)) {}

const std::string& Loc::file() const {
  static const std::string unknown;
  return file_ ? *file_ : unknown;
}

}  // namespace dlc
