// A model file through the whole frontend.
#include "tests/fuzz/fuzz.h"
#include "tests/support/modules.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  dlc::Sources sources;
  dlc::Diagnostics diagnostics;
  const int source = sources.add("fuzz.dl", std::string(text_of(data, size)));
  const dlc::Module m = dlc::compile_source(sources, source, stand_in_files(), diagnostics);
  if (diagnostics.empty())
    require_sound(m);
  else
    diagnostics.render(sources, false);
  return 0;
}
