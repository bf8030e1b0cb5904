// The format of the MNIST files: two zero bytes, the element type, the rank, the extents as
// big-endian 32-bit integers, then the elements, big-endian, the last axis fastest.
#include <algorithm>
#include <bit>
#include <cstring>

#include "ir/support/check.h"
#include "runtime/data/byte_reader.h"
#include "runtime/data/formats.h"

namespace dlc {

namespace {

struct ElementKind {
  std::uint8_t code;
  std::size_t bytes;
  dlc_dtype dtype;  // what a tensor holds them as
};
constexpr ElementKind kKinds[] = {
    {0x08, 1, DLC_U8},   // unsigned byte
    {0x09, 1, DLC_I32},  // signed byte
    {0x0B, 2, DLC_I32},  // short
    {0x0C, 4, DLC_I32},  // int
    {0x0D, 4, DLC_F32},  // float
    {0x0E, 8, DLC_F64},  // double
};

std::uint64_t big_endian(const std::uint8_t* p, std::size_t bytes) {
  std::uint64_t v = 0;
  for (std::size_t k = 0; k < bytes; ++k) v = v << 8 | p[k];
  return v;
}

void convert(const ElementKind& kind, const std::uint8_t* from, std::size_t count, Tensor& to,
             std::size_t first) {
  for (std::size_t k = 0; k < count; ++k) {
    const std::uint64_t bits = big_endian(from + k * kind.bytes, kind.bytes);
    switch (kind.code) {
      case 0x09:
        to.as<std::int32_t>()[first + k] = static_cast<std::int8_t>(bits);
        break;
      case 0x0B:
        to.as<std::int32_t>()[first + k] = static_cast<std::int16_t>(bits);
        break;
      case 0x0E:
        to.as<double>()[first + k] = std::bit_cast<double>(bits);
        break;
      default: {
        const auto word = static_cast<std::uint32_t>(bits);
        std::memcpy(to.as<std::uint32_t>() + first + k, &word, sizeof word);
      }
    }
  }
}

}  // namespace

FileContent read_idx(const std::string& path, bool only_header) {
  ByteReader in(path);
  std::uint8_t magic[4];
  in.read(magic, sizeof magic, "the header");
  const auto* kind = std::find_if(std::begin(kKinds), std::end(kKinds),
                                  [&](const ElementKind& k) { return k.code == magic[2]; });
  if (magic[0] != 0 || magic[1] != 0)
    in.fail(0, "this is not an idx file: it starts with two zero bytes");
  if (kind == std::end(kKinds))
    in.fail(2, fmt::format("there is no idx element type 0x{:02x}", magic[2]));
  FileContent result;
  result.header.dtype = kind->dtype;
  for (int axis = 0; axis < magic[3]; ++axis) {
    std::uint8_t extent[4];
    in.read(extent, sizeof extent, fmt::format("the extent of axis {}", axis));
    result.header.shape.push_back(static_cast<std::int64_t>(big_endian(extent, 4)));
  }
  const std::size_t count = in.checked_count(result.header.shape, kind->bytes);
  if (only_header) return result;
  result.tensor = Tensor(kind->dtype, result.header.shape);
  if (kind->dtype == DLC_U8) {
    in.read(result.tensor.data(), count, "the elements");
  } else {
    std::vector<std::uint8_t> part(std::min<std::size_t>(count, 1 << 16) * kind->bytes);
    for (std::size_t first = 0; first < count;) {
      const std::size_t n = std::min<std::size_t>(count - first, 1 << 16);
      in.read(part.data(), n * kind->bytes, "the elements");
      convert(*kind, part.data(), n, result.tensor, first);
      first += n;
    }
  }
  in.expect_end();
  return result;
}

}  // namespace dlc
