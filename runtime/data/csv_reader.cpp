#include "runtime/data/csv_reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "ir/support/check.h"
#include "runtime/data/byte_reader.h"

namespace dlc {

std::optional<double> parse_number(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
  if (s.size() > 1 && s[0] == '+' && s[1] != '-') s.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), value);
  if (s.empty() || end != s.data() + s.size() || error == std::errc::invalid_argument)
    return std::nullopt;
  // from_chars does not say in which direction a number is out of range.
  if (error == std::errc::result_out_of_range) value = std::strtod(std::string(s).c_str(), nullptr);
  return value;
}

std::string shortened(const std::string& text) {
  std::size_t cut = std::min<std::size_t>(text.size(), 40);
  while (cut < text.size() && cut > 0 && (text[cut] & 0xC0) == 0x80) --cut;
  return text.substr(0, cut) + (cut < text.size() ? "..." : "");
}

CsvReader::CsvReader(const std::string& path, char separator)
    : path_(path), text_(read_whole(path)), separator_(separator) {
  if (!next()) throw UserError(fmt::format("{}: the table is empty", path_));
  width_ = fields_.size();
  for (const std::string& f : fields_) has_header_ |= !f.empty() && !parse_number(f);
  if (has_header_) {
    names_ = fields_;
  } else {
    for (std::size_t k = 0; k < width_; ++k) names_.push_back(std::to_string(k + 1));
  }
  // What is no header is a row.
  if (!has_header_) rewind();
}

void CsvReader::rewind() {
  at_ = 0, line_ = 1, row_ = 0;
  if (has_header_) next();
}

std::size_t CsvReader::find(const std::string& column) const {
  if (!has_header_)
    throw UserError(
        fmt::format("{}: the first row holds numbers only, so there is no header to "
                    "find column `{}` in",
                    path_, column));
  std::optional<std::size_t> found;
  for (std::size_t k = 0; k < width_; ++k) {
    if (names_[k] != column) continue;
    if (found)
      throw UserError(fmt::format("{}: columns {} and {} are both called `{}`", path_, *found + 1,
                                  k + 1, column));
    found = k;
  }
  if (!found)
    throw UserError(fmt::format("{}: there is no column `{}`; the columns are {}", path_, column,
                                fmt::join(names_, ", ")));
  return *found;
}

std::vector<std::size_t> CsvReader::select(const std::vector<std::string>& columns) const {
  std::vector<std::size_t> result;
  for (const std::string& column : columns) result.push_back(find(column));
  if (columns.empty())
    for (std::size_t k = 0; k < width_; ++k) result.push_back(k);
  return result;
}

bool CsvReader::next_row() {
  if (!next()) return false;
  ++row_;
  if (fields_.size() != width_)
    fail(fmt::format("{} fields, the first row of the file has {}", fields_.size(), width_));
  return true;
}

float CsvReader::number(std::size_t column) const {
  const std::string& text = fields_[column];
  if (text.find_first_not_of(" \t") == std::string::npos) fail(column, "the value is missing");
  const std::optional<double> n = parse_number(text);
  if (!n) fail(column, fmt::format("`{}` is not a number", shortened(text)));
  if (!(std::abs(*n) <= std::numeric_limits<float>::max()))
    fail(column, fmt::format("`{}` is not a finite number of f32", shortened(text)));
  return static_cast<float>(*n);
}

void CsvReader::fail(std::size_t column, const std::string& why) const {
  fail(fmt::format("column `{}`: {}", names_[column], why));
}

void CsvReader::fail(const std::string& message) const {
  throw UserError(fmt::format("{}: row {} (line {}): {}", path_, row_, first_line_, message));
}

/// One record into fields_; lines without any character are allowed at the end only (where a
/// single column has a missing value otherwise).
bool CsvReader::next() {
  std::int64_t blank_line = 0;
  while (at_ < text_.size()) {
    first_line_ = line_;
    parse_record();
    const bool blank = fields_.size() == 1 && fields_[0].empty() && !quoted_;
    if (!blank) {
      if (blank_line > 0) throw UserError(fmt::format("{}: line {} is empty", path_, blank_line));
      return true;
    }
    if (blank_line == 0) blank_line = first_line_;
  }
  return false;
}

/// record = field { separator field } (newline | end)
void CsvReader::parse_record() {
  std::size_t count = 0;
  quoted_ = false;
  for (bool more = true; more; ++count) {
    if (count == fields_.size()) fields_.emplace_back();
    parse_field(fields_[count]);
    more = at_ < text_.size() && text_[at_] == separator_;
    if (more) ++at_;
  }
  fields_.resize(count);
  if (at_ < text_.size() && text_[at_] == '\r') ++at_;
  if (at_ < text_.size()) ++at_, ++line_;
}

bool CsvReader::at_line_end() const {
  return text_[at_] == '\n' ||
         (text_[at_] == '\r' && (at_ + 1 == text_.size() || text_[at_ + 1] == '\n'));
}

void CsvReader::parse_field(std::string& field) {
  field.clear();
  if (at_ >= text_.size() || text_[at_] != '"') {
    const std::size_t begin = at_;
    while (at_ < text_.size() && text_[at_] != separator_ && !at_line_end()) ++at_;
    field.assign(text_, begin, at_ - begin);
    return;
  }
  quoted_ = true;
  const std::int64_t opened = line_;
  for (++at_;; ++at_) {
    if (at_ >= text_.size())
      throw UserError(fmt::format("{}: the quote opened in line {} is not closed", path_, opened));
    if (text_[at_] == '"' && (at_ + 1 >= text_.size() || text_[at_ + 1] != '"')) break;
    if (text_[at_] == '"') ++at_;
    if (text_[at_] == '\n') ++line_;
    field += text_[at_];
  }
  ++at_;
  if (at_ < text_.size() && text_[at_] != separator_ && !at_line_end())
    throw UserError(
        fmt::format("{}: line {}: text follows a closing quote; a quote inside a quoted field is "
                    "written twice",
                    path_, line_));
}

}  // namespace dlc
