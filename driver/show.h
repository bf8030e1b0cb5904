#pragma once
// Tensors as short text for a terminal.
#include <string>

#include "runtime/tensor.h"

namespace dlc {

/// Nested lists, with `...` in the middle of long axes: "[[2, -3.4]]".
std::string show(const Tensor& t, int max_per_axis = 8);
/// "203,530"
std::string with_commas(std::int64_t n);

}  // namespace dlc
