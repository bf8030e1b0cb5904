#include "driver/data_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "driver/api/data_check.h"
#include "driver/show.h"
#include "runtime/data/readers.h"

namespace dlc {

namespace {

constexpr std::size_t kMostClasses = 1000, kShownClasses = 12;

struct Summary {
  double least = INFINITY, largest = -INFINITY, sum = 0, squares = 0;
  std::int64_t finite = 0, missing = 0, infinite = 0;
  std::map<std::int64_t, std::int64_t> counts;  // of integers, up to kMostClasses different ones
};

Summary summarise(const Tensor& t) {
  Summary s;
  const bool integers = t.dtype() > DLC_F16;
  for (std::int64_t k = 0; k < t.size(); ++k) {
    const double v = t.at(k);
    if (std::isnan(v)) {
      ++s.missing;
    } else if (std::isinf(v)) {
      ++s.infinite;
    } else {
      ++s.finite;
      s.least = std::min(s.least, v);
      s.largest = std::max(s.largest, v);
      s.sum += v;
      s.squares += v * v;
      if (integers && s.counts.size() <= kMostClasses) ++s.counts[static_cast<std::int64_t>(v)];
    }
  }
  return s;
}

std::string classes(const Summary& s, const Tensor& t) {
  // Numbers of which there is one a row may be classes; pictures are not.
  if (t.shape().size() != 1 || s.counts.empty() || s.counts.size() > kMostClasses) return "";
  std::int64_t fewest = s.finite, most = 0;
  for (const auto& [value, count] : s.counts) {
    fewest = std::min(fewest, count);
    most = std::max(most, count);
  }
  if (fewest == most)
    return fmt::format("{} classes of {} rows each", s.counts.size(), with_commas(most));
  std::string text = fmt::format("{} classes, {} to {} rows each", s.counts.size(),
                                 with_commas(fewest), with_commas(most));
  if (s.counts.size() > kShownClasses) return text;
  text += ":";
  for (const auto& [value, count] : s.counts) text += fmt::format(" {}: {}", value, count);
  return text;
}

std::vector<std::string> row_of(const std::string& name, const Tensor& t) {
  const Summary s = summarise(t);
  const auto n = static_cast<double>(s.finite);
  const double mean = s.sum / n, spread = std::sqrt(std::max(0.0, s.squares / n - mean * mean));
  const auto number = [&](double v) { return s.finite > 0 ? fmt::format("{:.5g}", v) : "-"; };
  std::string missing = s.missing == 0 ? "-" : with_commas(s.missing);
  if (s.infinite > 0) missing += fmt::format(" and {} infinite", with_commas(s.infinite));
  return {name,         t.type_str(),   number(s.least), number(s.largest),
          number(mean), number(spread), missing,         classes(s, t)};
}

}  // namespace

void print_data(const Compilation& c, std::int64_t seed, ThreadPool& pool) {
  for (const DataSplit& split : c.module().data.splits) {
    std::vector<std::vector<std::string>> table{
        {"", "type", "least", "largest", "mean", "deviation", "missing", "classes"}};
    for (const FileSource& file : split.files) {
      std::string name = fmt::format("{} ({})", file.path, file.reader);
      if (!file.further.empty())
        name = fmt::format("{} and {} more ({})", file.path, file.further.size(), file.reader);
      if ((file.reader == "csv" || file.reader == "tsv") && !file.options.empty())
        name = fmt::format("{} [{}]", file.path, fmt::join(file.options, ", "));
      table.push_back(row_of(
          name, read_file(file.reader, c.locate(file), file.options, c.locate_further(file))));
    }
    const Rows rows = load_rows(c, split, seed, pool);
    for (const auto& [name, t] : rows.columns)
      table.push_back(row_of(name == "rows.text" ? "tokens" : name, t));
    fmt::print("data {}.{}: {} rows\n", c.module().data.name, split.name, with_commas(split.rows));
    for (const std::string& line : aligned_lines(table, "<<>>>>><")) fmt::print("  {}\n", line);
  }
}

}  // namespace dlc
