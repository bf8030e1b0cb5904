#pragma once
// The 16-bit float formats in plain integer arithmetic: bf16 (the upper half of an f32) and f16
// (IEEE half precision). Rounding is to nearest, ties to even; infinities, denormals, signed zeros
// and NaN (quiet, its upper bits kept) go both ways.
#include <bit>
#include <cstdint>

namespace dlc {

inline float bf16_to_f32(std::uint16_t h) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(h) << 16);
}

inline std::uint16_t f32_to_bf16(float v) {
  const auto u = std::bit_cast<std::uint32_t>(v);
  if ((u & 0x7FFFFFFFU) > 0x7F800000U) return static_cast<std::uint16_t>(u >> 16 | 0x40U);
  // What is cut off counts as more than half when the last kept bit is odd. A carry out of the
  // mantissa gives the next power of two, and beyond the largest number infinity.
  return static_cast<std::uint16_t>((u + 0x7FFFU + (u >> 16 & 1U)) >> 16);
}

inline float f16_to_f32(std::uint16_t h) {
  const std::uint32_t sign = (h & 0x8000U) << 16, exponent = h >> 10 & 0x1FU, mantissa = h & 0x3FFU;
  if (exponent == 0) {  // a multiple of 2^-24
    const float v = static_cast<float>(mantissa) * 0x1p-24F;
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(v) | sign);
  }
  const std::uint32_t biased = exponent == 31 ? 255 : exponent + (127 - 15);
  const std::uint32_t quiet = exponent == 31 && mantissa != 0 ? 0x400000U : 0;
  return std::bit_cast<float>(sign | biased << 23 | mantissa << 13 | quiet);
}

inline std::uint16_t f32_to_f16(float v) {
  const auto u = std::bit_cast<std::uint32_t>(v);
  const std::uint32_t sign = u >> 16 & 0x8000U, size = u & 0x7FFFFFFFU;
  const auto signed_bits = [&](std::uint32_t bits) {
    return static_cast<std::uint16_t>(sign | bits);
  };
  if (size > 0x7F800000U) return signed_bits(0x7E00U | (size >> 13 & 0x3FFU));
  if (size >= 0x477FF000U) return signed_bits(0x7C00U);  // from 65520 on: infinity
  if (size < 0x38800000U) {
    // Below 2^-14 results are multiples of 2^-24, which is the last place of numbers in [1/2, 1).
    const float shifted = std::bit_cast<float>(size) + 0.5F;
    return signed_bits(std::bit_cast<std::uint32_t>(shifted) - std::bit_cast<std::uint32_t>(0.5F));
  }
  return signed_bits((size - 0x38000000U + 0xFFFU + (size >> 13 & 1U)) >> 13);
}

}  // namespace dlc
