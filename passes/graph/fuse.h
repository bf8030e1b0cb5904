#pragma once
// Why kernels stayed apart, for `dlc dump --why`.
#include <string>
#include <vector>

#include "ir/graph/graph.h"

namespace dlc {

struct FusionBarrier {
  int from, to;        // the numbers that `fuse` gives the two kernels
  bool reads;          // `to` reads a result of `from`; otherwise it just comes next
  Loc loc;             // of the node that could not join
  std::string reason;  // a sentence without a full stop
};
/// For each two kernels of which one reads the other's result or comes right after it. `g` is what
/// `fuse` takes.
std::vector<FusionBarrier> fusion_barriers(const Graph& g);

}  // namespace dlc
