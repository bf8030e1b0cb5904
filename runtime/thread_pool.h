#pragma once
// A fixed set of workers with cheap fork and join. Work is split by the caller's grain alone, so
// results do not depend on the number of threads.
#include <memory>

#include "codegen/abi/program.h"

namespace dlc {

class ThreadPool {
 public:
  /// `threads` includes the calling thread; 1 runs everything inline.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  int threads() const;
  /// The dlc_parallel_for of this pool; pass `this` as its `pool`.
  static void parallel_for(void* pool, dlc_kernel_fn fn, void* const* buffers, const int64_t* dims,
                           int64_t count, int64_t grain);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace dlc
