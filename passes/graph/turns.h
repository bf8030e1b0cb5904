#pragma once
// What the turns of a scan compute, computed outside of it.
#include <functional>
#include <optional>
#include <vector>

#include "ir/graph/scan.h"

namespace dlc {

/// A value outside of a scan for one of its body: one for all turns, or `stacked`, with the turns
/// as axis 0.
struct Outside {
  Value value;
  bool stacked = false;
};

/// How a value of the body changes: not at all, with what is scanned, or from turn to turn.
enum class Varies { Never, WithSlice, WithTurn };
std::vector<Varies> varies(const Scan& s);

/// Builds values of a scan's body outside of it, in the graph of its operands.
class OutsideBuilder {
 public:
  OutsideBuilder(GraphBuilder& b, const Scan& s)
      : b_(b), s_(s), varies_(varies(s)), known_(s.body.nodes.size()) {}
  /// Nullopt for what varies with the turn, or has no stacked form.
  std::optional<Outside> build(Value v);
  Varies varies_of(Value v) const { return varies_[v.id]; }

 private:
  std::optional<Outside> compute(Value v);

  GraphBuilder& b_;
  const Scan& s_;
  std::vector<Varies> varies_;
  std::vector<std::optional<std::optional<Outside>>> known_;
};

/// Copies a graph. For each scan, whose operands are those of the new graph, `rewrite` appends a
/// scan with at least its results, in the same places, and may give other values for some of them.
struct RewrittenScan {
  Value scan;
  std::map<std::size_t, Value> results;  // instead of the scan's own
};
Graph rewrite_scans(const Graph& old,
                    const std::function<RewrittenScan(GraphBuilder&, const Node&)>& rewrite);

}  // namespace dlc
