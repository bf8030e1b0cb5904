#pragma once
// Which axis of a kernel threads share out, where that depends on the machine.
#include "codegen/native/contract_schedule.h"

namespace dlc {

/// Layers of matrices are shared out by columns where the number of rows is not known: a batch may
/// be as few as one tile has, and each thread copies its own columns.
loop::Program with_shares(loop::Program p, const VectorUnit& unit);

}  // namespace dlc
