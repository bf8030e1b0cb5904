#include "passes/lower/framed.h"

#include <algorithm>
#include <map>
#include <string>

namespace dlc {

namespace {

constexpr std::int64_t kLanes = 16;          // the arithmetic is compared for vectors of that many
constexpr std::int64_t kMostPlaces = 32;     // of a row, inside the frame and outside
constexpr std::int64_t kMostColumns = 48;    // channels times taps
constexpr std::int64_t kLeastProducts = 32;  // of an element: adding up costs some of them

std::int64_t vectors(std::int64_t elements) { return (elements + kLanes - 1) / kLanes; }

bool contains(const std::string& letters, char letter) {
  return letters.find(letter) != std::string::npos;
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

  const auto all_ones = [](const std::vector<std::int64_t>& v) {
    return std::all_of(v.begin(), v.end(), [](std::int64_t x) { return x == 1; });
  };
  const std::vector<std::int64_t>& axes = window.ints_attr("axes");
  if (!all_ones(window.ints_attr("stride")) || !all_ones(window.ints_attr("dilation")))
    return std::nullopt;
  std::map<char, Dim> extents;
  for (std::size_t k = 0; k < lhs.size(); ++k) extents[lhs[k]] = shape[k];
  for (std::size_t k = 0; k < rhs.size(); ++k)
    extents[rhs[k]] = g.type(contract.operands[1]).shape[k];
  if (extents.size() != lhs.size() + 1) return std::nullopt;  // rhs has one letter more

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
  }
  char column = 0;
  for (const char letter : out) {
    if (contains(rhs, letter) && contains(lhs, letter)) return std::nullopt;
    if (contains(rhs, letter)) column = letter;
  }
  // The last one is folded.
  const auto last_axis = static_cast<std::size_t>(axes.back());
  const char last = f.letters[last_axis], tap = f.letters.back();
  if (!column || last == kNoLetter || tap == kNoLetter || out.back() != last ||
      g.type(f.inside).shape[last_axis] == pad.type.shape[last_axis])
    return std::nullopt;

  const Dim &places = g.type(f.inside).shape[last_axis], &width = extents[last],
            &columns = extents[column], &taps = extents[tap];
  Dim products = 1;
  for (const auto& [letter, extent] : extents)
    if (!contains(out, letter) && letter != tap) products = products * extent;
  for (const Dim& d : {places, width, columns, taps, products})
    if (!d.is_constant()) return std::nullopt;
  const std::int64_t side_by_side = columns.value() * taps.value();
  if (places.value() > kMostPlaces || width.value() > kMostPlaces || side_by_side > kMostColumns ||
      taps.value() < 2 || products.value() < kLeastProducts)
    return std::nullopt;
  const std::int64_t folded = places.value() * vectors(side_by_side),
                     plain = side_by_side * vectors(width.value());
  if (4 * folded > 3 * plain) return std::nullopt;
  return f;
}

}  // namespace dlc
