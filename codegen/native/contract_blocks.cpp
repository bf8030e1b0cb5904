// What of a contraction stays in which cache: the blocks that its sums and panels are cut into.
#include <algorithm>
#include <iterator>

#include "codegen/native/contract_schedule.h"
#include "ir/support/integers.h"

namespace dlc {

using loop::ContractIndex;
using loop::ContractSchedule;

bool exceeds_cache(const loop::Program& p, const loop::Contraction& c, bool is_a,
                   const Core& core) {
  std::int64_t bytes =
      size_in_bytes(p.buffers.at(static_cast<std::size_t>(is_a ? c.a : c.b)).type.element);
  for (const ContractIndex& i : c.indices)
    if (is_a ? i.in_a : i.in_b) bytes *= std::max<std::int64_t>(i.extent.typical(), 1);
  return 2 * bytes > core.l2_size();
}

int most_rows(int vectors, int bits) {
  if (bits >= 512) {
    static constexpr int kRows[] = {0, 12, 12, 8, 6, 5};
    return vectors < static_cast<int>(std::size(kRows)) ? kRows[vectors] : 1;
  }
  static constexpr int kRows[] = {0, 10, 6, 4};
  return vectors < static_cast<int>(std::size(kRows)) ? kRows[vectors] : 1;
}

KBlocks k_blocks(const ContractRoles& r, std::int64_t most) {
  KBlocks b;
  b.rest = r.k;
  const auto take = [&] {
    b.split = b.rest.back();
    b.rest.pop_back();
  };
  take();
  // Products two at a time, and those of one tap, are not joined with others.
  while (!r.pairs && !r.skips && !b.rest.empty() && b.split->extent.is_constant() &&
         b.split->extent.value() * b.inner_products * 2 <= most) {
    b.inner.insert(b.inner.begin(), b.split);
    b.inner_products *= b.split->extent.value();
    take();
  }
  b.chunk = std::max<std::int64_t>(1, most / b.inner_products);
  if (!b.split->extent.is_constant()) return b;
  // Blocks of equal length rather than a short last one; whole vectors where they are turned over.
  const std::int64_t extent = std::max<std::int64_t>(b.split->extent.value(), 1);
  const std::int64_t whole =
      b.inner.empty() && (r.turned || r.pairs || r.matrices) ? 2 * r.lanes : 1;
  const std::int64_t blocks = ceil_div(extent, b.chunk);
  b.chunk = ceil_div(ceil_div(extent, blocks), whole) * whole;
  return b;
}

bool sums_wait(const ContractRoles& r, const KBlocks& blocks) {
  const Dim& extent = blocks.split->extent;
  return r.matrices || r.skips || !blocks.rest.empty() || !extent.is_constant() ||
         extent.value() > blocks.chunk;
}

BlockShape block_shape(const ContractRoles& r, const VectorUnit& unit, const ContractSchedule& s,
                       const KBlocks& blocks) {
  // The rest is for U and what comes next. Copies of U are what short vectors keep in the second
  // cache: a panel, and sums, come from further away once for many rows or products, while a block
  // cut smaller would copy and pack again.
  constexpr std::int64_t kMostRoom = std::int64_t{768} << 10, kCopiesRoom = std::int64_t{2} << 20;
  const bool copies = unit.bits < 512 && is_u_strided(r);
  const std::int64_t room = copies ? kCopiesRoom : std::min(unit.core.l2_size() / 3, kMostRoom);
  const std::int64_t line = static_cast<std::int64_t>(s.vectors) * unit.bits / 8;
  const std::int64_t products =
      r.matrices ? ceil_div(blocks.products(), kMatrixProducts) * kMatrixProducts * r.parts
                 : blocks.products();
  const std::int64_t panel = products * line / (r.pairs || r.matrices ? 2 : 1);
  constexpr std::int64_t kLeastRows = 240, kMostRows = 1920;
  BlockShape shape;
  shape.panels = std::clamp<std::int64_t>(room / std::max(panel, kLeastRows * line), 1, 64);
  const std::int64_t width = static_cast<std::int64_t>(s.vectors) * r.lanes;
  if (r.n->extent.is_constant()) {
    // Groups of equal size; matrices are filled up.
    const std::int64_t columns = r.n->extent.value();
    const std::int64_t all =
        std::max<std::int64_t>(r.matrices ? ceil_div(columns, width) : columns / width, 1);
    shape.panels = ceil_div(all, ceil_div(all, shape.panels));
  }
  // A sum of one block waits for none.
  const std::int64_t rows =
      sums_wait(r, blocks) ? std::min(room / (shape.panels * line), kMostRows) : kMostRows;
  shape.rows = std::max<std::int64_t>(rows / s.rows, 1) * s.rows;
  return shape;
}

bool is_far(const loop::Program& p, const loop::Contraction& c, const ContractRoles& r,
            const VectorUnit& unit) {
  return !r.turned && !r.stack && exceeds_cache(p, c, !r.u_is_a, unit.core);
}

bool comes_from_far(const loop::Program& p, const loop::Contraction& c, const ContractRoles& r,
                    const VectorUnit& unit) {
  return r.other.empty() && is_far(p, c, r, unit);
}

bool is_u_strided(const ContractRoles& r) { return !(r.u_stride(*r.k.back()) == Dim(1)); }

bool is_u_streamed(const loop::Program& p, const loop::Contraction& c, const ContractRoles& r,
                   const VectorUnit& unit) {
  // What is in several windows comes again soon.
  const int few_vectors = r.k.size() > 1 ? 2 : 8;
  return r.n->extent.is_constant() && r.n->extent.value() <= few_vectors * r.lanes &&
         exceeds_cache(p, c, r.u_is_a, unit.core);
}

}  // namespace dlc
