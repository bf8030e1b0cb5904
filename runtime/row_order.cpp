#include "runtime/row_order.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "ir/support/mix.h"

namespace dlc {

// Position k gets one of the first k + 1. Random number k is splitmix64's number k of a stream that
// (seed, epoch) chooses, so an epoch's order does not depend on those before it.
void fill_order(std::int32_t* order, std::int64_t rows, std::int64_t seed, std::int64_t epoch,
                bool shuffle) {
  std::iota(order, order + rows, 0);
  if (!shuffle) return;
  const std::uint64_t stream =
      mix(mix(static_cast<std::uint64_t>(seed) + kGolden) + static_cast<std::uint64_t>(epoch));
  for (std::int64_t k = rows - 1; k > 0; --k) {
    const std::uint64_t random = mix(stream + static_cast<std::uint64_t>(k) * kGolden);
    // random / 2^64 * (k + 1), without a division. Its bias, k / 2^64, is nothing to a shuffle.
    __extension__ using Wide = unsigned __int128;
    const auto other = static_cast<std::int64_t>(
        static_cast<Wide>(random) * static_cast<std::uint64_t>(k + 1) >> 64);
    std::swap(order[k], order[other]);
  }
}

std::vector<std::int32_t> epoch_order(std::int64_t rows, std::int64_t seed, std::int64_t epoch,
                                      bool shuffle) {
  std::vector<std::int32_t> order(static_cast<std::size_t>(rows));
  fill_order(order.data(), rows, seed, epoch, shuffle);
  return order;
}

namespace {

/// A number below `bound` from a stream of (seed, epoch) of its own.
std::int64_t draw(std::int64_t bound, std::int64_t seed, std::int64_t epoch) {
  const std::uint64_t stream =
      mix(mix(static_cast<std::uint64_t>(seed) + 3 * kGolden) + static_cast<std::uint64_t>(epoch));
  return static_cast<std::int64_t>(stream % static_cast<std::uint64_t>(bound));
}

}  // namespace

SequenceOrder sequence_order(std::int64_t tokens, std::int64_t steps, std::int64_t batch,
                             std::int64_t seed, std::int64_t epoch, bool consecutive) {
  SequenceOrder result;
  const std::int64_t offsets = consecutive ? steps + 1 : steps;
  const std::int64_t least = tokens - (offsets - 1) - 1;  // tokens with a next one
  result.batches = least < 1 ? 0 : consecutive ? least / batch / steps : least / steps / batch;
  if (result.batches < 1) return result;
  const std::int64_t offset = draw(offsets, seed, epoch);
  if (consecutive) {
    const std::int64_t part = (tokens - offset - 1) / batch;
    for (std::int64_t j = 0; j < result.batches; ++j)
      for (std::int64_t row = 0; row < batch; ++row)
        result.begins.push_back(static_cast<std::int32_t>(offset + row * part + j * steps));
    return result;
  }
  const std::int64_t count = (tokens - offset - 1) / steps;
  result.begins.resize(static_cast<std::size_t>(count));
  fill_order(result.begins.data(), count, seed, epoch, true);
  for (std::int32_t& b : result.begins)
    b = static_cast<std::int32_t>(offset + static_cast<std::int64_t>(b) * steps);
  result.begins.resize(static_cast<std::size_t>(result.batches * batch));
  return result;
}

}  // namespace dlc
