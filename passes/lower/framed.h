#pragma once
// The operand of a contraction that stands in a frame of zeros which nobody stores.
#include <optional>
#include <string>

#include "ir/graph/graph.h"

namespace dlc {

constexpr char kNoLetter = ' ';
/// window(pad(inside)), the left operand of a contraction but for axes of extent 1.
struct Framed {
  Value window, pad, inside;
  std::string letters;  // of the window's axes; kNoLetter for one of extent 1
};
/// For the input gradient of a convolution of few channels and narrow pictures, which multiplies
/// the frame's zeros more often than anything else: instead, each place of `inside` is multiplied
/// by all taps of the last window, and the products are added where they belong (loop::Frame).
/// nullopt where that is not possible, or not less work.
std::optional<Framed> framed_operand(const Graph& g, const Node& contract);

}  // namespace dlc
