#include "runtime/checkpoint.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/atomic_file.h"
#include "tests/runtime/bytes.h"
#include "tests/support/temp_dir.h"

using namespace dlc;

namespace {

TensorMap sample() {
  TensorMap m;
  for (const dlc_dtype type :
       {DLC_U8, DLC_F32, DLC_F64, DLC_BF16, DLC_F16, DLC_I32, DLC_I64, DLC_BOOL}) {
    Tensor t(type, {2, 3});
    for (std::size_t k = 0; k < t.bytes(); ++k)
      t.as<std::uint8_t>()[k] = static_cast<std::uint8_t>(type == DLC_BOOL ? k % 2 : 3 * k + 1);
    m["layer_1." + std::string(dtype_name(type))] = std::move(t);
  }
  m["scalar \"quoted\""] = Tensor(DLC_F32, {});
  m["empty"] = Tensor(DLC_F32, {0, 7});
  return m;
}

bool equal(const TensorMap& a, const TensorMap& b) {
  if (a.size() != b.size()) return false;
  for (const auto& [name, t] : a) {
    const auto at = b.find(name);
    if (at == b.end() || at->second.type_str() != t.type_str() ||
        std::memcmp(at->second.data(), t.data(), t.bytes()) != 0)
      return false;
  }
  return true;
}

TensorMap one(const char* name, dlc_dtype type, std::vector<std::int64_t> shape, double value) {
  TensorMap m;
  Tensor t(type, std::move(shape));
  for (std::int64_t k = 0; k < t.size(); ++k) t.set(k, value);
  m[name] = std::move(t);
  return m;
}

}  // namespace

TEST_CASE("a checkpoint reads back, is aligned and holds the same bytes each time") {
  const TempDir dir;
  const TensorMap m = sample();
  save_safetensors(dir.path("a"), m);
  save_safetensors(dir.path("b"), m);
  CHECK(equal(m, load_safetensors(dir.path("a"))));
  CHECK(read_all(dir.path("a")) == read_all(dir.path("b")));
  std::uint64_t length = 0;
  std::memcpy(&length, read_all(dir.path("a")).data(), 8);
  CHECK(length % 8 == 0);
  save_safetensors(dir.path("a"), {});
  CHECK(load_safetensors(dir.path("a")).empty());
}

TEST_CASE("a file as other programs write it, with metadata and in any order") {
  const TempDir dir;
  const std::string path = dir.write(
      "p", safetensors(R"({"__metadata__":{"format":"pt"},"b":{"shape":[1],"data_offsets":[4,8],)"
                       R"("dtype":"F32"},"a":{"dtype":"I32","shape":[],"data_offsets":[0,4]}}  )",
                       little<std::int32_t>({7}) + little<float>({2.5F})));
  const TensorMap m = load_safetensors(path);
  CHECK(m.size() == 2);
  CHECK(m.at("a").at(0) == 7);
  CHECK(m.at("b").at(0) == 2.5);
}

TEST_CASE("malformed checkpoints") {
  const TempDir dir;
  const auto entry = [](const std::string& inside) { return "{\"w\":{" + inside + "}}"; };
  const std::string good = R"("dtype":"F32","shape":[1],"data_offsets":[0,4])";
  std::string deep;
  for (int k = 0; k < 100000; ++k) deep += "[";
  const std::pair<std::string, const char*> table[] = {
      {"", "ends inside the length"},
      {std::string(8, '\xFF'), "does not fit"},
      {little<std::uint64_t>({99'000'000}) + "{}", "does not fit"},
      {safetensors("[]", ""), "begins with {"},
      {safetensors("{\"w\":", ""), "no valid JSON"},
      {safetensors("{\"w\":" + deep, ""), "nests deeper"},
      {safetensors("{\"w\":" + deep + "1", ""), "nests deeper"},
      {safetensors("{\"w\":1}", ""), "tensor `w`"},
      {safetensors("{\"w\":1e999999}", ""), "a number is too large"},
      {safetensors("{\"w\xFF\":1}", ""), "no valid JSON"},
      {safetensors(entry("\"dtype\":\"F32\""), ""), "are expected"},
      {safetensors(entry(R"("dtype":"F9","shape":[1],"data_offsets":[0,4])"), "1234"), "type F9"},
      {safetensors(entry(R"("dtype":1,"shape":[1],"data_offsets":[0,4])"), "1234"), "is text"},
      {safetensors(entry(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])"), "1234"),
       "numbers from 0"},
      {safetensors(entry(R"("dtype":"F32","shape":[1.0],"data_offsets":[0,4])"), "1234"),
       "numbers from 0"},
      {safetensors(entry(R"("dtype":"F32","shape":[1],"data_offsets":[0,4,8])"), "1234"),
       "a list of two"},
      {safetensors(entry(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])"), "1234"),
       "F32[2] takes 8 bytes"},
      {safetensors(entry(R"("dtype":"F32","shape":[1],"data_offsets":[4,0])"), "1234"),
       "takes 4 bytes"},
      {safetensors(entry(R"("dtype":"F32","shape":[1],"data_offsets":[4,8])"), "12345678"),
       "begins at byte 4"},
      {safetensors(entry(R"("dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0])"),
                   ""),
       "too large"},
      {safetensors(
           entry(R"("dtype":"U8","shape":[1000000000000],"data_offsets":[0,1000000000000])"),
           "1234"),
       "1000000000000"},
      {safetensors("{\"w\":{" + good + "},\"w\":{" + good + "}}", "1234"), "`w` is there twice"},
      {safetensors("{\"w\":{" + good + "},\"v\":{" + good + "}}", "1234"), "begins at byte 0"},
      {safetensors(entry(good), "123"), "3 bytes left"},
      {safetensors(entry(good), "12345"), "goes on"},
      {safetensors(entry(R"("dtype":"BOOL","shape":[2],"data_offsets":[0,2])"), "\x01\x02"),
       "a BOOL is 0 or 1"},
  };
  for (const auto& [bytes, message] : table) {
    const std::string path = dir.write("bad_file", bytes);
    const std::string error = error_of([&] { load_safetensors(path); });
    CAPTURE(error);
    CAPTURE(bytes.substr(0, 200));
    CHECK(contains(error, "bad_file"));
    CHECK(contains(error, message));
  }
  CHECK(contains(error_of([&] { load_safetensors(dir.path("none")); }), "none: cannot be read"));
}

TEST_CASE("loading names every difference and changes nothing") {
  TensorMap into = one("w", DLC_F32, {2}, 1), from = one("w", DLC_F32, {2}, 5);
  load_into(into, from, "p.safetensors");
  CHECK(into.at("w").at(1) == 5);
  into = one("w", DLC_F32, {2}, 1);
  into["shape"] = Tensor(DLC_F32, {3});
  into["type"] = Tensor(DLC_F32, {3});
  into["missing"] = Tensor(DLC_F32, {3});
  from["shape"] = Tensor(DLC_F32, {4});
  from["type"] = Tensor(DLC_F64, {3});
  from["surplus"] = Tensor(DLC_F32, {3});
  const std::string error = error_of([&] { load_into(into, from, "p.safetensors"); });
  for (const char* part : {"p.safetensors", "`shape` is f32[3] in the model, f32[4] in the file",
                           "`type` is f32[3] in the model, f64[3]", "`missing` (f32[3]) is missing",
                           "`surplus` (f32[3]) is in the file only"})
    CHECK(contains(error, part));
  CHECK(!contains(error, "`w`"));
  CHECK(into.at("w").at(1) == 1);
}

TEST_CASE("a part is loaded by patterns of names, or nothing is") {
  const auto fresh = [] {
    TensorMap m = one("conv_1.w", DLC_F32, {2}, 1);
    m["conv_1.b"] = Tensor(DLC_F32, {1});
    m["dense_1.w"] = Tensor(DLC_F32, {3});
    return m;
  };
  TensorMap into = fresh(), from = one("conv_1.w", DLC_F32, {2}, 5);
  from["conv_1.b"] = Tensor(DLC_F32, {1});
  from["dense_1.w"] = Tensor(DLC_F32, {4});
  load_part(into, from, "p.safetensors", {"conv_*"});
  CHECK(into.at("conv_1.w").at(1) == 5);
  CHECK(into.at("dense_1.w").at(1) == 0);
  into = fresh();
  const std::string error = error_of([&] {
    load_part(into, from, "p.safetensors", {"conv_*", "*.w", "norm_*"});
  });
  for (const char* part :
       {"p.safetensors", "`dense_1.w` is f32[3] in the model, f32[4] in the file",
        "no parameter of the model is called `norm_*`"})
    CHECK(contains(error, part));
  CHECK(into.at("conv_1.w").at(1) == 1);
  from.erase("conv_1.b");
  CHECK(
      contains(error_of([&] { load_part(into, from, "p", {"conv_?.b"}); }), "`conv_1.b` (f32[1])"));
}

TEST_CASE("a failed save keeps the old file and leaves nothing behind") {
  const TempDir dir;
  const TensorMap m = one("w", DLC_F32, {2}, 1);
  const auto files = [&] {
    return std::distance(std::filesystem::directory_iterator(dir.dir()), {});
  };
  CHECK(contains(error_of([&] { save_safetensors(dir.path("no/p"), m); }), "no/p: cannot be"));
  CHECK(contains(error_of([&] { save_safetensors(dir.dir().string(), m); }), "cannot be written"));
  CHECK(contains(error_of([&] { check_writable(dir.path("no/p")); }), "no/p: cannot be written"));
  check_writable(dir.path("p"));
  CHECK(files() == 0);
  save_safetensors(dir.path("p"), m);
  const std::string old = read_all(dir.path("p"));
  chmod(dir.path("p").c_str(), 0640);
  // A full device: writing to it fails, and it stays what it is.
  if (std::filesystem::exists("/dev/full")) {
    std::filesystem::create_symlink("/dev/full", dir.path("full"));
    CHECK(contains(error_of([&] { save_safetensors(dir.path("full"), m); }), "full: cannot be"));
    CHECK(std::filesystem::is_symlink(dir.path("full")));
    std::filesystem::remove(dir.path("full"));
  }
  if (geteuid() != 0) {  // root may write everywhere
    chmod(dir.dir().c_str(), 0500);
    CHECK(contains(error_of([&] { save_safetensors(dir.path("p"), sample()); }), "cannot be"));
    chmod(dir.dir().c_str(), 0700);
    chmod(dir.path("p").c_str(), 0400);
    CHECK(contains(error_of([&] { save_safetensors(dir.path("p"), sample()); }), "cannot be"));
    chmod(dir.path("p").c_str(), 0640);
  }
  CHECK(read_all(dir.path("p")) == old);
  // A link stays a link, the mode stays the mode.
  std::filesystem::create_symlink("p", dir.path("link"));
  save_safetensors(dir.path("link"), sample());
  CHECK(std::filesystem::is_symlink(dir.path("link")));
  CHECK(equal(sample(), load_safetensors(dir.path("p"))));
  struct stat info {};
  CHECK(stat(dir.path("p").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0640);
  CHECK(files() == 2);
}
