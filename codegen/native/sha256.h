#pragma once
// SHA-256 (FIPS 180-4).
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace dlc {

using Digest = std::array<std::uint8_t, 32>;
Digest sha256(std::string_view bytes);
std::string hex(const Digest& d);

}  // namespace dlc
