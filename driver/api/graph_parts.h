#pragma once
// Which part of a training step a node belongs to.
#include <cstdint>

#include "ir/graph/graph.h"

namespace dlc {

enum class GraphPart { Forward, Backward, Update };

/// Nodes up to the last that loss or metrics need are forward, those up to the last gradient of a
/// parameter backward, the rest is the update.
class GraphParts {
 public:
  explicit GraphParts(const Graph& g);
  /// False for a graph that is one part.
  bool several() const { return forward_ >= 0 && backward_ > forward_; }
  GraphPart of(std::uint32_t id) const;

 private:
  std::int64_t forward_ = -1, backward_ = -1;  // the last nodes of the parts
};

}  // namespace dlc
