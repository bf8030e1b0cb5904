#pragma once
// What a kernel computes and moves, as polynomials of the symbolic sizes: for reports, not for
// decisions.
#include "ir/loop/loop.h"

namespace dlc::loop {

struct KernelCost {
  Dim flops;          // operations on floats, an exp or a division counted as one
  Dim read, written;  // bytes of memory, each place counted once
};
/// A multiply-add is two operations; those that a band leaves out are none. What does not depend on
/// an axis is counted once for all of it. Of a place that data chooses (a row by its number) as
/// many as there are choices.
KernelCost cost(const Kernel& k, const Program& p);

}  // namespace dlc::loop
