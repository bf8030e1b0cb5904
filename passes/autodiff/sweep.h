#pragma once
// One walk backwards through a graph: the adjoints of values, built as nodes of the same graph.
#include <map>
#include <vector>

#include "ir/graph/builder.h"

namespace dlc {

/// A value and its adjoint, where a sweep begins.
struct Seed {
  Value value, adjoint;
};

/// Adjoints of all values that lie between the inputs `xs` and the seeds' values.
class Sweep {
 public:
  Sweep(GraphBuilder& b, const std::vector<Seed>& seeds, const std::vector<Value>& xs);
  /// Invalid where nothing flows to `x`.
  Value adjoint(Value x) const { return x.id < adjoint_.size() ? adjoint_[x.id] : Value{}; }

 private:
  void add(Value to, Value adjoint);
  void name_adjoint(Value v);
  void push_back(Value v, const std::vector<bool>& wanted);
  void push_back_region(Value v, const std::vector<bool>& wanted);

  GraphBuilder& b_;
  std::vector<Value> adjoint_;
  std::map<Value, std::map<std::size_t, Value>> parts_;  // adjoints of results, by node and number
};

/// The adjoints of a scan's operands, where `wanted`, from those of its results; either may be
/// invalid. The scan gets further results: what its reverse needs of each turn.
std::vector<Value> differentiate_scan(GraphBuilder& b, Value scan,
                                      const std::map<std::size_t, Value>& results,
                                      const std::vector<bool>& wanted);

}  // namespace dlc
