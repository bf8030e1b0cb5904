#include "driver/show.h"

#include <fmt/format.h>

#include <algorithm>

namespace dlc {

namespace {

std::string show_element(const Tensor& t, std::int64_t k) {
  if (t.dtype() == DLC_BOOL) return t.at(k) != 0 ? "true" : "false";
  if (t.dtype() <= DLC_F16) return fmt::format("{:.6g}", t.at(k));
  return fmt::format("{:.0f}", t.at(k));
}

std::string show_axis(const Tensor& t, std::size_t axis, std::int64_t first, int max_per_axis) {
  if (axis == t.shape().size()) return show_element(t, first);
  std::int64_t stride = 1;
  for (std::size_t k = axis + 1; k < t.shape().size(); ++k) stride *= t.shape()[k];
  const std::int64_t extent = t.shape()[axis];
  std::string out = "[";
  for (std::int64_t i = 0; i < extent; ++i) {
    if (extent > max_per_axis && i == max_per_axis / 2) {
      out += ", ...";
      i = extent - max_per_axis / 2 - 1;
      continue;
    }
    if (i > 0) out += ", ";
    out += show_axis(t, axis + 1, first + i * stride, max_per_axis);
  }
  return out + "]";
}

}  // namespace

std::string show(const Tensor& t, int max_per_axis) { return show_axis(t, 0, 0, max_per_axis); }

std::vector<std::string> aligned_lines(const std::vector<std::vector<std::string>>& rows,
                                       std::string_view alignment) {
  std::vector<std::size_t> width(alignment.size(), 0);
  for (const auto& row : rows)
    for (std::size_t k = 0; k < row.size(); ++k) width[k] = std::max(width[k], row[k].size());
  std::vector<std::string> lines;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t k = 0; k < row.size(); ++k) {
      if (k > 0) line += "  ";
      line += alignment[k] == '<' ? fmt::format("{:<{}}", row[k], width[k])
                                  : fmt::format("{:>{}}", row[k], width[k]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    lines.push_back(std::move(line));
  }
  return lines;
}

std::string with_commas(std::int64_t n) {
  std::string digits = std::to_string(n);
  for (int at = static_cast<int>(digits.size()) - 3; at > (n < 0 ? 1 : 0); at -= 3)
    digits.insert(static_cast<std::size_t>(at), ",");
  return digits;
}

}  // namespace dlc
