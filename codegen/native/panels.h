#pragma once
// How the copies that loops multiply by (Contraction::copied) are arranged for a machine.
#include "codegen/native/contract_schedule.h"

namespace dlc {

/// Each such copy in panels as wide as the tiles of the contraction that reads it: `panel` is set,
/// with a schedule, and the kernel that copies writes them. Where the machine has no use for panels
/// (a unit for matrices has an arrangement of its own) the contraction reads the original, and the
/// kernel does nothing, unless it turns the matrix over. `copied` is empty everywhere.
loop::Program with_panels(loop::Program p, const VectorUnit& unit);

}  // namespace dlc
