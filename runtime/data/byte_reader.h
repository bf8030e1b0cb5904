#pragma once
// The bytes of a data file in order, decompressed when its first bytes say gzip (whatever its
// name). Every error is a UserError with the path and the byte.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

struct gzFile_s;

namespace dlc {

class ByteReader {
 public:
  /// UserError unless `path` is a regular file that can be read.
  explicit ByteReader(const std::string& path);
  ByteReader(const ByteReader&) = delete;
  ByteReader& operator=(const ByteReader&) = delete;
  ~ByteReader();

  /// Exactly `n` bytes; an error says that the file ends inside `what`.
  void read(void* to, std::size_t n, std::string_view what);
  /// Up to `n` bytes; 0 at the end.
  std::size_t read_some(void* to, std::size_t n);
  /// An error when there are more bytes.
  void expect_end();

  /// Bytes read so far (of the decompressed content).
  std::size_t offset() const { return offset_; }
  /// The content has at most this many bytes: exactly the file's size, or for gzip what deflate
  /// could make of it. Headers are held against it before anything is allocated.
  std::size_t bound() const { return bound_; }
  bool compressed() const { return compressed_; }

  /// The number of elements of `shape`; an error, at the present byte, when what is left of the
  /// file cannot hold them at `element_bytes` each, or when the product overflows.
  std::size_t checked_count(const std::vector<std::int64_t>& shape, std::size_t element_bytes);

  /// "path: byte 16: message", `byte` counted from 0.
  [[noreturn]] void fail(std::size_t byte, std::string_view message) const;

 private:
  std::string path_;
  gzFile_s* file_ = nullptr;
  std::size_t offset_ = 0, bound_ = 0;
  bool compressed_ = false;
};

/// All of a file, decompressed, without a byte order mark.
std::string read_whole(const std::string& path);

}  // namespace dlc
