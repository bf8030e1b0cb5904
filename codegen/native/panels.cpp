#include "codegen/native/panels.h"

#include <algorithm>
#include <optional>

#include "ir/support/integers.h"

namespace dlc {

using loop::AxisId;
using loop::ContractIndex;
using loop::Contraction;
using loop::ExprId;
using loop::Kernel;

namespace {

/// The summed index of a contraction with a copied matrix, and the columns'.
ContractIndex& k_of(Contraction& c) {
  return *std::find_if(c.indices.begin(), c.indices.end(),
                       [](const ContractIndex& i) { return i.in_a && i.in_b; });
}
const ContractIndex& n_of(const Contraction& c) {
  return *std::find_if(c.indices.begin(), c.indices.end(),
                       [](const ContractIndex& i) { return !i.in_a && i.in_b; });
}

/// With panels of the width whose tiles cost least; nothing where the machine has no use for them.
std::optional<Kernel> by_panels(const loop::Program& p, const Kernel& old, const VectorUnit& unit) {
  const ContractRoles plain = contract_roles(p, old, unit);
  if (plain.matrices || !plain.n || !plain.u_is_a || plain.stack || plain.pairs ||
      plain.m.size() != 1)
    return std::nullopt;
  std::optional<Kernel> best;
  double least = 0;
  for (std::int64_t width = plain.lanes; width <= loop::kWidestPanel; width += plain.lanes) {
    Kernel k = old;
    // Threads share rows: every panel is one thread's, or all threads'.
    std::stable_partition(k.outer.begin(), k.outer.end(),
                          [&](AxisId a) { return a != plain.n->axis; });
    Contraction& c = k.contraction[0];
    c.panel = width;
    k_of(c).b_stride = width;
    const std::vector<ScheduleCost> schedules = contract_schedules(p, k, unit);
    if (schedules.empty() || (best && schedules[0].cycles >= least)) continue;
    least = schedules[0].cycles;
    c.schedule = schedules[0].schedule;
    best = std::move(k);
  }
  return best;
}

/// The kernel that copies `from` to the panels of `c`.
class PanelCopy {
 public:
  PanelCopy(const loop::Program& p, const Kernel& plain, const loop::Matrix& from, Contraction c)
      : from_(from),
        to_(c.b),
        products_(k_of(c).extent.value()),
        columns_(n_of(c).extent.value()),
        width_(c.panel),
        type_(p.buffers[static_cast<std::size_t>(from.buffer)].type.element) {
    copy_.name = plain.name;
    copy_.locs = plain.locs;
    from.n_stride == Dim(1) ? by_rows() : turned();
  }
  Kernel take() { return std::move(copy_); }

 private:
  /// Row by row of `from`: whole panels, and what is left.
  void by_rows() {
    const AxisId row = b_.axis("k", products_);
    copy_.outer = {row};
    const std::int64_t whole = columns_ / width_, rest = columns_ % width_;
    if (whole > 0) {
      const AxisId panel = b_.axis("panel", whole), in = b_.axis("in", width_);
      copy(row, b_.axis_value(panel), b_.axis_value(in), {panel, in});
    }
    if (rest > 0) {
      const AxisId in = b_.axis("in", rest);
      copy(row, b_.integer(whole), b_.axis_value(in), {in});
    }
  }
  /// In blocks that are turned over; the last panel is filled up with its last column.
  void turned() {
    const AxisId panel = b_.axis("panel", ceil_div(columns_, width_)),
                 row = b_.axis("k", products_), in = b_.axis("in", width_);
    copy_.outer = {panel, row, in};
    copy(row, b_.axis_value(panel), b_.axis_value(in), {});
  }

  void copy(AxisId row, ExprId panel, ExprId in, std::vector<AxisId> axes) {
    const ExprId k = b_.axis_value(row);
    ExprId n = b_.add(b_.mul(panel, b_.integer(width_)), in);
    if (axes.empty() && columns_ % width_ != 0) n = b_.clamped(n, columns_);
    const ExprId at = b_.add(b_.add(b_.dim(from_.base), b_.mul(k, b_.dim(from_.k_stride))),
                             b_.mul(n, b_.dim(from_.n_stride))),
                 place = b_.add(b_.add(b_.mul(panel, b_.integer(products_ * width_)),
                                       b_.mul(k, b_.integer(width_))),
                                in);
    copy_.stages.push_back({std::move(axes), {}, {{to_, place, b_.load(from_.buffer, type_, at)}}});
  }

  const loop::Matrix from_;
  const loop::BufferId to_;
  const std::int64_t products_, columns_, width_;
  const ElementType type_;
  Kernel copy_;
  loop::KernelBuilder b_{copy_};
};

void read_original(Contraction& c, const loop::Matrix& from) {
  c.b = from.buffer;
  c.b_base = from.base;
  k_of(c).b_stride = from.k_stride;
}

bool makes(const Kernel& k, loop::BufferId copy) {
  return k.stages.size() == 1 && k.stages[0].stores.size() == 1 &&
         k.stages[0].stores[0].buffer == copy;
}

}  // namespace

loop::Program with_panels(loop::Program p, const VectorUnit& unit) {
  for (Kernel& k : p.kernels) {
    if (k.contraction.empty() || k.contraction[0].copied.empty()) continue;
    const loop::Matrix from = k.contraction[0].copied[0];
    k.contraction[0].copied.clear();
    Contraction& c = k.contraction[0];
    const loop::BufferId copy = c.b;
    std::optional<Kernel> arranged = by_panels(p, k, unit);
    // A matrix that is turned over is better for it whatever the machine.
    const bool reads_original = !arranged && from.n_stride == Dim(1);
    if (reads_original) read_original(c, from);
    for (Kernel& maker : p.kernels)
      if (makes(maker, copy)) {
        if (arranged) maker = PanelCopy(p, maker, from, arranged->contraction[0]).take();
        if (reads_original) maker.outer.clear(), maker.stages.clear(), maker.exprs.clear();
      }
    if (arranged) k = std::move(*arranged);
  }
  return p;
}

}  // namespace dlc
