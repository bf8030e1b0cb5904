#pragma once

namespace dlc {

inline constexpr const char* kVersion = "dlc 0.1.0";

}  // namespace dlc
