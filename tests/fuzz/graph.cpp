// The text form of graphs.
#include "tests/fuzz/fuzz.h"
#include "tests/support/modules.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  allow_user_errors([&] {
    for (const dlc::Graph& g : dlc::parse_graphs(text_of(data, size), "fuzz.ir")) require_sound(g);
  });
  return 0;
}
