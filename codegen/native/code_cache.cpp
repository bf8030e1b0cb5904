// A file is
//
//   magic and format | key | length of the rest, its SHA-256 | the rest: libLLVM's stamp, the
//   objects
//
// and is used only if every bit of that is as expected.
#include "codegen/native/code_cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <utility>
#include <vector>

#include "codegen/native/host.h"
#include "ir/loop/fingerprint.h"

namespace dlc {

namespace {

constexpr std::string_view kMagic = "dlc code 1\n";
constexpr std::string_view kEnding = ".code";
constexpr std::string_view kTemporary = "tmp-";

/// Closes a file descriptor.
class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  File(File&& o) noexcept : fd_(std::exchange(o.fd_, -1)) {}
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  explicit operator bool() const { return fd_ >= 0; }
  int fd() const { return fd_; }

 private:
  int fd_;
};

bool is_ours_alone(const struct stat& s) {
  return s.st_uid == geteuid() && (s.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/// The cache's directory, if it can be trusted.
File open_directory(const std::string& path) {
  File dir(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct stat s {};
  if (!dir || fstat(dir.fd(), &s) != 0 || !is_ours_alone(s)) return File(-1);
  return dir;
}

File make_directory(const std::string& path) {
  std::error_code ignored;
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  // As the rules for such directories want it: what is missing is made for the user alone.
  std::string done;
  for (const std::filesystem::path& part : parent) {
    if (!done.empty() && done.back() != '/') done += '/';
    done += part.string();
    if (!std::filesystem::exists(done, ignored)) mkdir(done.c_str(), 0700);
  }
  mkdir(path.c_str(), 0700);
  return open_directory(path);
}

std::optional<std::string> read_all(int fd, std::uint64_t size) {
  std::string bytes(size, '\0');
  std::size_t have = 0;
  while (have < size) {
    const ssize_t got = read(fd, bytes.data() + have, size - have);
    if (got <= 0) return std::nullopt;
    have += static_cast<std::size_t>(got);
  }
  return bytes;
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t done = write(fd, bytes.data(), bytes.size());
    if (done <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(done));
  }
  return true;
}

void put(std::string& out, std::uint64_t v) {
  for (int k = 0; k < 8; ++k) out += static_cast<char>(v >> (8 * k));
}
void put(std::string& out, std::string_view s) {
  put(out, s.size());
  out += s;
}

/// Reads what `put` wrote; nothing once the bytes are at their end.
struct Reader {
  std::string_view left;
  bool good = true;

  std::string_view bytes(std::uint64_t count) {
    if (count > left.size()) {
      good = false;
      return {};
    }
    const std::string_view result = left.substr(0, count);
    left.remove_prefix(count);
    return result;
  }
  std::uint64_t number() {
    std::uint64_t v = 0;
    const std::string_view b = bytes(8);
    for (std::size_t k = 0; k < b.size(); ++k)
      v |= std::uint64_t{static_cast<std::uint8_t>(b[k])} << (8 * k);
    return v;
  }
  std::string_view string() { return bytes(number()); }
};

/// A library as it lies on the disk: another version of it has another stamp.
std::string stamp(const std::string& path) {
  struct stat s {};
  if (path.empty() || stat(path.c_str(), &s) != 0) return {};
  std::string out;
  put(out, path);
  put(out, static_cast<std::uint64_t>(s.st_size));
  put(out, static_cast<std::uint64_t>(s.st_mtim.tv_sec));
  put(out, static_cast<std::uint64_t>(s.st_mtim.tv_nsec));
  return out;
}

std::string_view text_of(const Digest& d) {
  return {reinterpret_cast<const char*>(d.data()), d.size()};
}

std::string encode(const Digest& key, const ObjectCode& code) {
  std::string payload;
  put(payload, code.made_by);
  put(payload, stamp(code.made_by));
  put(payload, code.objects.size());
  for (const std::string& o : code.objects) put(payload, o);
  std::string file(kMagic);
  file += text_of(key);
  put(file, payload.size());
  file += text_of(sha256(payload));
  return file + payload;
}

std::optional<ObjectCode> decode(const Digest& key, std::string_view file) {
  Reader head{file};
  if (head.bytes(kMagic.size()) != kMagic || head.bytes(key.size()) != text_of(key))
    return std::nullopt;
  const std::uint64_t size = head.number();
  const std::string_view sum = head.bytes(key.size());
  if (!head.good || size != head.left.size() || sum != text_of(sha256(head.left)))
    return std::nullopt;
  ObjectCode code;
  Reader r{head.left};
  code.made_by = r.string();
  const std::string_view made_by = r.string();
  if (made_by.empty() || made_by != stamp(code.made_by)) return std::nullopt;
  for (std::uint64_t count = r.number(); count > 0 && r.good; --count)
    code.objects.emplace_back(r.string());
  if (!r.good || !r.left.empty()) return std::nullopt;
  return code;
}

struct Entry {
  std::string name;
  std::uint64_t size;
  timespec used;
};

/// Removes the files used longest ago until the rest fits, and what broken writers left behind.
void make_room(int dir, std::uint64_t max_bytes) {
  constexpr time_t kAbandoned = 3600;
  const int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* list = copy < 0 ? nullptr : fdopendir(copy);
  if (!list) {
    if (copy >= 0) close(copy);
    return;
  }
  std::vector<Entry> entries;
  std::uint64_t total = 0;
  while (const dirent* e = readdir(list)) {
    const std::string_view name = e->d_name;
    struct stat s {};
    if (!(name.ends_with(kEnding) || name.starts_with(kTemporary)) ||
        fstatat(dir, e->d_name, &s, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(s.st_mode))
      continue;
    if (name.starts_with(kTemporary)) {
      if (s.st_mtim.tv_sec + kAbandoned < time(nullptr)) unlinkat(dir, e->d_name, 0);
      continue;
    }
    entries.push_back({e->d_name, static_cast<std::uint64_t>(s.st_size), s.st_mtim});
    total += entries.back().size;
  }
  closedir(list);
  if (total <= max_bytes) return;
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::pair(a.used.tv_sec, a.used.tv_nsec) < std::pair(b.used.tv_sec, b.used.tv_nsec);
  });
  for (const Entry& e : entries) {
    if (total <= max_bytes) break;
    unlinkat(dir, e.name.c_str(), 0);
    total -= e.size;
  }
}

}  // namespace

Digest cache_key(const loop::Program& p, int vector_bits, const std::string& host,
                 const std::string& build, bool profile) {
  std::string all;
  put(all, build);
  put(all, std::uint64_t{DLC_ABI_VERSION});
  put(all, host);
  put(all, static_cast<std::uint64_t>(vector_bits));
  put(all, std::uint64_t{profile});
  put(all, loop::fingerprint(p));
  return sha256(all);
}

Digest cache_key(const loop::Program& p, int vector_bits, bool profile) {
  return cache_key(p, vector_bits, host_fingerprint(), build_id(), profile);
}

std::optional<CodeCache> CodeCache::from_environment() {
  const auto variable = [](const char* name) {
    const char* v = std::getenv(name);
    return std::string(v ? v : "");
  };
  if (variable("DLC_CACHE") == "0") return std::nullopt;
  std::uint64_t max_bytes = kDefaultBytes;
  if (const std::string mib = variable("DLC_CACHE_MIB"); !mib.empty())
    max_bytes = std::min<std::uint64_t>(std::strtoull(mib.c_str(), nullptr, 10), 1 << 20) << 20;
  if (const std::string dir = variable("DLC_CACHE_DIR"); !dir.empty())
    return CodeCache(dir, max_bytes);
  if (const std::string dir = variable("XDG_CACHE_HOME"); dir.starts_with('/'))
    return CodeCache(dir + "/dlc", max_bytes);
  if (const std::string dir = variable("HOME"); dir.starts_with('/'))
    return CodeCache(dir + "/.cache/dlc", max_bytes);
  return std::nullopt;
}

std::string CodeCache::path(const Digest& key) const {
  return directory_ + "/" + hex(key) + std::string(kEnding);
}

std::optional<ObjectCode> CodeCache::find(const Digest& key) const {
  const File dir = open_directory(directory_);
  if (!dir) return std::nullopt;
  const std::string name = hex(key) + std::string(kEnding);
  const File file(openat(dir.fd(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  struct stat s {};
  if (!file || fstat(file.fd(), &s) != 0 || !S_ISREG(s.st_mode) || !is_ours_alone(s) ||
      static_cast<std::uint64_t>(s.st_size) > max_bytes_)
    return std::nullopt;
  const std::optional<std::string> bytes =
      read_all(file.fd(), static_cast<std::uint64_t>(s.st_size));
  if (!bytes) return std::nullopt;
  std::optional<ObjectCode> code = decode(key, *bytes);
  if (code) futimens(file.fd(), nullptr);  // used now
  return code;
}

bool CodeCache::store(const Digest& key, const ObjectCode& code) const {
  // Without knowing which libLLVM made it, nobody could tell later whether the code is still good.
  if (stamp(code.made_by).empty()) return false;
  const std::string bytes = encode(key, code);
  if (bytes.size() > max_bytes_) return false;
  const File dir = make_directory(directory_);
  if (!dir) return false;
  const std::string name = hex(key) + std::string(kEnding);
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const std::string temporary = std::string(kTemporary) + std::to_string(getpid()) + "-" +
                                std::to_string(now.tv_sec) + "-" + std::to_string(now.tv_nsec);
  {
    const File file(openat(dir.fd(), temporary.c_str(),
                           O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file) return false;
    if (!write_all(file.fd(), bytes)) {
      unlinkat(dir.fd(), temporary.c_str(), 0);
      return false;
    }
  }
  if (renameat(dir.fd(), temporary.c_str(), dir.fd(), name.c_str()) != 0) {
    unlinkat(dir.fd(), temporary.c_str(), 0);
    return false;
  }
  make_room(dir.fd(), max_bytes_);
  return true;
}

}  // namespace dlc
