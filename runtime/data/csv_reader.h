#pragma once
// Tables as text (RFC 4180): records of fields, a field in quotes may hold separators, newlines and
// doubled quotes.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dlc {

/// A decimal number with optional sign, fraction, exponent and spaces around; also "nan" and "inf".
/// Infinite when it is too large for a double.
std::optional<double> parse_number(std::string_view s);
/// The text of a field for a message: cut, at a whole character, when it is long.
std::string shortened(const std::string& text);

/// The rows of one file, in order. Every error is a UserError with the path and the row.
class CsvReader {
 public:
  CsvReader(const std::string& path, char separator);

  const std::string& path() const { return path_; }
  /// From the first row unless it holds numbers only; then "1", "2", ...
  const std::vector<std::string>& names() const { return names_; }
  /// The position of a column; an error that lists the columns when there is none, or several.
  std::size_t find(const std::string& column) const;
  /// The positions of the columns asked for; all without any.
  std::vector<std::size_t> select(const std::vector<std::string>& columns) const;

  /// Before the first row of data again.
  void rewind();
  /// The next row of data into fields; false after the last one.
  bool next_row();
  const std::string& field(std::size_t column) const { return fields_[column]; }
  /// The field as a finite f32.
  float number(std::size_t column) const;
  std::int64_t rows() const { return row_; }  // so far

  /// An error about a field of this row.
  [[noreturn]] void fail(std::size_t column, const std::string& why) const;

 private:
  [[noreturn]] void fail(const std::string& message) const;
  bool next();
  void parse_record();
  bool at_line_end() const;
  void parse_field(std::string& field);

  std::string path_, text_;
  char separator_;
  std::size_t at_ = 0, width_ = 0;
  std::int64_t line_ = 1, first_line_ = 1, row_ = 0;
  bool has_header_ = false, quoted_ = false;
  std::vector<std::string> names_, fields_;
};

}  // namespace dlc
