#include "bench/native_loops.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <limits>

#if defined(__SSE__)
#include <immintrin.h>
#endif

namespace dlc::bench {

namespace {

// As wide as the registers: the compiler splits it where they are narrower.
#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif
typedef float Vector __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
typedef std::uint32_t Bits __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));

void store_past_caches(float* to, Vector v) {
#if defined(__AVX512F__)
  _mm512_stream_ps(to, reinterpret_cast<__m512>(v));
#elif defined(__AVX__)
  _mm256_stream_ps(to, reinterpret_cast<__m256>(v));
#elif defined(__SSE__)
  _mm_stream_ps(to, reinterpret_cast<__m128>(v));
#else
  *reinterpret_cast<Vector*>(to) = v;
#endif
}

void finish_stores() {
#if defined(__SSE__)
  _mm_sfence();
#endif
}

const Vector& vector_at(const float* p, std::int64_t k) {
  return *reinterpret_cast<const Vector*>(p + k);
}

/// y[k] = f(k): a plain loop for ordinary stores, explicit vectors `g(k)` for the others.
template <class F, class G>
void stream(float* y, std::int64_t n, Stores stores, const F& f, const G& g) {
  if (stores == Stores::Ordinary) {
    for (std::int64_t k = 0; k < n; ++k) y[k] = f(k);
    return;
  }
  for (std::int64_t k = 0; k < n; k += kLanes) store_past_caches(y + k, g(k));
  finish_stores();
}

float relu(float x) { return x > 0 ? x : 0; }
Vector relu(Vector x) { return x > 0 ? x : Vector{}; }

constexpr int kAccumulators = 8;

/// Folds vectors of x into several accumulators by `f`, then those by `join`. What a block does not
/// fill goes into the first lane.
template <class F, class Join>
float reduce(const float* x, std::int64_t n, float start, const F& f, const Join& join) {
  Vector acc[kAccumulators];
  for (Vector& a : acc) a = start - Vector{};
  constexpr std::int64_t kBlock = kAccumulators * kLanes;
  std::int64_t k = 0;
  for (; k + kBlock <= n; k += kBlock)
#pragma GCC unroll 8
    for (int i = 0; i < kAccumulators; ++i) acc[i] = f(acc[i], vector_at(x, k + i * kLanes));
  for (; k < n; ++k) {
    Vector one = start - Vector{};
    one[0] = x[k];
    acc[0] = f(acc[0], one);
  }
  float result = start;
  for (const Vector& a : acc)
    for (int i = 0; i < kLanes; ++i) result = join(result, a[i]);
  return result;
}

}  // namespace

double fma_peak_gflops() {
  // Twelve sums hide a latency of four cycles at two or three a cycle. The empty asm keeps each sum
  // in a register and the loop as written.
  constexpr int kSums = 12;
  Vector sums[kSums] = {};
  Vector x = 0.5F - Vector{}, y = 0.25F - Vector{};
  asm volatile("" : "+m"(x), "+m"(y));
  const auto run = [&](std::int64_t times) {
    Vector s[kSums];
    for (int i = 0; i < kSums; ++i) s[i] = sums[i];
    const auto start = std::chrono::steady_clock::now();
    for (std::int64_t k = 0; k < times; ++k) {
#pragma GCC unroll 12
      for (int i = 0; i < kSums; ++i) s[i] = x * s[i] + y;
    }
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    for (int i = 0; i < kSums; ++i) sums[i] = s[i];
    asm volatile("" : "+m"(sums));
    return seconds;
  };
  run(1'000'000);
  double best = 0;
  for (int k = 0; k < 5; ++k) {
    constexpr std::int64_t kTimes = 1'000'000;
    best = std::max(best, 2.0 * kSums * kLanes * kTimes / run(kTimes) / 1e9);
  }
  return best;
}

bool has_non_temporal_stores() {
#if defined(__SSE__)
  return true;
#else
  return false;
#endif
}

void copy(const float* x, float* y, std::int64_t n, Stores stores) {
  // A loop that is only a copy would become a call of memcpy, which chooses its stores itself.
  stream(
      y, n, stores, [&](std::int64_t k) { return -x[k]; },
      [&](std::int64_t k) { return -vector_at(x, k); });
}

void triad(const float* x, const float* z, float* y, std::int64_t n, Stores stores) {
  stream(
      y, n, stores, [&](std::int64_t k) { return x[k] + 3 * z[k]; },
      [&](std::int64_t k) { return vector_at(x, k) + 3 * vector_at(z, k); });
}

void chain1(const float* x, float* y, std::int64_t n, Stores stores) {
  stream(
      y, n, stores, [&](std::int64_t k) { return relu(2 * x[k] + 1); },
      [&](std::int64_t k) { return relu(2 * vector_at(x, k) + 1); });
}

void chain2(const float* x, const float* z, float* y, std::int64_t n, Stores stores) {
  stream(
      y, n, stores, [&](std::int64_t k) { return relu(2 * x[k] + 1) * z[k]; },
      [&](std::int64_t k) { return relu(2 * vector_at(x, k) + 1) * vector_at(z, k); });
}

void chain3(const float* x, const float* w, const float* z, float* y, std::int64_t n,
            Stores stores) {
  stream(
      y, n, stores, [&](std::int64_t k) { return relu(w[k] * x[k] + 1) * z[k]; },
      [&](std::int64_t k) {
        return relu(vector_at(w, k) * vector_at(x, k) + 1) * vector_at(z, k);
      });
}

float read(const float* x, std::int64_t n) {
  Bits acc[kAccumulators] = {};
  constexpr std::int64_t kBlock = kAccumulators * kLanes;
  for (std::int64_t k = 0; k + kBlock <= n; k += kBlock)
#pragma GCC unroll 8
    for (int i = 0; i < kAccumulators; ++i)
      acc[i] |= *reinterpret_cast<const Bits*>(x + k + i * kLanes);
  std::uint32_t all = 0;
  for (const Bits& a : acc)
    for (int i = 0; i < kLanes; ++i) all |= a[i];
  return std::bit_cast<float>(all);
}

float sum(const float* x, std::int64_t n) {
  return reduce(
      x, n, 0, [](Vector a, Vector v) { return a + v; }, [](float a, float v) { return a + v; });
}

float max(const float* x, std::int64_t n) {
  return reduce(
      x, n, -std::numeric_limits<float>::infinity(),
      [](Vector a, Vector v) { return v > a ? v : a; },
      [](float a, float v) { return std::max(a, v); });
}

float sum_of_squares(const float* x, std::int64_t n) {
  return reduce(
      x, n, 0, [](Vector a, Vector v) { return v * v + a; },
      [](float a, float v) { return a + v; });
}

void row_sums(const float* x, float* y, std::int64_t rows, std::int64_t columns) {
  for (std::int64_t k = 0; k < rows; ++k) y[k] = sum(x + k * columns, columns);
}

}  // namespace dlc::bench
