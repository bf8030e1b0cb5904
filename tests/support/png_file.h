#pragma once
// The bytes of a PNG file.
#include <doctest/doctest.h>
#include <png.h>

#include <cstdint>
#include <string>
#include <vector>

/// Of [height, width, channels]: 1 gray, 3 colours, 4 with transparency.
inline std::string png(int height, int width, int channels,
                       const std::vector<std::uint8_t>& pixels) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  image.format = channels == 1 ? PNG_FORMAT_GRAY : channels == 3 ? PNG_FORMAT_RGB : PNG_FORMAT_RGBA;
  std::string out(4096 + pixels.size() * 2, '\0');
  png_alloc_size_t size = out.size();
  REQUIRE(png_image_write_to_memory(&image, out.data(), &size, 0, pixels.data(), 0, nullptr));
  out.resize(size);
  return out;
}
