// Damaged files: valid ones with bytes changed, cut off, doubled. Reading ends with a tensor or a
// UserError, never otherwise, and soon.
#include <doctest/doctest.h>

#include <random>

#include "tests/runtime/seeds.h"

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
  std::mt19937 random(1);
  for (const Seed& seed : seeds()) {
    CAPTURE(seed.format);
    CHECK(error_of([&] { read_format(seed.format, dir.write("seed", seed.bytes)); }).empty());
    int errors = 0;
    for (int k = 0; k < 1000; ++k) {
      const std::string path = dir.write("mutant", mutated(seed.bytes, random));
      errors += !error_of([&] { read_format(seed.format, path); }).empty();
    }
    CHECK(errors > 300);
  }
}
