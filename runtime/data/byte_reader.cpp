#include "runtime/data/byte_reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "ir/support/check.h"

namespace dlc {

namespace {

/// Deflate stores at most 258 bytes in two bits: a bound on what a compressed file can hold.
constexpr std::size_t kMostBytesPerCompressedByte = 1032;
constexpr std::size_t kLargestBound = std::size_t{1} << 46;

}  // namespace

ByteReader::ByteReader(const std::string& path) : path_(path) {
  // Not blocking, so that a pipe is refused instead of waited for.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) throw UserError(fmt::format("{}: cannot be read: {}", path, std::strerror(errno)));
  struct stat info {};
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    close(fd);
    throw UserError(fmt::format("{}: {}, a file is expected", path,
                                S_ISDIR(info.st_mode) ? "is a directory" : "is not a plain file"));
  }
  file_ = gzdopen(fd, "rb");
  if (!file_) {
    close(fd);
    throw UserError(fmt::format("{}: there is not enough memory to read it", path));
  }
  gzbuffer(file_, 1 << 17);
  compressed_ = gzdirect(file_) == 0;
  const std::size_t size = std::min(static_cast<std::size_t>(info.st_size), kLargestBound);
  bound_ = compressed_ ? std::min(kLargestBound, size * kMostBytesPerCompressedByte) : size;
}

ByteReader::~ByteReader() {
  if (file_) gzclose(file_);
}

std::size_t ByteReader::read_some(void* to, std::size_t n) {
  std::size_t done = 0;
  while (done < n) {
    const auto part = static_cast<unsigned>(std::min<std::size_t>(n - done, std::size_t{1} << 30));
    const int got = gzread(file_, static_cast<char*>(to) + done, part);
    int error = Z_OK;
    const char* message =
        got < 0 || static_cast<unsigned>(got) < part ? gzerror(file_, &error) : "";
    if (got > 0) {
      done += static_cast<std::size_t>(got);
      offset_ += static_cast<std::size_t>(got);
    }
    if (error == Z_BUF_ERROR) fail(offset_, "the compressed file is cut off");
    if (error == Z_ERRNO) fail(offset_, std::strerror(errno));
    if (error < 0) fail(offset_, fmt::format("the compressed data are damaged ({})", message));
    if (got <= 0) break;
  }
  return done;
}

void ByteReader::read(void* to, std::size_t n, std::string_view what) {
  const std::size_t got = read_some(to, n);
  if (got < n)
    fail(offset_,
         fmt::format("the file ends inside {}, {} more bytes are expected", what, n - got));
}

void ByteReader::expect_end() {
  char more;
  const std::size_t end = offset_;
  if (read_some(&more, 1) > 0) fail(end, "the file goes on after the end of its content");
}

std::size_t ByteReader::checked_count(const std::vector<std::int64_t>& shape,
                                      std::size_t element_bytes) {
  // Extents other than 0 are multiplied first: a 0 must not hide an absurd extent.
  std::size_t bytes = element_bytes;
  bool empty = false, fits = true;
  for (const std::int64_t d : shape) {
    if (d == 0)
      empty = true;
    else
      fits = fits && d > 0 && bytes <= kLargestBound / static_cast<std::size_t>(d);
    if (fits && d != 0) bytes *= static_cast<std::size_t>(d);
  }
  if (!fits || (!empty && bytes > bound_ - std::min(offset_, bound_)))
    fail(offset_, fmt::format("the header promises [{}] elements of {} bytes, the file has {}{} "
                              "bytes left",
                              fmt::join(shape, ", "), element_bytes, compressed_ ? "at most " : "",
                              bound_ - std::min(offset_, bound_)));
  return empty ? 0 : bytes / element_bytes;
}

void ByteReader::fail(std::size_t byte, std::string_view message) const {
  throw UserError(fmt::format("{}: byte {}: {}", path_, byte, message));
}

std::string read_whole(const std::string& path) {
  ByteReader in(path);
  std::string text;
  constexpr std::size_t kPart = 1 << 20;
  for (std::size_t got = kPart; got == kPart;) {
    const std::size_t size = text.size();
    text.resize(size + kPart);
    got = in.read_some(text.data() + size, kPart);
    text.resize(size + got);
  }
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
  return text;
}

}  // namespace dlc
