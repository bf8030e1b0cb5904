#pragma once
// The different kernels of a program: kernels that differ in their buffers alone share one.
#include <vector>

#include "ir/loop/loop.h"

namespace dlc {

struct UniqueKernels {
  /// Each holds one kernel and its buffers, numbered in the order of use; its name is the kernel's,
  /// made unique. Of the buffers only names and element types are left: what kernels are told apart
  /// by is all that emission can see.
  std::vector<loop::Program> kernels;
  struct Call {
    std::size_t kernel;                   // in `kernels`
    std::vector<loop::BufferId> buffers;  // the program's, by the kernel's own numbers
  };
  std::vector<Call> calls;  // one for each kernel of the program
};
UniqueKernels unique_kernels(const loop::Program& p);

/// The buffers that a kernel sees, in the order of its own numbers.
std::vector<loop::BufferId> buffers_of(const loop::Kernel& k);
/// The length of all kernels' tables, one after the other: of buffers, and dlc_call.scratch.
std::int64_t table_entries(const loop::Program& p);

/// Kernels dealt into groups of about equal cost to compile, the dearest kernels in the first ones;
/// the first group has the program's entries, too. It depends on the kernels alone.
std::vector<std::vector<std::size_t>> compile_groups(const UniqueKernels& kernels,
                                                     std::size_t max_groups);

}  // namespace dlc
