#include "passes/lower/framed.h"

#include <algorithm>
#include <map>
#include <string>

namespace dlc {

std::vector<loop::Frame> frames_of(const Graph& g, const Framed& f) {
  std::vector<loop::Frame> frames;
  const Node& window = g[f.window];
  const Shape &inside = g.type(f.inside).shape, &low = g[f.pad].shape_attr("low");
  const std::vector<std::int64_t>& axes = window.ints_attr("axes");
  for (std::size_t k = 0; k < axes.size(); ++k) {
    const auto a = static_cast<std::size_t>(axes[k]);
    if (inside[a] == g.type(f.pad).shape[a]) continue;
    frames.push_back({f.letters[a], f.letters[inside.size() + k], window.ints_attr("stride")[k],
                      window.ints_attr("dilation")[k], -low[a].value(), inside[a].value()});
  }
  return frames;
}

namespace {

constexpr std::int64_t kLanes = 16;          // the arithmetic is compared for vectors of that many
constexpr std::int64_t kMostPlaces = 32;     // of a row, inside the frame and outside
constexpr std::int64_t kMostColumns = 48;    // channels times taps
constexpr std::int64_t kLeastChannels = 64;  // in a block of a tap
constexpr std::int64_t kLeastColumns = 64;   // that share the choice of rows
constexpr double kLeastSkipped = 0.12;       // of all products
constexpr std::int64_t kLeastProducts = 32;  // of an element: adding up costs some of them

std::int64_t vectors(std::int64_t elements) { return (elements + kLanes - 1) / kLanes; }

bool contains(const std::string& letters, char letter) {
  return letters.find(letter) != std::string::npos;
}

/// Places and taps of a window, by their letters.
std::int64_t extent_of(const Graph& g, const Framed& f, char letter) {
  return g.type(f.window).shape[f.letters.find(letter)].value();
}

/// Whether the products with a frame are a good part of all.
bool skips_enough(const Graph& g, const Framed& f) {
  double kept = 1;
  for (const loop::Frame& frame : frames_of(g, f)) {
    const std::int64_t places = extent_of(g, f, frame.at), taps = extent_of(g, f, frame.tap);
    kept *= static_cast<double>(loop::count_inside(frame, places, taps)) /
            static_cast<double>(places * taps);
  }
  return kept < 1 - kLeastSkipped;
}

/// Whether adding products up where they belong is less work than vectors along the last axis.
bool fold_pays(const Graph& g, const Framed& f, const std::string& out,
               const std::map<char, Dim>& extents, char column) {
  const std::vector<loop::Frame> frames = frames_of(g, f);
  if (frames.empty() || frames.back().at != out.back()) return false;
  for (const loop::Frame& frame : frames)
    if (frame.step != 1 || frame.dilation != 1) return false;
  const char tap = frames.back().tap;
  Dim products = 1;
  for (const auto& [letter, extent] : extents)
    if (!contains(out, letter) && letter != tap) products = products * extent;
  const Dim& columns = extents.at(column);
  if (!products.is_constant() || !columns.is_constant()) return false;
  const std::int64_t places = frames.back().extent, width = extent_of(g, f, out.back()),
                     side_by_side = columns.value() * extent_of(g, f, tap);
  if (places > kMostPlaces || width > kMostPlaces || side_by_side > kMostColumns ||
      side_by_side == columns.value() || products.value() < kLeastProducts)
    return false;
  const std::int64_t folded = places * vectors(side_by_side), plain = side_by_side * vectors(width);
  return 4 * folded <= 3 * plain;
}

}  // namespace

std::optional<Framed> framed_operand(const Graph& g, const Node& contract) {
  if (contract.op != Op::contract) return std::nullopt;
  Framed f;
  const std::string &lhs = contract.str_attr("lhs"), &rhs = contract.str_attr("rhs"),
                    &out = contract.str_attr("out");
  f.window = g.below_reshapes(contract.operands[0]);
  const Node& window = g[f.window];
  if (window.op != Op::window) return std::nullopt;
  const Shape& shape = g.type(contract.operands[0]).shape;
  for (const Dim& d : window.type.shape) {
    const std::size_t at = f.letters.size() - static_cast<std::size_t>(std::count(
                                                  f.letters.begin(), f.letters.end(), kNoLetter));
    const bool is_next = at < shape.size() && shape[at] == d;
    if (!is_next && !(d == Dim(1))) return std::nullopt;
    f.letters += is_next ? lhs[at] : kNoLetter;
  }
  f.pad = window.operands[0];
  const Node& pad = g[f.pad];
  if (pad.op != Op::pad) return std::nullopt;
  f.inside = pad.operands[0];
  const Node& value = g[pad.operands[1]];
  if (value.op != Op::constant || value.literal_attr("value").at(0) != 0) return std::nullopt;
  const ElementType element = pad.type.element;
  if (element != ElementType::F32 && element != ElementType::F64) return std::nullopt;

  const std::vector<std::int64_t>& axes = window.ints_attr("axes");
  std::map<char, Dim> extents;
  for (std::size_t k = 0; k < lhs.size(); ++k) extents[lhs[k]] = shape[k];
  for (std::size_t k = 0; k < rhs.size(); ++k)
    extents[rhs[k]] = g.type(contract.operands[1]).shape[k];
  if (extents.size() != lhs.size() + 1) return std::nullopt;  // rhs has one letter more

  std::string taps;
  // Frames stand around windows, which run along axes of the result; their taps are summed.
  const std::size_t rank = pad.type.shape.size();
  const auto is_of = [](char letter, const std::string& letters) {
    return letter != kNoLetter && contains(letters, letter);
  };
  for (std::size_t k = 0; k < rank; ++k) {
    if (g.type(f.inside).shape[k] == pad.type.shape[k]) continue;
    const auto at = std::find(axes.begin(), axes.end(), static_cast<std::int64_t>(k));
    if (at == axes.end() || !pad.type.shape[k].is_constant()) return std::nullopt;
    const char tap = f.letters[rank + static_cast<std::size_t>(at - axes.begin())];
    if (!is_of(f.letters[k], out) || is_of(f.letters[k], rhs) || is_of(tap, out) ||
        !is_of(tap, rhs))
      return std::nullopt;
    taps += tap;
  }
  char column = 0;
  for (const char letter : out) {
    if (contains(rhs, letter) && contains(lhs, letter)) return std::nullopt;
    if (contains(rhs, letter)) column = letter;
  }
  if (!column) return std::nullopt;
  Dim channels = 1;
  for (const auto& [letter, extent] : extents)
    if (!contains(out, letter) && !contains(taps, letter)) channels = channels * extent;
  if (!channels.is_constant()) return std::nullopt;
  f.folded = out.back() != column;
  const bool pays = f.folded ? fold_pays(g, f, out, extents, column)
                             : out.back() == column && channels.value() >= kLeastChannels &&
                                   extents[column].typical() >= kLeastColumns && skips_enough(g, f);
  if (!pays) return std::nullopt;
  return f;
}

}  // namespace dlc
