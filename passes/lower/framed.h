#pragma once
// The operand of a contraction that stands in a frame of zeros which nobody stores.
#include <optional>
#include <string>
#include <vector>

#include "ir/graph/graph.h"
#include "ir/loop/loop.h"

namespace dlc {

constexpr char kNoLetter = ' ';
/// window(pad(inside)), the left operand of a contraction but for axes of extent 1.
struct Framed {
  Value window, pad, inside;
  std::string letters;  // of the window's axes; kNoLetter for one of extent 1
  bool folded = false;
};
/// Where a convolution multiplies a frame's zeros often enough that it pays not to:
///   folded   few channels and narrow pictures, the last axis in vectors: each place of `inside` is
///            multiplied by all taps of the last window, and the products are added where they
///            belong
///   else     many channels, in vectors: each tap takes the places that it finds inside
/// nullopt where neither is possible, or less work. A frame that others read as well may be in
/// memory.
std::optional<Framed> framed_operand(const Graph& g, const Node& contract);
/// Of the windows' axes that have one.
std::vector<loop::Frame> frames_of(const Graph& g, const Framed& f);

}  // namespace dlc
