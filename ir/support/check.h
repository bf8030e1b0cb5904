#pragma once
// Internal invariants. A failed DLC_CHECK is a bug in dlc, never a mistake of the user: it throws
// InternalError, which the driver reports as such. User mistakes are Diagnostics (diagnostics.h).
#include <fmt/format.h>

#include <stdexcept>
#include <string>

namespace dlc {

struct InternalError : std::logic_error {
  using std::logic_error::logic_error;
};

/// A mistake of the user that is not in a model file: a bad path, bad data, a bad option value.
struct UserError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace dlc

/// Throws InternalError with the formatted message unless `cond` holds.
#define DLC_CHECK(cond, ...)                                                       \
  do {                                                                             \
    if (!(cond))                                                                   \
      throw ::dlc::InternalError(                                                  \
          fmt::format("{}:{}: {}", __FILE__, __LINE__, fmt::format(__VA_ARGS__))); \
  } while (false)
