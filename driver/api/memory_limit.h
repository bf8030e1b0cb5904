#pragma once
// --mem-limit: a program whose intermediates take more than a limit computes some of them anew, or
// the user learns what is in the way and what would fit.
#include <cstdint>
#include <string>

#include "frontend/frontend.h"
#include "passes/loop/fit.h"

namespace dlc {

struct MemoryLimit {
  std::string text;  // as the user gave it
  std::int64_t bytes = 0;
  std::int64_t batch = 1;  // what every symbol counts as that `extents` does not name
  Extents extents;
};

/// "64MiB", "1.5GiB", "100kB" or a number of bytes; a UserError that names `option` for all else.
std::int64_t parse_bytes(const std::string& text, const std::string& option);

/// The extents that a split's columns give to axes other than the rows of a program's inputs.
Extents extents_in(const Graph& g, const DataSplit& split);

/// The limit for program `g` on batches of `batch` rows, or of all rows of `split` if they are
/// fewer; `split` may be null. Its columns give the extents of axes other than the rows.
MemoryLimit memory_limit(const std::string& text, const Graph& g, const DataSplit* split,
                         std::int64_t batch);

/// Makes the arena of the planned program `p` fit; returns how many kernels are computed again. A
/// UserError says why it cannot be, and what could.
int apply_memory_limit(loop::Program& p, const MemoryLimit& limit);

}  // namespace dlc
