#include "runtime/atomic_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "ir/support/check.h"

namespace dlc {

namespace fs = std::filesystem;

namespace {

UserError cannot_write(const std::string& path, int error) {
  return UserError(fmt::format("{}: cannot be written: {}", path, std::strerror(error)));
}

/// A new file, removed again unless it is renamed to its target.
class NewFile {
 public:
  /// `target` is where the content is to end up. A link is followed, so that the link stays one.
  explicit NewFile(const std::string& target) : shown_(target), target_(target) {
    std::error_code ignored;
    if (fs::is_symlink(target, ignored)) {
      const fs::path real = fs::weakly_canonical(target, ignored);
      if (!ignored) target_ = real.string();
    }
    if (target.empty()) throw UserError("the name of the file to write is empty");
    if (fs::is_directory(target_, ignored)) throw cannot_write(shown_, EISDIR);
    direct_ = fs::exists(target_, ignored) && !fs::is_regular_file(target_, ignored);
    // Renaming replaces a read-only file without asking; we ask.
    if (fs::exists(target_, ignored) && access(target_.c_str(), W_OK) != 0)
      throw cannot_write(shown_, errno);
    for (int attempt = 0; fd_ < 0; ++attempt) {
      temporary_ = direct_ ? target_ : fmt::format("{}.new-{}-{}", target_, getpid(), attempt);
      fd_ = open(temporary_.c_str(),
                 direct_ ? O_WRONLY | O_CLOEXEC : O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (fd_ < 0 && (errno != EEXIST || attempt > 100)) throw cannot_write(shown_, errno);
    }
    struct stat old {};
    if (!direct_ && stat(target_.c_str(), &old) == 0 && fchmod(fd_, old.st_mode & 07777) != 0)
      fail();
  }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;
  ~NewFile() {
    if (fd_ >= 0) close(fd_);
    if (!direct_ && !renamed_) unlink(temporary_.c_str());
  }

  void write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t n =
          ::write(fd_, bytes.data(), std::min<std::size_t>(bytes.size(), std::size_t{1} << 30));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) fail();
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
  }

  void commit() {
    if (direct_) return;
    if (fsync(fd_) != 0) fail();
    const int closed = close(fd_);
    fd_ = -1;
    if (closed != 0 || rename(temporary_.c_str(), target_.c_str()) != 0) fail();
    renamed_ = true;
    // The name is safe once the folder is on the disk, too; some file systems cannot do that.
    const std::string folder = fs::path(target_).parent_path().string();
    const int dir = open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) return;
    (void)fsync(dir);
    close(dir);
  }

 private:
  [[noreturn]] void fail() const { throw cannot_write(shown_, errno); }

  std::string shown_, target_, temporary_;
  int fd_ = -1;
  bool direct_ = false, renamed_ = false;
};

}  // namespace

void write_file_atomically(const std::string& path,
                           std::span<const std::span<const std::byte>> pieces) {
  NewFile file(path);
  for (const std::span<const std::byte> piece : pieces) file.write(piece);
  file.commit();
}

void check_writable(const std::string& path) { const NewFile file(path); }

}  // namespace dlc
