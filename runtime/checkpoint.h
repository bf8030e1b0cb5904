#pragma once
// Parameters and states in the safetensors format (which PyTorch's safetensors package reads and
// writes).
#include <string>

#include "runtime/tensor.h"

namespace dlc {

/// Written beside the target and renamed over it, so that an interrupted save loses nothing.
void save_safetensors(const std::string& path, const TensorMap& tensors);
TensorMap load_safetensors(const std::string& path);
/// Copies `from` into `into`; both must have the same names, types and shapes, otherwise a
/// UserError that lists every difference and leaves `into` as it was.
void load_into(TensorMap& into, const TensorMap& from, const std::string& path);

}  // namespace dlc
