// Every point of a job is computed once, by the job's own function, however late a thread wakes up.
#include "runtime/thread_pool.h"

#include <doctest/doctest.h>

#include <vector>

using namespace dlc;

namespace {

/// Adds 1 to each point, and counts points that are another job's.
void count(void* const* buffers, const int64_t* dims, int64_t begin, int64_t end) {
  auto* points = static_cast<int64_t*>(buffers[0]);
  for (int64_t k = begin; k < end; ++k) points[k] += k < dims[0] ? 1 : 1'000'000;
}

}  // namespace

TEST_CASE("jobs that follow each other closely, of different sizes, on more threads than cores") {
  constexpr int kJobs = 20'000, kMost = 16;
  ThreadPool pool(8);
  std::vector<std::vector<int64_t>> points(kMost + 1, std::vector<int64_t>(kMost, 0));
  int64_t wrong = 0;
  for (int k = 0; k < kJobs; ++k) {
    // From 2 chunks to as many as there are threads, up and down.
    const int64_t size = 2 + k * 7 % (kMost - 1);
    void* buffers[] = {points[static_cast<std::size_t>(size)].data()};
    ThreadPool::parallel_for(&pool, count, buffers, &size, size, 1);
    for (int64_t j = 0; j < size; ++j) {
      int64_t& done = points[static_cast<std::size_t>(size)][static_cast<std::size_t>(j)];
      wrong += done != 1;
      done = 0;
    }
  }
  CHECK(wrong == 0);
}
