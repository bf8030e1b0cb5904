#pragma once
// The random generator, as sources.cpp defines it.
#include <cstdint>

namespace dlc::ops {

/// 32 random bits for element `i` of stream `stream` at (seed, step).
std::uint32_t threefry(std::int64_t seed, std::int64_t step, std::int64_t stream, std::int64_t i);

}  // namespace dlc::ops
