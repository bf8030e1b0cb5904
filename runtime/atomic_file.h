#pragma once
// Files that are written whole or not at all.
#include <cstddef>
#include <span>
#include <string>

namespace dlc {

/// Writes the pieces one after the other to a new file beside `path`, flushes it to the disk and
/// renames it over `path`: whoever reads `path` sees the old content or all of the new one, even
/// after a crash. A UserError names the path and the reason (no such folder, no permission, disk
/// full); the old file is then untouched. A device or pipe is written to directly.
void write_file_atomically(const std::string& path,
                           std::span<const std::span<const std::byte>> pieces);

/// A UserError when write_file_atomically(path, ...) could not even start. Leaves nothing behind.
void check_writable(const std::string& path);

}  // namespace dlc
