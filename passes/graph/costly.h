#pragma once
#include "ir/graph/graph.h"

namespace dlc {

/// An elementwise operation that takes many instructions: better stored than computed twice.
bool is_costly(Op op);

}  // namespace dlc
