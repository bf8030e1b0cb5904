#pragma once
// Integers of the data that a model takes for places: labels of classes, tokens of a vocabulary.
#include <map>
#include <string>

#include "driver/api/compile.h"
#include "runtime/rows.h"

namespace dlc {

/// How many different ones a program tells apart, 0 to size - 1, and where it says so.
struct IndexBound {
  std::int64_t size;
  Loc loc;
};
/// By input or target. A comparison with 0, 1, ..., n - 1 (one_hot, cross_entropy) or a row of a
/// table (embedding) makes an input one; what is computed from it does not count.
std::map<std::string, IndexBound> index_bounds(const Graph& g);

/// A UserError that names the file or column and the row of the first value outside.
void check_indices(const Module& m, const DataSplit& split, const Rows& rows);

}  // namespace dlc
