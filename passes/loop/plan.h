#pragma once
// Places of a program's temporaries in one arena.
#include <vector>

#include "passes/loop/accesses.h"

namespace dlc {

struct Place {
  loop::BufferId buffer;
  Dim offset;                       // bytes
  loop::BufferId in_place_of = -1;  // the temporary whose memory it takes over
};
struct MemoryPlan {
  std::vector<Place> places;
  Dim arena_bytes;
};

/// From which kernel to which each buffer lives (-1: never): what is touched inside and outside of
/// a loop lives as long as the loop runs.
void extend_over_loops(const std::vector<loop::Loop>& loops, std::vector<int>& first,
                       std::vector<int>& last);

/// `order` lists the kernels of `p` as they run, `accesses` is by kernel.
MemoryPlan make_plan(const loop::Program& p, const std::vector<Access>& accesses,
                     const std::vector<int>& order);
/// 0, 1, 2, ...: the kernels as they stand.
std::vector<int> given_order(const loop::Program& p);

}  // namespace dlc
