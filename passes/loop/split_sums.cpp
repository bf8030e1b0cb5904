// A reduction to a number is one point, which one thread computes. Long ones are cut into kParts
// parts of equal length: a kernel with a point for each part, and one that combines what they give.
// The number of parts is fixed, so the tree of the reduction depends on nothing but its length.
//
// Worth it is a sum that is long for certain, or of data of any length that come from outside; sums
// of what other kernels compute for a batch (the losses of its rows) are short.
#include <algorithm>

#include "passes/lower/lower.h"

namespace dlc {

namespace {

using loop::AxisId;
using loop::ExprId;
using loop::ExprKind;
using loop::Kernel;
using loop::KernelBuilder;

constexpr std::int64_t kParts = 16;
constexpr std::int64_t kLong = 1 << 16;

bool combines(loop::ReduceKind k) {
  return k != loop::ReduceKind::ArgMax && k != loop::ReduceKind::ArgMin;
}

/// Whether all of `k` is sums that do not need each other, and stores of what follows from them.
bool is_sum(const loop::Program& p, const Kernel& k) {
  if (!k.outer.empty() || !k.contraction.empty() || k.scatter != loop::Scatter::None) return false;
  bool any = false;
  for (const loop::Stage& s : k.stages) {
    if (s.axes.empty() != s.reductions.empty()) return false;
    if (!s.axes.empty() && !s.stores.empty()) return false;
    for (const loop::Reduction& r : s.reductions) {
      any = true;
      const loop::Expr& value = k.exprs[static_cast<std::size_t>(r.value)];
      if (!combines(r.kind) || is_16_bit_float(value.type) || value.type == ElementType::Bool)
        return false;
    }
  }
  if (!any) return false;
  // What the sums read: the expressions that lead to them.
  std::vector<ExprId> open;
  for (const loop::Stage& s : k.stages)
    for (const loop::Reduction& r : s.reductions) open.push_back(r.value);
  std::vector<bool> seen(k.exprs.size(), false);
  bool computed = false;
  while (!open.empty()) {
    const auto id = static_cast<std::size_t>(open.back());
    open.pop_back();
    if (seen[id]) continue;
    seen[id] = true;
    const loop::Expr& e = k.exprs[id];
    if (e.kind == ExprKind::RowValue) return false;
    if (e.kind == ExprKind::Load) {
      const loop::BufferKind from = p.buffers[static_cast<std::size_t>(e.buffer)].kind;
      computed = computed || from == loop::BufferKind::Temp || from == loop::BufferKind::Output;
    }
    open.insert(open.end(), e.operands.begin(), e.operands.end());
  }
  for (const loop::Stage& s : k.stages) {
    if (s.axes.empty()) continue;
    Dim length = 1;
    for (const AxisId a : s.axes) length = length * k.axes[static_cast<std::size_t>(a)].extent;
    const bool is_long = length.is_constant() ? length.value() >= kLong : !computed;
    const Dim& first = k.axes[static_cast<std::size_t>(s.axes[0])].extent;
    if (!is_long || (first.is_constant() && first.value() < kParts)) return false;
  }
  return true;
}

loop::BufferId add_parts(loop::Program& p, const std::string& name, ElementType t) {
  loop::Buffer b;
  b.name = name;
  b.kind = loop::BufferKind::Temp;
  b.type = {t, {Dim(kParts)}};
  p.buffers.push_back(std::move(b));
  return static_cast<loop::BufferId>(p.buffers.size() - 1);
}

/// Makes `total` combine what the first of the two, which is returned, computes.
Kernel split(loop::Program& p, Kernel& total) {
  Kernel parts = total;
  parts.name += "_parts";
  std::erase_if(parts.stages, [](const loop::Stage& s) { return s.axes.empty(); });
  KernelBuilder pb(parts), tb(total);
  const AxisId part = pb.axis("part", kParts);
  parts.outer = {part};
  const ExprId here = pb.axis_value(part);
  loop::Stage stores;
  int number = 0;
  for (loop::Stage& s : total.stages) {
    if (s.axes.empty()) continue;
    parts.axes[static_cast<std::size_t>(parts.stages[static_cast<std::size_t>(number)].axes[0])]
        .piece = part;
    const AxisId over = tb.axis("part", kParts);
    s.axes = {over};
    for (std::size_t r = 0; r < s.reductions.size(); ++r) {
      const ElementType t = total.exprs[static_cast<std::size_t>(s.reductions[r].value)].type;
      const loop::BufferId b =
          add_parts(p, total.name + "." + std::to_string(number) + "." + std::to_string(r), t);
      stores.stores.push_back({b, here, pb.row_value(number, static_cast<int>(r), t)});
      s.reductions[r].value = tb.load(b, t, tb.axis_value(over));
    }
    ++number;
  }
  parts.stages.push_back(std::move(stores));
  return parts;
}

}  // namespace

void run_split_sums(loop::Program& p) {
  std::vector<Kernel> kernels;
  std::vector<int> place;  // of each kernel and the end, in the new list
  for (Kernel& k : p.kernels) {
    place.push_back(static_cast<int>(kernels.size()));
    if (is_sum(p, k)) kernels.push_back(split(p, k));
    kernels.push_back(std::move(k));
  }
  place.push_back(static_cast<int>(kernels.size()));
  p.kernels = std::move(kernels);
  for (loop::Loop& l : p.loops) {
    l.first = place[static_cast<std::size_t>(l.first)];
    l.last = place[static_cast<std::size_t>(l.last)];
  }
}

}  // namespace dlc
