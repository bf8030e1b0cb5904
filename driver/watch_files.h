#pragma once
// The files of `dlc train --watch NAME=FILE.npy`.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ir/graph/graph.h"
#include "runtime/trainer.h"

namespace dlc {

/// Gathers watched values step by step for files [steps, shape of the value]: row k is the value in
/// step k + 1, of a parameter that before the step's update.
class WatchFiles {
 public:
  /// A UserError for a name that is not watched, for a file that cannot be written,
  /// and for a value of so many rows as the batch where the last batch of `rows` is smaller.
  WatchFiles(const std::vector<std::string>& assignments, const Graph& train_step, const Rows& rows,
             std::int64_t batch);

  bool empty() const { return files_.empty(); }
  void record(const Watched& watched);
  /// What was recorded so far, by name; and to go on from there, where a name is not watched any
  /// more without it.
  TensorMap recorded() const;
  void restore(const TensorMap& recorded);
  /// Writes them, each atomically; their paths.
  std::vector<std::string> write() const;

 private:
  struct File {
    std::string path;
    Tensor like;  // the value itself
    std::vector<std::byte> bytes;
    std::int64_t steps = 0;
  };
  std::map<std::string, File, std::less<>> files_;
};

}  // namespace dlc
