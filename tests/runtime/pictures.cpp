// Folders of PNG and JPEG files as tensors.
#include <doctest/doctest.h>
#include <turbojpeg.h>

#include <cmath>
#include <filesystem>

#include "ir/support/check.h"
#include "runtime/data/readers.h"
#include "tests/support/png_file.h"
#include "tests/support/temp_dir.h"

using namespace dlc;

namespace {

using Shape = std::vector<std::int64_t>;
using Bytes = std::vector<std::uint8_t>;

std::string jpeg(int height, int width, const Bytes& rgb) {
  const tjhandle encoder = tjInitCompress();
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  REQUIRE(tjCompress2(encoder, rgb.data(), width, 0, height, TJPF_RGB, &bytes, &size, TJSAMP_444,
                      100, 0) == 0);
  std::string out(reinterpret_cast<const char*>(bytes), size);
  tjFree(bytes);
  tjDestroy(encoder);
  return out;
}

std::string write(const TempDir& dir, const std::string& name, const std::string& bytes) {
  std::filesystem::create_directories((dir.dir() / name).parent_path());
  return dir.write(name, bytes);
}

Tensor read(const std::string& path, int channels, const std::string& height = "0",
            const std::string& width = "0") {
  const std::vector<std::string> options{std::to_string(channels), height, width};
  Tensor t = read_file("pictures", path, options);
  const FileHeader h = probe_file("pictures", path, options);
  CHECK(h.dtype == t.dtype());
  CHECK(h.shape == t.shape());
  return t;
}

Bytes values(const Tensor& t) { return {t.as<std::uint8_t>(), t.as<std::uint8_t>() + t.size()}; }

void check_refused(const std::string& reader, const std::string& path,
                   const std::vector<std::string>& options,
                   const std::vector<std::string>& message) {
  try {
    read_file(reader, path, options);
    FAIL("read: " << path);
  } catch (const UserError& e) {
    for (const std::string& part : message) {
      CAPTURE(e.what());
      CHECK(std::string(e.what()).find(part) != std::string::npos);
    }
  }
}
const std::vector<std::string> kGray{"1", "0", "0"};

}  // namespace

TEST_CASE("pictures: in the order of their names, channels apart") {
  const TempDir dir;
  write(dir, "b.png", png(1, 2, 3, {1, 2, 3, 4, 5, 6}));
  write(dir, "a.PNG", png(1, 2, 3, {7, 8, 9, 10, 11, 12}));
  write(dir, ".hidden.png", "");
  write(dir, "notes.txt", "no picture");
  const Tensor t = read(dir.dir().string(), 3);
  CHECK(t.shape() == Shape{2, 3, 1, 2});
  CHECK(values(t) == Bytes{7, 10, 8, 11, 9, 12, 1, 4, 2, 5, 3, 6});
}

TEST_CASE("pictures: a folder for each class") {
  const TempDir dir;
  write(dir, "dog/1.png", png(1, 1, 1, {30}));
  write(dir, "cat/2.png", png(1, 1, 1, {20}));
  write(dir, "cat/1.png", png(1, 1, 1, {10}));
  const Tensor t = read(dir.dir().string(), 1);
  CHECK(values(t) == Bytes{10, 20, 30});
  const Tensor labels = read_file("classes", dir.dir().string(), {});
  CHECK(labels.dtype() == DLC_U8);
  CHECK(values(labels) == Bytes{0, 0, 1});
}

TEST_CASE("pictures: gray as colours, transparent on black") {
  const TempDir dir;
  write(dir, "gray.png", png(1, 1, 1, {200}));
  write(dir, "half.png", png(1, 1, 4, {90, 80, 70, 0}));
  CHECK(values(read(dir.dir().string(), 3)) == Bytes{200, 200, 200, 0, 0, 0});
}

TEST_CASE("pictures: JPEG") {
  const TempDir dir;
  Bytes rgb;
  for (int k = 0; k < 16 * 16; ++k) rgb.insert(rgb.end(), {200, 100, 50});
  write(dir, "x.jpg", jpeg(16, 16, rgb));
  const Tensor t = read(dir.dir().string(), 3);
  CHECK(t.shape() == Shape{1, 3, 16, 16});
  for (int c = 0; c < 3; ++c)
    for (int k = 0; k < 256; ++k)
      CHECK(std::abs(t.at(c * 256 + k) - std::vector<double>{200, 100, 50}[c]) <= 2);
  // 0.299 R + 0.587 G + 0.114 B
  CHECK(std::abs(read(dir.dir().string(), 1).at(0) - 124.2) <= 2);
}

TEST_CASE("pictures: brought to a size") {
  const TempDir dir;
  write(dir, "small.png", png(1, 2, 1, {0, 100}));
  // The values of PyTorch's interpolate(mode="bilinear", antialias=True).
  CHECK(values(read(dir.dir().string(), 1, "1", "4")) == Bytes{0, 25, 75, 100});
  write(dir, "small.png", png(1, 4, 1, {0, 80, 160, 240}));
  CHECK(values(read(dir.dir().string(), 1, "1", "1")) == Bytes{120});
  CHECK(values(read(dir.dir().string(), 1, "1", "2")) == Bytes{57, 183});
  write(dir, "other.png", png(2, 2, 1, {1, 1, 9, 9}));
  CHECK(read(dir.dir().string(), 1, "3", "5").shape() == Shape{2, 1, 3, 5});
}

TEST_CASE("pictures: what cannot be read is named") {
  const TempDir dir;
  const std::string root = dir.dir().string();
  check_refused("pictures", write(dir, "file", ""), kGray, {"not a folder"});
  std::filesystem::create_directories(dir.dir() / "empty" / "none");
  check_refused("pictures", root + "/empty", kGray, {"empty/none", "no .png"});
  check_refused("pictures", root + "/empty/none", kGray, {"no .png"});
  write(dir, "text/a.png", "not a picture");
  check_refused("pictures", root + "/text", kGray, {"text/a.png", "PNG"});
  write(dir, "textj/a.jpg", "not a picture");
  check_refused("pictures", root + "/textj", kGray, {"textj/a.jpg", "JPEG"});
  const std::string whole = png(8, 8, 1, Bytes(64, 7));
  write(dir, "cut/a.png", whole.substr(0, whole.size() / 2));
  check_refused("pictures", root + "/cut", kGray, {"cut/a.png", "PNG"});
  const std::string photo = jpeg(64, 64, Bytes(64 * 64 * 3, 90));
  write(dir, "cutj/a.jpeg", photo.substr(0, photo.size() - 40));
  check_refused("pictures", root + "/cutj", kGray, {"cutj/a.jpeg", "JPEG"});
  write(dir, "sizes/a.png", png(1, 2, 1, {1, 2}));
  write(dir, "sizes/b.png", png(2, 1, 1, {1, 2}));
  check_refused("pictures", root + "/sizes", kGray,
                {"sizes/b.png: 2 x 1", "sizes/a.png is 1 x 2", "size: [1, 2]"});
  check_refused("classes", root + "/sizes", {}, {"in no folders"});
}
