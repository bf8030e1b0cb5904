// Writes the seeds of the readers' targets: DIR/<target>/<number>.
#define DOCTEST_CONFIG_IMPLEMENT
#include "tests/runtime/seeds.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  doctest::Context asserts;
  asserts.setAsDefaultForAssertsOutOfTestCases();
  int number = 0;
  for (const Seed& seed : seeds()) {
    const std::string target = seed.format == "safetensors" || seed.format == "run" ? "checkpoint"
                               : seed.format == "idx" || seed.format == "npy"       ? seed.format
                                                                                    : "csv";
    const std::filesystem::path folder = std::filesystem::path(argv[1]) / target;
    std::filesystem::create_directories(folder);
    std::ofstream(folder / std::to_string(number++), std::ios::binary) << seed.bytes;
  }
}
