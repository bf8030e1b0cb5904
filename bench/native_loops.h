#pragma once
// The machine's limits, and loops in plain C++, compiled with -O3 for the processor at hand.
#include <cstdint>

namespace dlc::bench {

/// Fused multiply-adds of f32 on one core, from registers, in GFLOP/s.
double fma_peak_gflops();

/// How results are written. A store past the caches saves reading the line first.
enum class Stores { Ordinary, NonTemporal };
bool has_non_temporal_stores();

// Streams: y[k] = f(inputs[k]). `y` is 64-byte aligned and n a multiple of 64.
void copy(const float* x, float* y, std::int64_t n, Stores stores);
void triad(const float* x, const float* z, float* y, std::int64_t n, Stores stores);
/// relu(2x + 1)
void chain1(const float* x, float* y, std::int64_t n, Stores stores);
/// relu(2x + 1) z
void chain2(const float* x, const float* z, float* y, std::int64_t n, Stores stores);
/// relu(w x + 1) z
void chain3(const float* x, const float* w, const float* z, float* y, std::int64_t n,
            Stores stores);

// Reductions; sums in several accumulators, as a compiler may not reorder one.
float read(const float* x, std::int64_t n);  // all bits of all elements, for the bandwidth
float sum(const float* x, std::int64_t n);
float max(const float* x, std::int64_t n);
float sum_of_squares(const float* x, std::int64_t n);
void row_sums(const float* x, float* y, std::int64_t rows, std::int64_t columns);

}  // namespace dlc::bench
