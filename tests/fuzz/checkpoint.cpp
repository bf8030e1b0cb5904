// Parameters, and where a run stood.
#include "tests/fuzz/fuzz.h"
#include "tests/runtime/read_format.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string path = file_of(text_of(data, size));
  for (const char* format : {"safetensors", "run"})
    allow_user_errors([&] { read_format(format, path); });
  return 0;
}
