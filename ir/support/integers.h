#pragma once
// Integers in whole parts.
#include <cstdint>

namespace dlc {

/// How many parts of `by` hold `x`; both positive, or x zero.
constexpr std::int64_t ceil_div(std::int64_t x, std::int64_t by) { return (x + by - 1) / by; }
/// The next multiple of `to`.
constexpr std::int64_t round_up(std::int64_t x, std::int64_t to) { return ceil_div(x, to) * to; }

}  // namespace dlc
