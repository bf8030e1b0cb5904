#pragma once
// Patterns that name several paths: "conv2d_*", "*.b".
#include <string_view>

namespace dlc {

/// Whether all of `text` fits: `*` is any run of characters, `?` any one.
constexpr bool fits_pattern(std::string_view pattern, std::string_view text) {
  // The last `*` seen takes one character more whenever what follows it does not fit.
  std::size_t p = 0, t = 0, star = std::string_view::npos, taken = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      taken = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p, ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++taken;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace dlc
