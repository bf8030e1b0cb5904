#pragma once
// What each kernel of a program reads and writes, when temporaries are alive, and which of them a
// kernel may write over another: the facts that memory planning, ordering and recomputation share.
#include <utility>
#include <vector>

#include "ir/loop/loop.h"

namespace dlc {

/// Buffers are listed once and in ascending order.
struct Access {
  std::vector<loop::BufferId> reads, writes;
  /// (t, u): both temporaries; u may be written over t where this kernel is the last to touch t and
  /// the first to touch u. Equal element types' sizes, u provably no larger than t.
  std::vector<std::pair<loop::BufferId, loop::BufferId>> in_place;
};

Access access_of(const loop::Program& p, const loop::Kernel& k);
std::vector<Access> accesses(const loop::Program& p);

/// The buffer whose memory `b` is: an update's is that of what it updates.
loop::BufferId memory_of(const loop::Program& p, loop::BufferId b);

/// Buffers begin with a line of the cache: a place's offset is rounded up to one when the sizes are
/// known (codegen/abi/program.h).
constexpr std::int64_t kArenaAlignment = 64;
/// Bytes that a buffer takes of the arena: where they may end within a line, one more makes room
/// for the rounding.
Dim bytes_in_arena(const Type& t);

}  // namespace dlc
