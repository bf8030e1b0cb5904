// Folders of PNG and JPEG files: pictures u8[n, channels, height, width].
#include <png.h>
#include <turbojpeg.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <filesystem>
#include <memory>

#include "ir/support/check.h"
#include "runtime/data/byte_reader.h"
#include "runtime/data/class_folders.h"
#include "runtime/data/formats.h"

namespace dlc {

namespace fs = std::filesystem;

namespace {

struct Extent {
  std::int64_t height = 0, width = 0;
  bool operator==(const Extent&) const = default;
};
/// Interleaved: [height, width, channels].
struct Picture {
  Extent extent;
  std::vector<std::uint8_t> pixels;
};

enum class Format { None, Png, Jpeg };
Format format_of(const fs::path& path) {
  std::string ending = path.extension().string();
  for (char& c : ending) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (ending == ".png") return Format::Png;
  return ending == ".jpg" || ending == ".jpeg" ? Format::Jpeg : Format::None;
}

[[noreturn]] void malformed(const std::string& path, const char* kind, const char* message) {
  throw UserError(fmt::format("{}: not a {} picture that can be read: {}", path, kind, message));
}

/// Gray or colours of a PNG of any kind; where it is transparent, on black.
Picture read_png(const std::string& path, int channels, bool only_extent) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  const std::unique_ptr<png_image, decltype(&png_image_free)> freed(&image, png_image_free);
  if (!png_image_begin_read_from_file(&image, path.c_str())) malformed(path, "PNG", image.message);
  Picture p{{image.height, image.width}, {}};
  if (only_extent) return p;
  image.format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  p.pixels.resize(PNG_IMAGE_SIZE(image));
  const png_color black{0, 0, 0};
  if (!png_image_finish_read(&image, &black, p.pixels.data(), 0, nullptr))
    malformed(path, "PNG", image.message);
  return p;
}

Picture read_jpeg(const std::string& path, int channels, bool only_extent) {
  ByteReader in(path);
  std::vector<std::uint8_t> bytes(in.bound());
  bytes.resize(in.read_some(bytes.data(), bytes.size()));
  const std::unique_ptr<void, decltype(&tjDestroy)> decoder(tjInitDecompress(), tjDestroy);
  DLC_CHECK(decoder != nullptr, "no JPEG decoder: {}", tjGetErrorStr2(nullptr));
  int width = 0, height = 0, sampling = 0, space = 0;
  if (tjDecompressHeader3(decoder.get(), bytes.data(), bytes.size(), &width, &height, &sampling,
                          &space) != 0)
    malformed(path, "JPEG", tjGetErrorStr2(decoder.get()));
  Picture p{{height, width}, {}};
  if (only_extent) return p;
  p.pixels.resize(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) *
                  static_cast<std::size_t>(channels));
  // A cut-off file is a warning to the decoder, which paints the rest gray.
  if (tjDecompress2(decoder.get(), bytes.data(), bytes.size(), p.pixels.data(), width, 0, height,
                    channels == 1 ? TJPF_GRAY : TJPF_RGB, TJFLAG_STOPONWARNING) != 0)
    malformed(path, "JPEG", tjGetErrorStr2(decoder.get()));
  return p;
}

Picture read_picture(const std::string& path, int channels, bool only_extent) {
  return format_of(path) == Format::Png ? read_png(path, channels, only_extent)
                                        : read_jpeg(path, channels, only_extent);
}

/// What each of `to` places takes of `from`: linear interpolation, over as many places as fall
/// onto one when there are fewer (torchvision's resize with antialias).
struct Taps {
  std::int64_t first;
  std::vector<float> weights;
};
std::vector<Taps> taps_of(std::int64_t from, std::int64_t to) {
  const double scale = static_cast<double>(from) / static_cast<double>(to);
  const double reach = std::max(scale, 1.0);
  std::vector<Taps> result;
  for (std::int64_t i = 0; i < to; ++i) {
    const double center = (static_cast<double>(i) + 0.5) * scale;
    const auto begin = std::max<std::int64_t>(0, static_cast<std::int64_t>(center - reach + 0.5));
    const auto end = std::min(from, static_cast<std::int64_t>(center + reach + 0.5));
    Taps t{begin, {}};
    double sum = 0;
    for (std::int64_t k = begin; k < end; ++k) {
      const double far = std::abs(static_cast<double>(k) + 0.5 - center) / reach;
      t.weights.push_back(static_cast<float>(std::max(0.0, 1 - far)));
      sum += t.weights.back();
    }
    for (float& w : t.weights) w = static_cast<float>(w / sum);
    result.push_back(std::move(t));
  }
  return result;
}

/// [outer, from, inner] with the middle axis brought to `to` places.
std::vector<float> resized(const std::vector<float>& x, std::int64_t outer, std::int64_t from,
                           std::int64_t inner, std::int64_t to) {
  std::vector<float> y(static_cast<std::size_t>(outer * to * inner));
  const std::vector<Taps> taps = taps_of(from, to);
  for (std::int64_t o = 0; o < outer; ++o)
    for (std::int64_t i = 0; i < to; ++i) {
      const Taps& t = taps[static_cast<std::size_t>(i)];
      float* row = &y[static_cast<std::size_t>((o * to + i) * inner)];
      for (std::size_t k = 0; k < t.weights.size(); ++k) {
        const float* source = &x[static_cast<std::size_t>(
            (o * from + t.first + static_cast<std::int64_t>(k)) * inner)];
        for (std::int64_t j = 0; j < inner; ++j) row[j] += t.weights[k] * source[j];
      }
    }
  return y;
}

Picture resized(const Picture& p, const Extent& to, int channels) {
  if (p.extent == to) return p;
  std::vector<float> x(p.pixels.begin(), p.pixels.end());
  x = resized(x, 1, p.extent.height, p.extent.width * channels, to.height);
  x = resized(x, to.height, p.extent.width, channels, to.width);
  Picture result{to, {}};
  for (const float v : x) result.pixels.push_back(static_cast<std::uint8_t>(v + 0.5F));
  return result;
}

void check_extent(const ClassFolders::File& f, const Extent& e, const ClassFolders::File& first,
                  const Extent& wanted) {
  if (!(e == wanted))
    throw UserError(
        fmt::format("{}: {} x {}, but {} is {} x {}; give a size that all are brought to: "
                    "pictures(..., size: [{}, {}])",
                    f.path, e.height, e.width, first.path, wanted.height, wanted.width,
                    wanted.height, wanted.width));
}

}  // namespace

FileContent read_pictures(const std::string& path, const std::vector<std::string>& options,
                          bool only_header) {
  DLC_CHECK(options.size() == 3, "pictures: {} options", options.size());
  const int channels = std::stoi(options[0]);
  Extent extent{std::stoll(options[1]), std::stoll(options[2])};
  const ClassFolders all = list_class_folders(path, kPictures);
  const bool as_they_are = extent.height == 0;
  if (as_they_are) extent = read_picture(all.files[0].path, channels, true).extent;
  FileContent result;
  result.header = {
      DLC_U8, {static_cast<std::int64_t>(all.files.size()), channels, extent.height, extent.width}};
  if (only_header) {
    for (const ClassFolders::File& f : all.files)
      if (as_they_are)
        check_extent(f, read_picture(f.path, channels, true).extent, all.files[0], extent);
    return result;
  }
  result.tensor = Tensor(DLC_U8, result.header.shape);
  auto* to = result.tensor.as<std::uint8_t>();
  const std::int64_t places = extent.height * extent.width;
  for (const ClassFolders::File& f : all.files) {
    Picture p = read_picture(f.path, channels, false);
    if (as_they_are) check_extent(f, p.extent, all.files[0], extent);
    p = resized(p, extent, channels);
    for (int c = 0; c < channels; ++c)
      for (std::int64_t k = 0; k < places; ++k)
        *to++ = p.pixels[static_cast<std::size_t>(k * channels + c)];
  }
  return result;
}

}  // namespace dlc
