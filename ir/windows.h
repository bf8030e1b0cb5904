#pragma once
// How the axes of a windowed einsum are indexed, as the attributes of `conv` write it:
// "nc(2h+i-1)(2w+j-1)" has two axes that a letter names and two that a window runs over.
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/types.h"

namespace dlc {

/// The index of one axis: `at` alone, or step * at + dilation * tap + offset.
struct AxisIndex {
  char at;
  char tap = 0;  // 0: no window
  std::int64_t step = 1, dilation = 1, offset = 0;

  bool is_window() const { return tap != 0; }
  bool operator==(const AxisIndex&) const = default;
};
using AxisIndices = std::vector<AxisIndex>;

/// nullopt for what is not of this form; steps and dilations are at least 1.
std::optional<AxisIndices> parse_axis_indices(std::string_view text);
/// The inverse.
std::string axis_indices_str(const AxisIndices& axes);
/// Notes the extents of the axes that a letter names alone.
void note_extents(const AxisIndices& axes, const Shape& shape, std::map<char, Dim>& extents);
/// The letters in the order of the axes; of a window `at`.
std::string at_letters(const AxisIndices& axes);

}  // namespace dlc
