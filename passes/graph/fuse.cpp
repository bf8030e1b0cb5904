// Which nodes are stored, and which kernel computes each of them.
//
//   stored:  stored_nodes.cpp
//   kernels: in topological order each stored node joins the earliest kernel it can, else it gets a
//   new one. A kernel has
//            a domain of points. A node can join when the domain fits (the result of a reduction;
//            the whole shape of an elementwise node; or rows of it, in a kernel that reduces such
//            rows) and everything it reads is computed by an earlier kernel or, at the same point,
//            by this one.
//
// Everything else is computed where it is used. At last the kernels are ordered so that whoever
// reads a parameter's old value comes before the kernel that updates it in place.
#include "passes/graph/fuse.h"

#include <algorithm>
#include <map>
#include <set>

#include "ir/graph/scan.h"
#include "ir/op_def.h"
#include "passes/graph/stored_nodes.h"
#include "passes/lower/expressions.h"
#include "passes/lower/kernel_maker.h"

namespace dlc {

namespace {

using loop::AxisId;
using loop::ExprId;
using Index = Expressions::Index;

bool has_own_kernel(const Node& n) {
  return n.op == Op::contract || lowers_as<LowerScatter>(n.op) || is_written_in_parts(n) ||
         has_region(n);
}

// ---- Kernels ----

struct Group {
  Shape domain;
  Shape row;  // of the first reduction: the extents of what it reduces
  bool reduces = false;
  bool contracts = false;
  bool scatters = false;
  bool concatenates = false;
  bool scans = false;
  std::vector<Value> items;
};

struct Read {
  Value leaf;
  bool aligned;  // at the point of the domain itself
};

class Fusion {
 public:
  explicit Fusion(const Graph& g) : g_(g), stored_(stored_nodes(g)), group_of_(g.nodes.size(), -1) {
    for (std::uint32_t id = 0; id < g.nodes.size(); ++id)
      if (stored_[id]) place(Value{id});
  }

  /// The kernel number of every stored node, in an order that can run.
  std::vector<int> numbers() const {
    const std::vector<int> position = schedule();
    std::vector<int> result(g_.nodes.size(), -1);
    for (std::size_t id = 0; id < result.size(); ++id)
      if (group_of_[id] >= 0) result[id] = position[static_cast<std::size_t>(group_of_[id])];
    return result;
  }

  /// Of every two kernels that are neighbours what kept the second one's nodes out of the first.
  std::vector<FusionBarrier> barriers() const {
    const std::vector<int> position = schedule();
    std::vector<int> at(position.size());  // the group in each position
    for (std::size_t k = 0; k < position.size(); ++k)
      at[static_cast<std::size_t>(position[k])] = static_cast<int>(k);
    std::vector<FusionBarrier> result;
    for (int to = 1; to < static_cast<int>(at.size()); ++to) {
      const int second = at[static_cast<std::size_t>(to)];
      const std::vector<Value>& items = groups_[static_cast<std::size_t>(second)].items;
      for (int from = 0; from < to; ++from) {
        const int first = at[static_cast<std::size_t>(from)];
        const auto reads_first = [&](Value v) {
          const std::vector<Read> all = reads(v, groups_[static_cast<std::size_t>(second)].domain);
          return std::any_of(all.begin(), all.end(),
                             [&](const Read& r) { return group_of_[r.leaf.id] == first; });
        };
        const auto reader = std::find_if(items.begin(), items.end(), reads_first);
        if (reader == items.end() && from + 1 < to) continue;
        const Value v = reader == items.end() ? items.front() : *reader;
        const Obstacle o = obstacle(v, first);
        result.push_back({from, to, reader != items.end(), g_[v].loc, describe(v, first, o)});
      }
    }
    return result;
  }

 private:
  /// What keeps a node out of a kernel.
  struct Obstacle {
    enum Kind {
      None,
      Scatter,      // the kernel adds to memory at places that data gives
      Scan,         // the kernel is a loop of kernels
      Concat,       // the kernel writes its operands one after the other
      OwnKernel,    // the node is a contraction, a scatter or a concat
      RowsOfTile,   // the node reduces, the kernel is a contraction
      OtherDomain,  // their points are not the same
      Later,        // the node needs what a later kernel computes
      OtherPoints,  // the node reads what the kernel computes at other points
      Stranger,     // the kernel is a contraction, and the node reads nothing of it
    } kind = None;
    Value needs{};
  };

  void place(Value v) {
    const Node& n = g_[v];
    if (n.op == Op::part) {
      const int scan = group_of_[n.operands[0].id];
      groups_[static_cast<std::size_t>(scan)].items.push_back(v);
      group_of_[v.id] = scan;
      return;
    }
    if (has_own_kernel(n)) {
      Group group;
      group.domain = n.type.shape;
      group.scans = has_region(n);
      group.contracts = n.op == Op::contract;
      group.scatters = lowers_as<LowerScatter>(n.op);
      group.concatenates = n.op == Op::concat;
      return add_group(std::move(group), v);
    }
    for (std::size_t k = first_possible(v); k < groups_.size(); ++k)
      if (obstacle(v, static_cast<int>(k)).kind == Obstacle::None) {
        if (is_reduction(n) && !groups_[k].reduces) set_row(groups_[k], n);
        groups_[k].items.push_back(v);
        group_of_[v.id] = static_cast<int>(k);
        return;
      }
    Group group;
    group.domain = n.type.shape;
    if (is_reduction(n)) set_row(group, n);
    add_group(std::move(group), v);
  }

  void set_row(Group& group, const Node& reduction) const {
    group.reduces = true;
    for (const std::int64_t a : reduced_axes(reduction))
      group.row.push_back(g_.type(reduction.operands[0]).shape[static_cast<std::size_t>(a)]);
  }

  void add_group(Group group, Value v) {
    group.items.push_back(v);
    group_of_[v.id] = static_cast<int>(groups_.size());
    groups_.push_back(std::move(group));
  }

  /// No kernel before the last one that computes something `v` reads.
  std::size_t first_possible(Value v) const {
    int last = 0;
    for (const Read& r : reads(v, g_.type(v).shape)) last = std::max(last, group_of_[r.leaf.id]);
    return static_cast<std::size_t>(last);
  }

  Obstacle obstacle(Value v, int k) const {
    const Group& group = groups_[static_cast<std::size_t>(k)];
    const Node& n = g_[v];
    if (group.scatters) return {Obstacle::Scatter};
    if (group.scans) return {Obstacle::Scan};
    if (group.concatenates) return {Obstacle::Concat};
    if (has_own_kernel(n)) return {Obstacle::OwnKernel};
    const Shape& shape = n.type.shape;
    if (is_reduction(n)) {
      if (group.contracts) return {Obstacle::RowsOfTile};
      if (shape != group.domain) return {Obstacle::OtherDomain};
    } else if (shape != group.domain) {
      // Rows of the node beside a reduction over rows of the same extents.
      if (!group.reduces || group.domain.empty() ||
          shape.size() != group.domain.size() + group.row.size())
        return {Obstacle::OtherDomain};
      Shape whole = group.domain;
      whole.insert(whole.end(), group.row.begin(), group.row.end());
      if (shape != whole) return {Obstacle::OtherDomain};
    }
    bool reads_group = false;
    for (const Read& r : reads(v, group.domain)) {
      const int from = group_of_[r.leaf.id];
      if (from > k) return {Obstacle::Later, r.leaf};
      if (from == k && !r.aligned) return {Obstacle::OtherPoints, r.leaf};
      reads_group = reads_group || from == k;
    }
    if (!reads_group && group.contracts) return {Obstacle::Stranger};
    return {};
  }

  std::string label(Value v) const {
    const Node& n = g_[v];
    if (!n.name.empty()) return fmt::format("`{}`", n.name);
    return n.loc.known() ? fmt::format("the {} of {}:{}", op_name(n.op), n.loc.file(), n.loc.line)
                         : fmt::format("the {}", op_name(n.op));
  }

  std::string describe(Value v, int k, const Obstacle& o) const {
    const Group& group = groups_[static_cast<std::size_t>(k)];
    const Node& n = g_[v];
    const auto points = [](const Shape& s) { return Type{ElementType::F32, s}.str().substr(3); };
    switch (o.kind) {
      case Obstacle::Scatter:
        return "the first one adds to memory at places that data gives; nothing else runs in it";
      case Obstacle::Scan:
        return "the first one is a loop of kernels, one after the other in every turn";
      case Obstacle::Concat:
        return "the first one writes its parts one after the other; nothing else runs in it";
      case Obstacle::OwnKernel:
        if (has_region(n))
          return fmt::format("{} is a loop of kernels, which needs all of what it reads", label(v));
        if (n.op == Op::concat)
          return fmt::format("{} writes its parts one after the other, each as it lies in memory",
                             label(v));
        return n.op == Op::contract
                   ? fmt::format(
                         "{} uses each element of its operands many times, in tiles of its "
                         "own: they are computed once, before it",
                         label(v))
                   : fmt::format(
                         "{} adds to memory at places that data gives, which takes a kernel "
                         "of its own",
                         label(v));
      case Obstacle::RowsOfTile:
        return fmt::format("{} needs whole rows, and a tile of the contraction holds parts of them",
                           label(v));
      case Obstacle::OtherDomain:
        return fmt::format("{} has {} points, the first kernel {}", label(v), points(n.type.shape),
                           points(group.domain));
      case Obstacle::Later:
        return fmt::format("{} also needs {}, which is computed after the first kernel", label(v),
                           label(o.needs));
      case Obstacle::OtherPoints:
        return fmt::format("{} reads {} at other points than its own, so all of it comes first",
                           label(v), label(o.needs));
      case Obstacle::Stranger:
        return fmt::format(
            "{} reads nothing of the first one, a contraction, whose points only "
            "its result's readers share",
            label(v));
      case Obstacle::None:
        break;
    }
    return "they would have had to be one, but the second one's other nodes could not join";
  }

  /// What computing `v` over `domain` reads, and where.
  std::vector<Read> reads(Value v, const Shape& domain) const {
    const Node& n = g_[v];
    loop::Kernel scratch;
    loop::KernelBuilder b(scratch);
    Index outer, index;
    for (const Dim& d : domain) outer.push_back(b.axis_value(b.axis("o", d)));
    std::vector<Read> result;
    if (n.op == Op::part) return result;
    Expressions e(
        g_, b, [&](Value x) { return stored_[x.id] || is_given(g_, x); },
        [&](Value x, const Index& at) {
          const bool aligned =
              at.size() >= outer.size() && std::equal(outer.begin(), outer.end(), at.begin());
          result.push_back({x, aligned});
          return b.load(static_cast<int>(x.id), g_.type(x).element,
                        b.linear_offset(at, g_.type(x).shape));
        });
    if (is_reduction(n)) {
      const std::vector<std::int64_t> axes = reduced_axes(n);
      const Shape& from = g_.type(n.operands[0]).shape;
      std::size_t kept = 0;
      for (std::size_t a = 0; a < from.size(); ++a) {
        const bool reduced =
            std::find(axes.begin(), axes.end(), static_cast<std::int64_t>(a)) != axes.end();
        index.push_back(reduced ? b.axis_value(b.axis("r", from[a])) : outer.at(kept++));
      }
      e.element(n.operands[0], index);
    } else if (n.op == Op::contract || lowers_as<LowerScatter>(n.op) || has_region(n)) {
      for (const Value o : n.operands) {
        Index any;
        for (const Dim& d : g_.type(o).shape) any.push_back(b.axis_value(b.axis("k", d)));
        e.element(o, any);
      }
      for (Read& r : result) r.aligned = false;
    } else {
      index = outer;
      for (std::size_t a = outer.size(); a < n.type.shape.size(); ++a)
        index.push_back(b.axis_value(b.axis("r", n.type.shape[a])));
      e.compute(v, index);
    }
    return result;
  }

  /// Kahn's algorithm. Next comes who reads what was computed last, while it is in a cache; of
  /// those first who is nobody's source (a parameter's update), then the lowest number. Readers of
  /// a parameter come before its update where no cycle forbids it (then `lower` updates by way of a
  /// temporary).
  std::vector<int> schedule() const {
    const std::size_t count = groups_.size();
    std::vector<std::set<int>> after(count), sources(count), readers(g_.nodes.size());
    for (std::size_t k = 0; k < count; ++k)
      for (const Value v : groups_[k].items)
        for (const Read& r : reads(v, groups_[k].domain)) {
          const int from = group_of_[r.leaf.id];
          if (from >= 0 && from != static_cast<int>(k)) {
            after[static_cast<std::size_t>(from)].insert(static_cast<int>(k));
            sources[k].insert(from);
          }
          if (from < 0) readers[r.leaf.id].insert(static_cast<int>(k));
        }
    for (const GraphOutput& out : g_.outputs) {
      const int writer = group_of_[stored_as(g_, out).id];
      if (out.kind != OutputKind::Update || writer < 0) continue;
      for (const int reader : readers[g_.find_input(out.name)->value.id])
        if (reader != writer && !reaches(after, writer, reader))
          after[static_cast<std::size_t>(reader)].insert(writer);
    }
    // The position of the last kernel whose results each one reads.
    std::vector<int> waiting(count, 0), position(count, -1), freshest(count, -1);
    std::vector<bool> is_source(count, false);
    for (const auto& users : after)
      for (const int user : users) ++waiting[static_cast<std::size_t>(user)];
    for (const auto& from : sources)
      for (const int k : from) is_source[static_cast<std::size_t>(k)] = true;
    for (int next = 0; next < static_cast<int>(count); ++next) {
      std::size_t best = count;
      for (std::size_t k = 0; k < count; ++k) {
        if (position[k] >= 0 || waiting[k] > 0) continue;
        if (best == count || (is_source[best] && !is_source[k]) ||
            (is_source[best] == is_source[k] && freshest[k] > freshest[best]))
          best = k;
      }
      DLC_CHECK(best < count, "the kernels depend on each other in a circle");
      position[best] = next;
      for (const int user : after[best]) --waiting[static_cast<std::size_t>(user)];
      for (std::size_t k = 0; k < count; ++k)
        if (sources[k].contains(static_cast<int>(best))) freshest[k] = next;
    }
    return position;
  }

  static bool reaches(const std::vector<std::set<int>>& after, int from, int to) {
    std::vector<int> open{from};
    std::set<int> seen{from};
    while (!open.empty()) {
      const int k = open.back();
      open.pop_back();
      if (k == to) return true;
      for (const int next : after[static_cast<std::size_t>(k)])
        if (seen.insert(next).second) open.push_back(next);
    }
    return false;
  }

  const Graph& g_;
  const std::vector<bool> stored_;
  std::vector<int> group_of_;
  std::vector<Group> groups_;
};

}  // namespace

Graph run_fuse(const Graph& old) {
  Graph g = old;
  const std::vector<int> numbers = Fusion(g).numbers();
  for (std::size_t id = 0; id < numbers.size(); ++id) g.nodes[id].kernel = numbers[id];
  return g;
}

std::vector<FusionBarrier> fusion_barriers(const Graph& g) { return Fusion(g).barriers(); }

}  // namespace dlc
