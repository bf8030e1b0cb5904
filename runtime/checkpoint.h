#pragma once
// Parameters and states in the safetensors format (which PyTorch's safetensors package reads and
// writes).
#include <map>
#include <string>

#include "runtime/tensor.h"

namespace dlc {

/// Text by key, in the file's header under "__metadata__".
using Metadata = std::map<std::string, std::string>;
/// Tensors by name that belong to somebody else.
using TensorRefs = std::map<std::string, const Tensor*, std::less<>>;
TensorRefs refs_to(const TensorMap& tensors);
/// Written beside the target and renamed over it, so that an interrupted save loses nothing.
void save_safetensors(const std::string& path, const TensorMap& tensors,
                      const Metadata& metadata = {});
void save_safetensors(const std::string& path, const TensorRefs& tensors, const Metadata& metadata);
/// Empty where the file has none.
Metadata load_metadata(const std::string& path);
/// With the metadata as well where it is asked for.
TensorMap load_safetensors(const std::string& path, Metadata* metadata = nullptr);
/// Copies `from` into `into`; both must have the same names, types and shapes, otherwise a
/// UserError that lists every difference and leaves `into` as it was.
void load_into(TensorMap& into, const TensorMap& from, const std::string& path);
/// Copies what fits one of the patterns (ir/support/pattern.h) and leaves the rest of `into`. A
/// UserError, with nothing copied, when a pattern fits no name, or one of those names has another
/// type in the file or is not in it.
void load_part(TensorMap& into, const TensorMap& from, const std::string& path,
               const std::vector<std::string>& patterns);
/// load_part of a file, or load_into where there are no patterns. Of a run's checkpoint
/// (runtime/run_checkpoint.h) only the parameters and states count.
void load_parameters(TensorMap& into, const std::string& path,
                     const std::vector<std::string>& patterns);

}  // namespace dlc
