#pragma once
// One reader per format, for readers.cpp. `only_header` leaves the elements unread where the format
// allows it and returns a tensor without rows.
#include "runtime/data/readers.h"

namespace dlc {

/// The file's element type and shape, and its content unless only the header was asked for.
struct FileContent {
  FileHeader header;
  Tensor tensor;
};

FileContent read_idx(const std::string& path, bool only_header);
FileContent read_npy(const std::string& path, bool only_header);
/// Tables: `reader` is "csv" or "tsv", and so is the first of the `options`; what follows are
/// columns to skip.
FileContent read_csv(const std::string& reader, const std::vector<std::string>& paths,
                     const std::vector<std::string>& columns, bool only_header);
FileContent read_numeric(const std::vector<std::string>& paths,
                         const std::vector<std::string>& options, bool only_header);
FileContent read_categorical(const std::vector<std::string>& paths,
                             const std::vector<std::string>& options, bool only_header);
FileContent read_pictures(const std::string& path, const std::vector<std::string>& options,
                          bool only_header);
FileContent read_classes(const std::string& path, bool only_header);

}  // namespace dlc
