#pragma once
// Data files as strings of bytes, as other programs write them.
#include <doctest/doctest.h>
#include <zlib.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "ir/support/check.h"

/// An array of `T` as its bytes, little-endian.
template <class T>
std::string little(std::vector<T> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}
template <class T>
std::string big(std::vector<T> values) {
  std::string bytes;
  for (const T& v : values) {
    const std::string one = little<T>({v});
    bytes.append(one.rbegin(), one.rend());
  }
  return bytes;
}

inline std::string idx(std::uint8_t type, std::vector<std::uint32_t> shape,
                       const std::string& elements) {
  return std::string{'\0', '\0', static_cast<char>(type), static_cast<char>(shape.size())} +
         big(shape) + elements;
}

inline std::string npy(const std::string& header, const std::string& elements, int version = 1) {
  std::string text = header;
  const std::size_t start = version == 1 ? 10 : 12;
  text.resize((start + text.size() + 64) / 64 * 64 - start - 1, ' ');
  text += '\n';
  return std::string("\x93NUMPY") + static_cast<char>(version) + '\0' +
         (version == 1 ? little<std::uint16_t>({static_cast<std::uint16_t>(text.size())})
                       : little<std::uint32_t>({static_cast<std::uint32_t>(text.size())})) +
         text + elements;
}
inline std::string npy_of(const std::string& descr, const std::string& shape,
                          const std::string& elements, bool fortran = false) {
  return npy("{'descr': '" + descr + "', 'fortran_order': " + (fortran ? "True" : "False") +
                 ", 'shape': " + shape + ", }",
             elements);
}

inline std::string safetensors(const std::string& header, const std::string& data) {
  return little<std::uint64_t>({header.size()}) + header + data;
}

inline std::string gzip(const std::string& bytes) {
  z_stream z{};
  REQUIRE(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(bytes.size() + 1000, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  z.avail_in = static_cast<uInt>(bytes.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&z, Z_FINISH) == Z_STREAM_END);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

/// The message of the UserError that `f` ends with; "" when it does not.
template <class F>
std::string error_of(const F& f) {
  try {
    f();
  } catch (const dlc::UserError& e) {
    return e.what();
  }
  return "";
}
