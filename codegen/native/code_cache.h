#pragma once
// Object code on the disk, one file a program, found by a hash of all that it follows from. Nothing
// in here fails: where there is no usable cache, nothing is found and nothing is stored.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "codegen/native/compiled_program.h"
#include "codegen/native/sha256.h"

namespace dlc {

/// Of the program, the machine, the vector width asked for, whether kernels are told of, and this
/// build of dlc.
Digest cache_key(const loop::Program& p, int vector_bits, bool profile = false);
/// The same for a given machine and build.
Digest cache_key(const loop::Program& p, int vector_bits, const std::string& host,
                 const std::string& build, bool profile = false);

class CodeCache {
 public:
  static constexpr std::uint64_t kDefaultBytes = std::uint64_t{256} << 20;

  /// As the environment says: DLC_CACHE, DLC_CACHE_DIR, DLC_CACHE_MIB, XDG_CACHE_HOME, HOME.
  /// nullopt when it is turned off or has no place.
  static std::optional<CodeCache> from_environment();
  explicit CodeCache(std::string directory, std::uint64_t max_bytes = kDefaultBytes)
      : directory_(std::move(directory)), max_bytes_(max_bytes) {}

  std::optional<ObjectCode> find(const Digest& key) const;
  /// Returns whether it was stored. Removes what was used longest ago when there is too much.
  bool store(const Digest& key, const ObjectCode& code) const;

  /// The file of a key.
  std::string path(const Digest& key) const;

 private:
  std::string directory_;
  std::uint64_t max_bytes_;
};

}  // namespace dlc
