// Columns of tables as numbers, f32[rows, columns]: those asked for by name; all that hold numbers,
// with NaN where one is missing; and texts as categories. A table may be in several files, whose
// rows follow each other; it has the columns that all of them have.
#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "ir/support/check.h"
#include "runtime/data/csv_reader.h"
#include "runtime/data/formats.h"

namespace dlc {

namespace {

constexpr std::size_t kMostCategories = 1000;

char separator_of(const std::string& reader) { return reader == "tsv" ? '\t' : ','; }

FileContent content(std::int64_t rows, std::size_t columns, const std::vector<float>& values,
                    bool only_header) {
  FileContent result;
  result.header = {DLC_F32, {rows, static_cast<std::int64_t>(columns)}};
  if (!only_header) result.tensor = Tensor::copy_of(DLC_F32, result.header.shape, values.data());
  return result;
}

void check_rows(const CsvReader& csv) {
  if (csv.rows() == 0)
    throw UserError(fmt::format("{}: the table has a header, but no rows", csv.path()));
}

/// As people and programs write that a value is not known.
bool is_missing(const std::string& text) {
  static const std::set<std::string> words = {"", "NA", "N/A", "NaN", "nan", "null", "NULL", "?"};
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string::npos) return true;
  return words.contains(text.substr(first, text.find_last_not_of(" \t") - first + 1));
}

/// What a column holds, over all files.
struct Column {
  std::string name;
  bool numeric = true, missing = false;
  std::set<std::string> texts;  // all that are different, up to a number
};

/// The columns of several files, and how many rows they have together.
class Tables {
 public:
  Tables(const std::vector<std::string>& paths, char separator,
         const std::vector<std::string>& skip) {
    for (const std::string& path : paths) files_.emplace_back(path, separator);
    find_columns(skip);
    for_each_row([this](const CsvReader& csv, const std::vector<std::size_t>& at) {
      for (std::size_t k = 0; k < at.size(); ++k) look_at(columns_[k], csv.field(at[k]));
      ++rows_;
    });
  }

  const std::vector<Column>& columns() const { return columns_; }
  std::int64_t rows() const { return rows_; }

  /// f(reader, position of each of columns()) for every row.
  template <class F>
  void for_each_row(const F& f) {
    for (CsvReader& csv : files_) {
      csv.rewind();
      std::vector<std::size_t> at;
      for (const Column& c : columns_) at.push_back(csv.find(c.name));
      while (csv.next_row()) f(csv, at);
      check_rows(csv);
    }
  }

 private:
  void find_columns(const std::vector<std::string>& skip) {
    const auto has = [](const CsvReader& csv, const std::string& name) {
      return std::find(csv.names().begin(), csv.names().end(), name) != csv.names().end();
    };
    for (const std::string& name : skip)
      if (std::none_of(files_.begin(), files_.end(),
                       [&](const CsvReader& csv) { return has(csv, name); }))
        throw UserError(fmt::format("{}: there is no column `{}` to skip; the columns are {}",
                                    files_[0].path(), name, fmt::join(files_[0].names(), ", ")));
    for (const std::string& name : files_[0].names())
      if (std::all_of(files_.begin(), files_.end(),
                      [&](const CsvReader& csv) { return has(csv, name); }) &&
          std::find(skip.begin(), skip.end(), name) == skip.end())
        columns_.push_back({name, true, false, {}});
    if (!columns_.empty()) return;
    std::vector<std::string> paths;
    for (const CsvReader& csv : files_) paths.push_back(csv.path());
    throw UserError(fmt::format("{}: the files have no column in common", fmt::join(paths, ", ")));
  }

  static void look_at(Column& c, const std::string& field) {
    if (is_missing(field)) {
      c.missing = true;
      return;
    }
    // A column of numbers is one until the first text; its numbers so far are categories then.
    if (c.numeric && !parse_number(field)) c.numeric = false;
    if (c.texts.size() <= kMostCategories) c.texts.insert(field);
  }

  std::vector<CsvReader> files_;
  std::vector<Column> columns_;
  std::int64_t rows_ = 0;
};

}  // namespace

FileContent read_csv(const std::string& reader, const std::vector<std::string>& paths,
                     const std::vector<std::string>& columns, bool only_header) {
  std::vector<float> values;
  std::int64_t rows = 0;
  std::size_t width = 0;
  std::vector<std::string> wanted = columns;
  for (const std::string& path : paths) {
    CsvReader csv(path, separator_of(reader));
    if (wanted.empty() && paths.size() > 1) wanted = csv.names();
    const std::vector<std::size_t> selected = csv.select(wanted);
    width = selected.size();
    while (csv.next_row())
      if (!only_header)
        for (const std::size_t k : selected) values.push_back(csv.number(k));
    check_rows(csv);
    rows += csv.rows();
  }
  return content(rows, width, values, only_header);
}

FileContent read_numeric(const std::vector<std::string>& paths,
                         const std::vector<std::string>& options, bool only_header) {
  Tables tables(paths, separator_of(options.at(0)), {options.begin() + 1, options.end()});
  const auto& columns = tables.columns();
  const auto width = static_cast<std::size_t>(
      std::count_if(columns.begin(), columns.end(), [](const Column& c) { return c.numeric; }));
  if (width == 0)
    throw UserError(
        fmt::format("{}: no column holds numbers only; the columns are texts", paths[0]));
  std::vector<float> values;
  if (!only_header)
    tables.for_each_row([&](const CsvReader& csv, const std::vector<std::size_t>& at) {
      for (std::size_t k = 0; k < at.size(); ++k)
        if (columns[k].numeric)
          values.push_back(is_missing(csv.field(at[k])) ? std::numeric_limits<float>::quiet_NaN()
                                                        : csv.number(at[k]));
    });
  return content(tables.rows(), width, values, only_header);
}

FileContent read_categorical(const std::vector<std::string>& paths,
                             const std::vector<std::string>& options, bool only_header) {
  Tables tables(paths, separator_of(options.at(0)), {options.begin() + 1, options.end()});
  const auto& columns = tables.columns();
  std::size_t width = 0;
  for (const Column& c : columns) {
    if (c.numeric) continue;
    if (c.texts.size() > kMostCategories)
      throw UserError(
          fmt::format("{}: column `{}` has more than {} different texts, too many for "
                      "categories; leave it out: skip: [\"{}\"]",
                      paths[0], c.name, kMostCategories, c.name));
    width += c.texts.size() + (c.missing ? 1 : 0);
  }
  if (width == 0) throw UserError(fmt::format("{}: no column holds texts", paths[0]));
  std::vector<float> values;
  if (!only_header)
    tables.for_each_row([&](const CsvReader& csv, const std::vector<std::size_t>& at) {
      for (std::size_t k = 0; k < at.size(); ++k) {
        const Column& c = columns[k];
        if (c.numeric) continue;
        const bool missing = is_missing(csv.field(at[k]));
        for (const std::string& text : c.texts)
          values.push_back(!missing && csv.field(at[k]) == text ? 1.0f : 0.0f);
        if (c.missing) values.push_back(missing ? 1.0f : 0.0f);
      }
    });
  return content(tables.rows(), width, values, only_header);
}

}  // namespace dlc
