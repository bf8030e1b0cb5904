#pragma once
// Where a training run stands between two steps. With the parameters and states, nothing else is
// needed to go on as if it had never stopped: random numbers and the order of rows follow from the
// seed, the step and the epoch.
#include <cstdint>
#include <vector>

#include "runtime/tensor.h"

namespace dlc {

/// The best evaluation so far.
struct BestSoFar {
  std::int64_t step = 0;  // after which; 0: none yet
  std::int64_t epoch = 0;
  double value = 0;              // of the metric that is watched
  std::int64_t worse_since = 0;  // evaluations since then
};

struct RunState {
  std::int64_t epoch = 1;    // the one under way
  std::int64_t rows = 0;     // of it that are done; without data, steps
  std::int64_t step = 0;     // steps done in all
  std::vector<double> sums;  // loss and metrics of the rows done, each times its rows
  double last_loss = 0;
  double seconds = 0;  // of training so far
  TensorMap carries;   // by path
  BestSoFar best;
};

}  // namespace dlc
