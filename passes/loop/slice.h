#pragma once
// Parts of kernels: what computes one of the values that a kernel stores, and a kernel that stores
// one value less. The values are the same to the bit: elementwise operations depend on their
// operands alone, and neither function changes how a sum is computed.
#include <functional>
#include <optional>

#include "ir/loop/loop.h"

namespace dlc {

/// A kernel that stores to `target` alone what `k` stores there. Values on the way that `k` stores
/// elsewhere are loaded where `is_kept(buffer)`, and where the sum of a contraction is needed.
/// nullopt when that takes a reduction, or a sum that is not stored.
std::optional<loop::Kernel> slice_of(const loop::Kernel& k, loop::BufferId target,
                                     const std::function<bool(loop::BufferId)>& is_kept);

/// `k` without its stores to `buffer`; nullopt when that might change how it reduces, or when no
/// store is left.
std::optional<loop::Kernel> without_store(const loop::Kernel& k, loop::BufferId buffer);

}  // namespace dlc
