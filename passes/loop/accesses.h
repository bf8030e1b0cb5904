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

/// Bytes of a buffer, with every coefficient a multiple of the arena's alignment: sums of such
/// sizes stay aligned.
Dim aligned_bytes(const Type& t);

}  // namespace dlc
