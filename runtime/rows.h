#pragma once
// The rows of a data split as programs read them.
#include <cstdint>
#include <map>
#include <string>

#include "runtime/tensor.h"

namespace dlc {

/// The columns of a data split by the names of the model's inputs; equal numbers of rows. A model
/// without inputs trains without data: rows 0.
struct Rows {
  TensorMap columns;
  std::int64_t count = 0;
  /// Above 0: the rows are sequences of so many tokens of the text `columns["rows.text"]`, and of
  /// the token after them. What is trained on begins anywhere in it.
  std::int64_t steps = 0;
  std::map<std::string, std::int64_t> extents;  // of symbols that no column gives
};

}  // namespace dlc
