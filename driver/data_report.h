#pragma once
// What is in a data set, found by reading all of it.
#include "driver/api/workspace.h"

namespace dlc {

/// For each split its rows, its files with what is missing in them, and each column's range, mean,
/// and classes. UserError: what training on it would refuse, by file and row.
void print_data(const Compilation& c, std::int64_t seed, ThreadPool& pool);

}  // namespace dlc
