// Damaged files: valid ones with bytes changed, cut off, doubled. Reading ends with a tensor or a
// UserError, never otherwise, and soon.
#include <doctest/doctest.h>

#include <functional>
#include <random>

#include "runtime/checkpoint.h"
#include "runtime/data/readers.h"
#include "tests/runtime/bytes.h"
#include "tests/support/temp_dir.h"

using namespace dlc;

namespace {

std::string mutated(std::string bytes, std::mt19937& random) {
  const auto below = [&](std::size_t n) { return n == 0 ? 0 : random() % n; };
  for (std::size_t k = 0, changes = 1 + below(4); k < changes; ++k) {
    const std::size_t at = below(bytes.size() + 1);
    switch (below(7)) {
      case 0:
        bytes.resize(at);
        break;
      case 1:
        bytes.insert(at, bytes.substr(at / 2, below(20)));
        break;
      case 2:
        bytes.erase(at, below(6));
        break;
      case 3:
        if (at < bytes.size()) bytes[at] = static_cast<char>(bytes[at] ^ (1U << below(8)));
        break;
      case 4:
        for (std::size_t i = at; i < std::min(at + 4, bytes.size()); ++i) bytes[i] = '\xFF';
        break;
      case 5:  // digits and punctuation of headers
        if (at < bytes.size()) bytes[at] = "0123456789,:'\"()[]{}\n -e."[below(26)];
        break;
      default:
        if (at < bytes.size()) bytes[at] = static_cast<char>(below(256));
    }
  }
  return bytes;
}

}  // namespace

TEST_CASE("damaged files never crash a reader") {
  const TempDir dir;
  const auto reader = [](const char* name) {
    return [name](const std::string& path) {
      error_of([&] { probe_file(name, path, {}); });
      read_file(name, path, {});
    };
  };
  const std::string floats = little<float>({1, 2, 3, 4, 5, 6});
  const std::string tensors = R"({"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
                              R"("b":{"dtype":"BOOL","shape":[],"data_offsets":[24,25]}})";
  struct Seed {
    std::string bytes;
    std::function<void(const std::string&)> read;
  };
  const Seed seeds[] = {
      {idx(8, {2, 3}, "123456"), reader("idx")},
      {idx(0x0D, {2, 3}, floats), reader("idx")},
      {gzip(idx(0x0B, {2, 3}, "123456123456")), reader("idx")},
      {npy_of("<f4", "(2, 3)", floats), reader("npy")},
      {npy_of("<f4", "(3, 2)", floats, true), reader("npy")},
      {npy("{'descr': '<i2', 'fortran_order': False, 'shape': (6,)}", "123456123456", 2),
       reader("npy")},
      {"a,\"b\"\n1,2\n\"3\",4.5e1\n", reader("csv")},
      {"1\t2\r\n3\t4\r\n", reader("tsv")},
      {safetensors(tensors, floats + '\x01'),
       [](const std::string& path) { load_safetensors(path); }},
  };
  std::mt19937 random(1);
  for (const Seed& seed : seeds) {
    CHECK(error_of([&] { seed.read(dir.write("seed", seed.bytes)); }).empty());
    int errors = 0;
    for (int k = 0; k < 1000; ++k) {
      const std::string path = dir.write("mutant", mutated(seed.bytes, random));
      errors += !error_of([&] { seed.read(path); }).empty();
    }
    CHECK(errors > 300);
  }
}
