#pragma once
// Fits a program's arena into a limit by computing cheap temporaries anew instead of keeping them.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ir/loop/loop.h"

namespace dlc {

using Extents = std::map<std::string, std::int64_t>;  // of every symbol

struct Fitted {
  loop::Program program;  // planned
  std::int64_t arena_bytes = 0;
  int recomputed = 0;  // kernels that run once more than in the given program
};
/// `p` is planned. The result computes the same values, to the bit. When its arena is larger than
/// `limit`, nothing that is known here makes it fit.
Fitted fit_memory(const loop::Program& p, const Extents& extents, std::int64_t limit);

/// The kernel during which most bytes of temporaries are alive, and these, the largest first.
struct MemoryPeak {
  int kernel = -1;
  std::int64_t bytes = 0;
  struct Temporary {
    loop::BufferId buffer;
    std::int64_t bytes;
    int made_by;  // a kernel
  };
  std::vector<Temporary> alive;
};
MemoryPeak memory_peak(const loop::Program& p, const Extents& extents);

}  // namespace dlc
