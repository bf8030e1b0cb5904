#pragma once
// In which order the rows of a data set are trained on. An order follows from the seed and the
// epoch alone, so that a run can be taken up anywhere.
#include <cstdint>
#include <vector>

namespace dlc {

/// Fills `order` with a permutation of 0 .. rows - 1: a Fisher-Yates shuffle from a counter-based
/// generator of (seed, epoch), epochs counted from 1; without `shuffle` in order.
void fill_order(std::int32_t* order, std::int64_t rows, std::int64_t seed, std::int64_t epoch,
                bool shuffle);
/// The same as a vector.
std::vector<std::int32_t> epoch_order(std::int64_t rows, std::int64_t seed, std::int64_t epoch,
                                      bool shuffle);

/// Where the sequences of one epoch begin in a text, batch by batch, and how many batches there
/// are. An offset is drawn first. At random: the text after it is cut into sequences, which are
/// shuffled. Consecutive: it is cut into `batch` parts, and batch j has the sequence number j of
/// each (Dive into Deep Learning, "language models and data sets"). Every epoch has as many batches
/// as fit whatever the offset.
struct SequenceOrder {
  std::vector<std::int32_t> begins;
  std::int64_t batches = 0;
};
SequenceOrder sequence_order(std::int64_t tokens, std::int64_t steps, std::int64_t batch,
                             std::int64_t seed, std::int64_t epoch, bool consecutive);

}  // namespace dlc
