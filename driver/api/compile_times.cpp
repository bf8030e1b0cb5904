#include "driver/api/compile_times.h"

#include <fmt/format.h>

#include <algorithm>

namespace dlc {

CompileTimes::Column& CompileTimes::column(std::string_view program) {
  for (Column& c : columns_)
    if (c.program == program) return c;
  return columns_.emplace_back(Column{std::string(program), 0, {}});
}

void CompileTimes::add(std::string_view program, std::string_view stage, double ms) {
  auto row = std::find(stages_.begin(), stages_.end(), stage);
  if (row == stages_.end()) row = stages_.emplace(stages_.end(), stage);
  column(program).stages.emplace_back(row - stages_.begin(), ms);
}

void CompileTimes::add_total(std::string_view program, double ms) { column(program).total += ms; }

std::string CompileTimes::table() const {
  std::vector<std::vector<double>> rows(stages_.size(), std::vector<double>(columns_.size() + 1));
  std::vector<double> totals{0};
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    for (const auto& [stage, ms] : columns_[c].stages) {
      rows[stage][c + 1] += ms;
      rows[stage][0] += ms;
    }
    totals.push_back(columns_[c].total);
    totals[0] += columns_[c].total;
  }
  std::size_t left = 5;
  for (const std::string& s : stages_) left = std::max(left, s.size());
  std::string out = fmt::format("{:<{}}", "ms", left);
  std::vector<std::string> heads{"all"};
  for (const Column& c : columns_) heads.push_back(c.program.empty() ? "frontend" : c.program);
  for (const std::string& h : heads)
    out += fmt::format("  {:>{}}", h, std::max<std::size_t>(8, h.size()));
  const auto line = [&](const std::string& name, const std::vector<double>& values) {
    out += fmt::format("\n{:<{}}", name, left);
    for (std::size_t k = 0; k < values.size(); ++k) {
      const std::size_t width = std::max<std::size_t>(8, heads[k].size());
      out += values[k] == 0 ? fmt::format("  {:>{}}", "", width)
                            : fmt::format("  {:>{}.2f}", values[k], width);
    }
    while (out.back() == ' ') out.pop_back();
  };
  for (std::size_t s = 0; s < stages_.size(); ++s) line(stages_[s], rows[s]);
  line("total", totals);
  for (const std::string& note : notes_) out += "\n" + note;
  return out + "\n";
}

}  // namespace dlc
