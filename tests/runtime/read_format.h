#pragma once
// Every format of file that the runtime reads, by name.
#include <string>
#include <vector>

#include "ir/support/check.h"
#include "runtime/data/readers.h"
#include "runtime/run_checkpoint.h"

/// A reader's name, "safetensors", or "run" for a run's checkpoint. Whatever the bytes, it ends
/// with a tensor or a UserError.
inline void read_format(const std::string& format, const std::string& path) {
  if (format == "safetensors") {
    dlc::load_metadata(path);
    dlc::load_safetensors(path);
  } else if (format == "run") {
    dlc::load_run(path);
  } else {
    const bool kind = format == "numeric" || format == "categorical";
    const std::vector<std::string> options(kind ? 1 : 0, "csv");
    try {
      dlc::probe_file(format, path, options);
    } catch (const dlc::UserError&) {
    }
    dlc::read_file(format, path, options);
  }
}
