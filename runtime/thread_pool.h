#pragma once
// A fixed set of workers with cheap fork and join. Work is split by the caller's grain alone, so
// results do not depend on the number of threads.
#include <functional>
#include <memory>

#include "codegen/abi/program.h"

namespace dlc {

class ThreadPool {
 public:
  /// `threads` includes the calling thread; 1 runs everything inline.
  explicit ThreadPool(int threads);
  /// Somebody else's threads: calls task(0) to task(count - 1), each once, wherever it likes, and
  /// returns when all are done. It does not throw: the compiled code above it cannot be unwound.
  using Run = std::function<void(int count, const std::function<void(int)>& task)>;
  ThreadPool(int threads, Run run);
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
