#pragma once
// What libFuzzer's targets share. A UserError is an answer; every other exception, and what the
// sanitizers see, is a crash.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "ir/support/check.h"

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// A file in memory with these bytes; the same one each time.
inline std::string file_of(std::string_view bytes) {
  static const int fd = memfd_create("fuzz", 0);
  DLC_CHECK(fd >= 0 && ftruncate(fd, 0) == 0 &&
                pwrite(fd, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()),
            "no file in memory");
  return fmt::format("/proc/self/fd/{}", fd);
}

template <class F>
void allow_user_errors(const F& f) {
  try {
    f();
  } catch (const dlc::UserError&) {
  }
}
