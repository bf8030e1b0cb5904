#pragma once
// What the stages of compiling took, for --time-passes.
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dlc {

class CompileTimes {
 public:
  /// Adds to the time of a stage of a program; rows and columns of the table are in the order of
  /// first mention. An empty program is what comes before all programs.
  void add(std::string_view program, std::string_view stage, double ms);
  /// Wall time of a program, or of what comes before: part of the total.
  void add_total(std::string_view program, double ms);
  /// A line below the table.
  void note(std::string line) { notes_.push_back(std::move(line)); }
  std::string table() const;

 private:
  struct Column {
    std::string program;
    double total = 0;
    std::vector<std::pair<std::size_t, double>> stages;
  };
  Column& column(std::string_view program);

  std::vector<std::string> stages_;
  std::vector<Column> columns_;
  std::vector<std::string> notes_;
};

}  // namespace dlc
