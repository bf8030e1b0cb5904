#pragma once
// Tensors as short text for a terminal.
#include <string>
#include <string_view>
#include <vector>

#include "runtime/tensor.h"

namespace dlc {

/// Nested lists, with `...` in the middle of long axes: "[[2, -3.4]]".
std::string show(const Tensor& t, int max_per_axis = 8);
/// Rows of cells as lines with columns two blanks apart; `alignment` has a `<` or a `>` for each.
std::vector<std::string> aligned_lines(const std::vector<std::vector<std::string>>& rows,
                                       std::string_view alignment);
/// "203,530"
std::string with_commas(std::int64_t n);

}  // namespace dlc
