#pragma once
#include <cstdint>

namespace dlc {

inline constexpr std::uint64_t kGolden = 0x9E3779B97F4A7C15;

/// The finaliser of splitmix64: a bijection whose output bits all depend on all input bits.
inline std::uint64_t mix(std::uint64_t v) {
  v = (v ^ v >> 30) * 0xBF58476D1CE4E5B9;
  v = (v ^ v >> 27) * 0x94D049BB133111EB;
  return v ^ v >> 31;
}

}  // namespace dlc
