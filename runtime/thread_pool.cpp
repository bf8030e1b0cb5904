// Workers wait for a job by spinning for a while, then sleeping. A job is a range in chunks of
// some grains; whoever is free takes the next chunk from a shared counter. Which thread computes a
// chunk never changes what it computes.
//
// A job has a number (its epoch). The counter packs that number with how many chunks the job has
// and which is next. So a worker that is late for a job whose chunks are all taken knows it without
// a look at the job, which may be another one's by then; and a job of which a chunk is left stays
// what it is.
#include "runtime/thread_pool.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace dlc {

namespace {

constexpr int kSpins = 20000;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

struct ThreadPool::Impl {
  struct Job {
    dlc_kernel_fn fn;
    void* const* buffers;
    const int64_t* dims;
    int64_t count, grain, grains, chunks;

    /// The chunks are equal but for one grain.
    int64_t begin(int64_t chunk) const { return std::min(chunk * grains / chunks * grain, count); }
  };

  int threads = 1;
  Run host;  // if set, there are no workers
  Job job{};
  alignas(64) std::atomic<std::uint32_t> epoch{0};
  alignas(64) std::atomic<std::uint64_t> next{0};  // epoch << 32 | chunks << 16 | chunk
  alignas(64) std::atomic<int64_t> left{0};        // chunks not done yet
  std::atomic<bool> stop{false};
  std::atomic<int> sleepers{0};
  std::mutex mutex;
  std::condition_variable wake;
  std::vector<std::thread> workers;

  /// Takes chunks of job `number` until there are none.
  void work(std::uint32_t number) {
    for (;;) {
      std::uint64_t at = next.load(std::memory_order_acquire);
      for (;;) {
        if (static_cast<std::uint32_t>(at >> 32) != number) return;
        if ((at & 0xFFFFu) >= (at >> 16 & 0xFFFFu)) return;
        if (next.compare_exchange_weak(at, at + 1, std::memory_order_acq_rel)) break;
      }
      const auto chunk = static_cast<int64_t>(at & 0xFFFFu);
      job.fn(job.buffers, job.dims, job.begin(chunk), job.begin(chunk + 1));
      left.fetch_sub(1, std::memory_order_acq_rel);
    }
  }

  void worker() {
    std::uint32_t seen = 0;
    for (;;) {
      int spins = 0;
      while (epoch.load(std::memory_order_acquire) == seen &&
             !stop.load(std::memory_order_relaxed)) {
        if (++spins < kSpins) {
          pause();
          continue;
        }
        std::unique_lock lock(mutex);
        sleepers.fetch_add(1);
        wake.wait(lock, [&] { return epoch.load() != seen || stop.load(); });
        sleepers.fetch_sub(1);
      }
      if (stop.load()) return;
      seen = epoch.load();
      work(seen);
    }
  }

  void run_by_host(const Job& j) noexcept {
    host(static_cast<int>(j.chunks),
         [&](int chunk) { j.fn(j.buffers, j.dims, j.begin(chunk), j.begin(chunk + 1)); });
  }

  void run(const Job& new_job) {
    const std::uint32_t number = epoch.load(std::memory_order_relaxed) + 1;
    // All chunks of the last job are done, so that nobody looks at it any more.
    job = new_job;
    left.store(new_job.chunks, std::memory_order_relaxed);
    next.store(static_cast<std::uint64_t>(number) << 32 | static_cast<std::uint64_t>(new_job.chunks)
                                                              << 16,
               std::memory_order_release);
    epoch.store(number);
    if (sleepers.load() > 0) {
      { const std::lock_guard lock(mutex); }
      wake.notify_all();
    }
    work(number);
    while (left.load(std::memory_order_acquire) > 0) pause();
  }
};

ThreadPool::ThreadPool(int threads) : impl_(std::make_unique<Impl>()) {
  impl_->threads = std::max(1, threads);
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0)
    for (int c = 0; c < CPU_SETSIZE; ++c)
      if (CPU_ISSET(c, &allowed)) cpus.push_back(c);
  for (int k = 1; k < impl_->threads; ++k) {
    impl_->workers.emplace_back([this] { impl_->worker(); });
    // Unpinned new threads may share a core with the first one for a long while.
    if (static_cast<std::size_t>(k) < cpus.size()) {
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(cpus[static_cast<std::size_t>(k)], &one);
      pthread_setaffinity_np(impl_->workers.back().native_handle(), sizeof one, &one);
    }
  }
}

ThreadPool::ThreadPool(int threads, Run run) : impl_(std::make_unique<Impl>()) {
  impl_->threads = std::max(1, threads);
  impl_->host = std::move(run);
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stop.store(true);
  }
  impl_->wake.notify_all();
  for (std::thread& t : impl_->workers) t.join();
}

int ThreadPool::threads() const { return impl_->threads; }

void ThreadPool::parallel_for(void* pool, dlc_kernel_fn fn, void* const* buffers,
                              const int64_t* dims, int64_t count, int64_t grain) {
  if (count <= 0) return;
  auto* self = static_cast<ThreadPool*>(pool);
  const int64_t threads = self ? self->impl_->threads : 1;
  // `grain` is what is worth handing out. One chunk a thread keeps most of what it reads in its
  // cache; where the chunks begin changes no result.
  grain = std::max<int64_t>(grain, 1);
  const int64_t grains = (count + grain - 1) / grain;
  constexpr int64_t kMostChunks = 0x7FFF;  // of 16 bits
  const int64_t chunks = threads == 1 ? 1 : std::min({grains, threads, kMostChunks});
  if (chunks == 1) return fn(buffers, dims, 0, count);
  const Impl::Job job{fn, buffers, dims, count, grain, grains, chunks};
  if (self->impl_->host) return self->impl_->run_by_host(job);
  self->impl_->run(job);
}

}  // namespace dlc
