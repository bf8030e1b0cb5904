#include "codegen/native/contract_schedule.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "ir/support/integers.h"

namespace dlc {

using loop::ContractIndex;
using loop::ContractSchedule;

namespace {

/// What present-day cores have in common, in cycles and bytes. The ratios matter, not the digits.
struct Machine {
  double latency = 4;  // of a multiply-add
  std::int64_t line = 64, page = 4096, tlb_pages = 2048, first_tlb_pages = 64;
  double walk_bytes = 6;  // a cycle: when each row's page has to be looked up
  // A cycle: rows of a few short vectors, from the second cache, and where each has its page.
  double far_rows_bytes = 10, far_pages_bytes = 5.5;
  double issue = 3.3;     // instructions a cycle, of a core that two threads share
  double pack_bytes = 5;  // a cycle, read and written
  double loop = 5;        // to begin and end one
};
constexpr Machine kMachine;
// Rows of memory this far apart share few places of a cache; so many of them at most are in use.
constexpr std::int64_t kFarRow = 1024;
/// A block of four vectors each, in a sum of any length: where two multiply-adds a cycle want as
/// much of V from a cache, it stays in the first one, or half of it does.
int any_length_block(const Core& core, bool far_rows) {
  if (core.wide_fma <= 1) return far_rows ? 256 : 512;
  return far_rows ? 128 : 256;
}

double extent_of(const ContractIndex& i) {
  return static_cast<double>(std::max<std::int64_t>(i.extent.typical(), 1));
}

/// The step of an index in the one operand that has it.
const Dim& own_stride(const ContractIndex& i) { return i.in_a ? i.a_stride : i.b_stride; }

/// An axis of C, of more than one element, that only one operand has.
bool is_own_axis(const ContractIndex& i) {
  return i.axis >= 0 && i.in_a != i.in_b && !(i.extent == Dim(1));
}

/// How well an axis of C that one operand has fills vectors, up to 1.
double fill(const ContractIndex& i, int lanes) {
  if (!i.extent.is_constant()) return 1;
  const auto extent = static_cast<double>(i.extent.value());
  return extent / (std::ceil(extent / lanes) * lanes);
}

/// Along `i`, rows of a few k's each follow one another in memory.
bool has_short_rows(const ContractIndex& i, const std::vector<const ContractIndex*>& k) {
  constexpr std::int64_t kLongest = 8;
  if (i.in_a == i.in_b || i.extent == Dim(1) || k.size() != 1) return false;
  if (!k[0]->extent.is_constant() || k[0]->extent.value() < 1 || k[0]->extent.value() > kLongest)
    return false;
  return own_stride(i) == k[0]->extent && (i.in_a ? k[0]->a_stride : k[0]->b_stride) == Dim(1);
}

/// An index of k along which both operands are contiguous and vectors are well filled; the best.
const ContractIndex* dot_index(const std::vector<const ContractIndex*>& k, int lanes) {
  const ContractIndex* best = nullptr;
  for (const ContractIndex* i : k)
    if (i->a_stride == Dim(1) && i->b_stride == Dim(1) &&
        (!best || fill(*i, lanes) > fill(*best, lanes)))
      best = i;
  return best;
}

/// Of the axes of C that one operand has, the longest that is short; not the one that is shared out
/// among threads.
const ContractIndex* grid_axis(const loop::Contraction& c, bool of_a, loop::AxisId shared) {
  constexpr std::int64_t kLongest = 8;
  const ContractIndex* best = nullptr;
  for (const ContractIndex& i : c.indices)
    if (is_own_axis(i) && i.in_a == of_a && i.axis != shared && i.extent.is_constant() &&
        i.extent.value() <= kLongest && (!best || i.extent.value() > best->extent.value()))
      best = &i;
  return best;
}

/// A panel is turned over for all rows of the other operand at once; without such, or without a
/// sum, it would cost as much as the products.
bool may_be_turned(const ContractIndex& n, const loop::Contraction& c) {
  const auto& all = c.indices;
  return std::any_of(all.begin(), all.end(),
                     [&](const ContractIndex& i) { return is_own_axis(i) && i.in_a != n.in_a; }) &&
         std::any_of(all.begin(), all.end(), [](const ContractIndex& i) { return i.axis < 0; });
}

bool is_longer(const ContractIndex& a, const ContractIndex& b) {
  return extent_of(a) > extent_of(b);
}

/// Rows `stride` bytes apart begin in this many places of a cache's way.
std::int64_t places(std::int64_t stride, std::int64_t way) { return way / std::gcd(stride, way); }

/// Bytes of such rows that a cache keeps: rows in the same place evict each other.
double kept_bytes(double row_bytes, std::int64_t stride, std::int64_t way, std::int64_t ways) {
  const auto size = static_cast<double>(way);
  if (stride <= 0) return size * static_cast<double>(ways);
  const double rows = static_cast<double>(places(stride, way)) * row_bytes;
  return static_cast<double>(ways) * std::min(size, rows);
}

/// What the cost of a schedule depends on.
struct Problem {
  double m = 1, n = 1, k = 1, passes = 1;  // passes: of all other axes of C
  bool rows_known = true;                  // m is no guess
  double k_run = 1;                        // of the last k
  // Bytes between rows of V, 0 when unknown; and between rows of U, 0 when unknown or when U runs
  // along m.
  std::int64_t v_stride = 0, u_stride = 0;
  double element_bytes = 4;
  int lanes = 16;
  double per_cycle = 1;                       // multiply-adds, and vector loads as well
  bool pairs = false, short_vectors = false;  // less than 512 bits
  Core core;
};

/// Vectors of V lie in one line each.
bool is_in_lines(const Problem& p) {
  return p.v_stride % static_cast<std::int64_t>(p.lanes * p.element_bytes) == 0;
}
/// Where the rows of V begin anywhere in a line, a vector lies in two, and is loaded twice; a core
/// of two multiply-adds a cycle waits for it twice as long.
double lines_of_vector(const Problem& p, const ContractSchedule& s) {
  return !s.packed && !is_in_lines(p) ? 2 * p.core.wide_fma : 1;
}

/// Cycles in which memory delivers V's and U's part of one k of a tile of `rows` rows.
double memory_of_step(const Problem& p, const ContractSchedule& s, double k_block, double rows) {
  const Machine& m = kMachine;
  const Core& c = p.core;
  const std::int64_t stride = s.packed ? 0 : p.v_stride;
  double row_bytes = lines_of_vector(p, s) * s.vectors * p.lanes * p.element_bytes;
  if (p.short_vectors && stride >= kFarRow)
    row_bytes = std::ceil(row_bytes / static_cast<double>(m.line)) * static_cast<double>(m.line);
  const double block = k_block * row_bytes;
  double speed = c.l2_bytes;
  if (block <= kept_bytes(row_bytes, stride, c.l1_way, c.l1_ways) / 2) {
    speed = 64;
  } else if (p.short_vectors && stride >= kFarRow) {
    speed = stride >= m.page ? m.far_pages_bytes : m.far_rows_bytes;
  } else if (block > kept_bytes(row_bytes, stride, c.l2_way, c.l2_ways) * 0.75) {
    const std::int64_t pages = m.tlb_pages / std::max<std::int64_t>(stride / m.page, 1);
    speed = stride >= m.page && k_block > static_cast<double>(pages)
                ? std::min(m.walk_bytes, c.far_bytes)
                : c.far_bytes;
  }
  // A line of U serves the next k's as well, unless the other rows' lines are in the same place.
  const bool evicted =
      p.u_stride > 0 && rows > static_cast<double>(c.l1_ways * places(p.u_stride, c.l1_way));
  const double u_bytes = rows * (evicted ? static_cast<double>(m.line) : p.element_bytes);
  return row_bytes / speed + u_bytes / c.l2_bytes;
}

/// Of all rows of a panel of `s.vectors`.
double cost_of_panel(const Problem& p, const ContractSchedule& s) {
  const double vectors = s.vectors;
  const double width = vectors * p.lanes;
  const double k_block = s.k_block > 0 ? std::min<double>(s.k_block, p.k) : p.k;
  const double lines = lines_of_vector(p, s);
  const auto tiles_of = [&](double count, double rows) {
    if (count <= 0) return 0.0;
    const double loads = lines * vectors / p.per_cycle + rows / 2;
    // Looking up each row's page beside two multiply-adds a cycle shows.
    const bool looks_up = !s.packed && p.v_stride >= kMachine.page && p.per_cycle > 1 &&
                          k_block > static_cast<double>(kMachine.first_tlb_pages);
    // Of a few short vectors, loads are as many instructions as multiply-adds.
    const double issued =
        p.short_vectors ? (rows * vectors + rows + vectors + 1) / kMachine.issue : 0;
    const double step = std::max({rows * vectors / p.per_cycle, loads, issued, kMachine.latency}) +
                        (looks_up ? 1 : 0) +
                        0.01 * loads;  // for equal ones: the one that loads less
    const double compute = (p.pairs ? p.k / 2 : p.k) * step;
    const double memory = p.k * memory_of_step(p, s, k_block, rows);
    return count * (std::max(compute, memory) + 2 * rows * vectors + 10);
  };
  // Tiles of `rows` and, where their number is known, of one row less; what does not fit is done
  // row by row.
  const double tiles = std::ceil(p.m / s.rows);
  const bool fits = p.rows_known && tiles * (s.rows - 1) <= p.m;
  const double short_tiles = fits ? tiles * s.rows - p.m : 0;
  const double tall_tiles = fits ? tiles - short_tiles : std::floor(p.m / s.rows);
  const double single = fits ? 0 : p.m - tall_tiles * s.rows;
  double total =
      tiles_of(tall_tiles, s.rows) + tiles_of(short_tiles, s.rows - 1) + tiles_of(single, 1);
  if (s.packed) total += p.k * width * p.element_bytes / kMachine.pack_bytes;
  // Loops of a few k's each.
  if (s.k_block == 0) total += tiles * (p.k / p.k_run) * kMachine.loop;
  // Between two blocks the sums are written and read again.
  if (s.k_block > 0) total += p.m * vectors * 2 * (std::ceil(p.k / k_block) - 1);
  return total;
}

double cost(const Problem& p, const ContractSchedule& s) {
  const double width = s.vectors * p.lanes, panels = std::floor(p.n / width);
  double total = panels * cost_of_panel(p, s);
  ContractSchedule rest = s;
  rest.vectors = static_cast<int>(std::ceil((p.n - panels * width) / p.lanes));
  if (rest.vectors > 0) total += cost_of_panel(p, rest);
  return p.passes * total;
}

/// Whether rows or products are made of several indices, none of which would do alone.
bool needs_tables(const ContractRoles& r) {
  constexpr double kLongK = 64;
  if (r.m.empty() || r.k.empty()) return false;
  return !r.even_rows || (r.k.size() > 1 && extent_of(*r.k.back()) < kLongK);
}

/// The products of a block. Where two multiply-adds a cycle want much of V, and U's elements (a
/// line each) or V's panels come from a further cache, shorter blocks stay in nearer ones.
int block_with_tables(const ContractRoles& r, const VectorUnit& unit, bool far) {
  if (r.pairs) return 1024;
  if (unit.bits < 512 && is_u_strided(r)) return 128;
  if (unit.core.wide_fma <= 1 || r.turned) return 512;
  return is_u_strided(r) ? 256 : far ? 128 : 512;
}

Problem problem_of(const loop::Program& program, const ContractRoles& r, const VectorUnit& unit,
                   const loop::Contraction& c) {
  Problem p;
  p.n = r.stack ? extent_of(*r.stack) * r.lanes : extent_of(*r.n);
  for (const ContractIndex* m : r.m) {
    p.m *= extent_of(*m);
    p.rows_known = p.rows_known && m->extent.is_constant();
  }
  for (const ContractIndex* k : r.k) p.k *= extent_of(*k);
  if (!r.k.empty()) p.k_run = extent_of(*r.k.back());
  for (const ContractIndex* i : r.other) p.passes *= extent_of(*i);
  const auto v = static_cast<std::size_t>(r.u_is_a ? c.b : c.a);
  p.element_bytes = static_cast<double>(size_in_bytes(program.buffers.at(v).type.element));
  const auto bytes = [&](const Dim& stride) {
    return stride.is_constant() ? stride.value() * static_cast<std::int64_t>(p.element_bytes) : 0;
  };
  if (!r.k.empty()) p.v_stride = bytes(r.v_stride(*r.k.back()));
  if (r.even_rows && !(r.u_stride(*r.m.back()) == Dim(1)))
    p.u_stride = bytes(r.u_stride(*r.m.back()));
  p.lanes = r.lanes;
  p.per_cycle = unit.bits >= 512 ? unit.core.wide_fma : 2;
  p.short_vectors = unit.bits < 512;
  p.core = unit.core;
  p.pairs = r.pairs;
  return p;
}

}  // namespace

namespace {

/// Of tiles of vectors, the cheapest first; at least one.
std::vector<ScheduleCost> vector_schedules(const loop::Program& program, const loop::Contraction& c,
                                           const ContractRoles& r, const VectorUnit& unit) {
  const Problem p = problem_of(program, r, unit, c);
  const int widest =
      static_cast<int>(std::min<double>(p.short_vectors ? 8 : 16, std::ceil(p.n / r.lanes)));
  std::vector<ScheduleCost> result;
  const auto add = [&](const ContractSchedule& s) { result.push_back({s, cost(p, s)}); };
  const bool tables = needs_tables(r), far = is_far(program, c, r, unit),
             strided = !r.k.empty() && is_u_strided(r);
  constexpr double kManyRows = 128, kFewRows = 32;
  for (int vectors = 1; vectors <= widest; ++vectors) {
    const bool one_row = r.m.empty();
    int rows = one_row ? 1 : most_rows(vectors, unit.bits);
    if (rows == 1 && !one_row) break;
    // Tiles of equal height rather than a remainder of a few rows.
    if (!one_row && p.rows_known && p.m < 4 * rows) {
      const double tiles = std::ceil(p.m / rows);
      rows = static_cast<int>(std::ceil(p.m / tiles));
    }
    if (r.stack || vectors * r.lanes == c.panel) {
      add({rows, vectors, 0, false});
      continue;
    }
    if (c.panel > 0) continue;
    const int k_block = tables                              ? block_with_tables(r, unit, far)
                        : r.pairs || unit.core.wide_fma > 1 ? 1024
                        : p.short_vectors && (strided || (p.rows_known && p.m < kManyRows))
                            ? 256  // copies of U, and panels few rows share, stay in near caches
                            : 512;
    if (r.turned || tables) {
      add({rows, vectors, k_block, true});
      // Where few rows share a panel it is not worth packing.
      if (r.turned || r.pairs || (p.short_vectors && p.m >= (far ? kFewRows : kManyRows))) continue;
      add({rows, vectors, k_block, false});
      if (r.even_rows) add({rows, vectors, 0, false});
      continue;
    }
    // A sum of any length (over the batch) whose operand has a far row of memory for each k, or
    // that is long whatever the batch: a block of it stays in a cache, and a single block costs
    // nothing.
    const bool any_length =
        !one_row && !r.k.empty() && !r.k.back()->extent.is_constant() && !r.pairs;
    if (p.short_vectors && any_length && p.m >= (far ? kFewRows : kManyRows) &&
        (far || p.v_stride >= kFarRow / 2)) {
      // What comes along is packed, and U copied, for one another.
      add({rows, vectors, 128, true});
      continue;
    }
    if (const bool far_rows = p.v_stride >= kFarRow; any_length && (far_rows || p.k > k_block)) {
      const int block = any_length_block(unit.core, far_rows);
      // Two multiply-adds a cycle do not hide that such rows come from the second cache.
      const bool pays = far_rows && unit.core.wide_fma > 1 && p.m >= kManyRows;
      if (!pays) add({rows, vectors, block, false});
      if (pays || p.v_stride % kMachine.line != 0) add({rows, vectors, block, true});
      continue;
    }
    if (!r.pairs) add({rows, vectors, 0, false});
    // Through memory in blocks: only rows that share a block pay for it.
    if (one_row || (p.rows_known && p.m < 4 * rows && !r.pairs)) continue;
    const bool far_pages = (unit.core.wide_fma > 1 || p.short_vectors) &&
                           p.v_stride >= kMachine.page &&
                           p.k > static_cast<double>(kMachine.first_tlb_pages);
    const bool far_rows = p.short_vectors && p.v_stride >= kFarRow && p.m >= kManyRows;
    if (p.k > k_block / 2 || far_pages || far_rows || r.pairs) add({rows, vectors, k_block, true});
    if (p.k > 2 * k_block && !r.pairs) add({rows, vectors, k_block, false});
  }
  std::stable_sort(result.begin(), result.end(), [](const ScheduleCost& a, const ScheduleCost& b) {
    return a.cycles < b.cycles;
  });
  // A batch may be a few rows.
  const bool whole_far = comes_from_far(program, c, r, unit);
  if (!p.rows_known)
    std::stable_partition(result.begin(), result.end(),
                          [&](const ScheduleCost& s) { return s.schedule.packed && whole_far; });
  return result;
}

/// Both operands can be copied as matrices: along the sum, in runs of `piece` products, or 16 rows
/// at a time.
bool has_matrices(const ContractRoles& r, std::int64_t piece) {
  const ContractIndex &k = *r.k.back(), &m = *r.m.back();
  const bool runs = r.k.size() == 1 || (k.extent.is_constant() && k.extent.value() % piece == 0);
  if (r.turned && !runs) return false;
  if (r.u_stride(k) == Dim(1)) return runs;
  return r.u_stride(m) == Dim(1) && !r.skips &&
         (r.even_rows || (m.extent.is_constant() && m.extent.value() % kMatrixRows == 0));
}

/// Whether operands in so many parts of bf16, multiplied as matrices, are cheaper than vectors.
bool matrices_pay(const loop::Program& program, const loop::Contraction& c, const ContractRoles& r,
                  const VectorUnit& unit, int parts) {
  // Cycles: of 32 x 32 sums of 32 products, of an element that is copied, along memory and turned
  // over, of a vector of sums, to the end and from block to block.
  struct Costs {
    double products, copied, turned;
  };
  const Costs cost = parts == 1 ? Costs{80, 0.15, 0.3} : Costs{420, 0.5, 0.9};
  constexpr double kFinish = 4, kWait = 1, kBegin = 600, kGroup = 256, kRows = 512, kBlock = 256;
  const Problem p = problem_of(program, r, unit, c);
  if (p.n <= r.lanes) return false;  // a head is hardly faster
  const auto pieces = [](double x, double of) { return std::ceil(x / of); };
  const double products = pieces(p.m, 2 * kMatrixRows) * pieces(p.n, kMatrixRows) / 2 *
                          pieces(p.k, kMatrixProducts) * cost.products;
  const double u = p.m * p.k * pieces(p.n, kGroup) * (is_u_strided(r) ? cost.turned : cost.copied),
               v = p.n * p.k * pieces(p.m, kRows) * (r.turned ? cost.turned : cost.copied);
  const double sums = p.m * pieces(p.n, r.lanes) * (kFinish + kWait * pieces(p.k, kBlock));
  // What is hardly faster is not worth the longer code.
  constexpr double kClearly = 0.8;
  return p.passes * (kBegin + products + u + v + sums) <
         kClearly * vector_schedules(program, c, r, unit)[0].cycles;
}

}  // namespace

ContractRoles contract_roles(const loop::Program& p, const loop::Kernel& kernel,
                             const VectorUnit& unit) {
  const loop::Contraction& c = kernel.contraction[0];
  ContractRoles r;
  r.lanes = unit.bits / (c.type == ElementType::F64 ? 64 : 32);
  double best = 0;
  // Axes are numbered in the order of C's indices.
  const loop::AxisId last_axis =
      kernel.outer.empty() ? -1 : *std::max_element(kernel.outer.begin(), kernel.outer.end());
  for (const ContractIndex& i : c.indices) {
    (i.axis < 0 ? r.k : r.other).push_back(&i);
    if (!is_own_axis(i)) continue;
    const bool is_unit = own_stride(i) == Dim(1), is_last = i.axis == last_axis;
    if (!is_unit && !(is_last && may_be_turned(i, c))) continue;
    // Along another axis than the last one the results are not contiguous.
    const double score = fill(i, r.lanes) * (is_last ? 1 : 0.8) * (is_unit ? 1 : 0.9);
    if (score > best) best = score, r.n = &i, r.turned = !is_unit;
  }
  // A vector along n would be mostly empty, or a short one not full, and one along k is not.
  const double least_fill = unit.bits >= 512 ? 0.5 : 0.9;
  if (const ContractIndex* dot = dot_index(r.k, r.lanes);
      dot && (!r.n || fill(*r.n, r.lanes) < least_fill * fill(*dot, r.lanes))) {
    // All of C waits on the stack.
    constexpr std::int64_t kMostSums = 1024;
    const loop::AxisId shared = kernel.outer.empty() ? -1 : kernel.outer[0];
    const ContractIndex *grid_a = grid_axis(c, true, shared), *grid_b = grid_axis(c, false, shared);
    Dim sums(1);
    for (const loop::AxisId a : kernel.outer)
      sums = sums * kernel.axes[static_cast<std::size_t>(a)].extent;
    if (grid_a && grid_b && sums.is_constant() && sums.value() <= kMostSums) {
      r.n = nullptr;
      r.turned = false;
      r.dot = dot;
      r.grid_a = grid_a;
      r.grid_b = grid_b;
      r.grid_sums = sums.value();
      return r;
    }
  }
  if (!r.n) {
    for (const ContractIndex* i : r.other)
      if (has_short_rows(*i, r.k) && (!r.short_rows || is_longer(*i, *r.short_rows)))
        r.short_rows = i;
    if (r.short_rows) return r;
    for (const ContractIndex* i : r.k)
      if (i->a_stride == Dim(1) && i->b_stride == Dim(1) &&
          !(i->extent.is_constant() && i->extent.value() < r.lanes / 2))
        r.dot = i;
    return r;
  }
  r.u_is_a = r.n->in_b;
  std::erase(r.other, r.n);
  std::erase_if(r.other, [&](const ContractIndex* i) {
    const bool is_row =
        (r.u_is_a ? i->in_a && !i->in_b : i->in_b && !i->in_a) && !(i->extent == Dim(1));
    if (is_row) r.m.push_back(i);
    return is_row;
  });
  // The one that threads share out is the outermost.
  std::stable_partition(r.m.begin(), r.m.end(),
                        [&](const ContractIndex* i) { return i->axis == kernel.outer[0]; });
  // Which rows a tap skips is in a table of them.
  r.skips = !c.frames.empty();
  r.even_rows = !r.m.empty() && !r.skips;
  for (std::size_t k = 1; k < r.m.size(); ++k)
    r.even_rows = r.even_rows && r.u_stride(*r.m[k - 1]) == r.u_stride(*r.m[k]) * r.m[k]->extent;
  const auto stacks = [&](const ContractIndex* i) {
    return is_own_axis(*i) && i->axis != kernel.outer[0] && i->extent.is_constant();
  };
  const bool is_short = r.n->extent.is_constant() && r.n->extent.value() <= r.lanes;
  if (is_short && !r.turned && r.m.size() <= 1 && !r.skips)
    if (const auto at = std::find_if(r.other.rbegin(), r.other.rend(), stacks);
        at != r.other.rend()) {
      r.stack = *at;
      r.other.erase(std::next(at).base());
    }
  // Of a turned V memory is read along the last k.
  if (r.turned)
    std::stable_partition(r.k.begin(), r.k.end(),
                          [&](const ContractIndex* k) { return !(r.v_stride(*k) == Dim(1)); });
  if (r.m.empty() || r.stack || r.k.empty()) return r;
  if (r.turned && !(r.v_stride(*r.k.back()) == Dim(1))) return r;
  const auto are = [&](ElementType t) {
    const auto is = [&](loop::BufferId b) {
      return p.buffers.at(static_cast<std::size_t>(b)).type.element == t;
    };
    return is(c.a) && is(c.b);
  };
  constexpr double kLongK = 16;
  r.pairs = unit.bf16_dot && are(ElementType::BF16) && extent_of(*r.k.back()) >= kLongK;
  const bool is_f32 = are(ElementType::F32);
  if (!unit.bf16_matrices || !(is_f32 || are(ElementType::BF16))) return r;
  const int parts = is_f32 ? 3 : 1;
  if (has_matrices(r, is_f32 ? kMatrixProducts / 2 : kMatrixProducts) &&
      matrices_pay(p, c, r, unit, parts))
    r.matrices = true, r.pairs = false, r.parts = parts;
  return r;
}

namespace {

/// A block of U's rows and of a panel stay in the first cache. An odd number of vectors of columns,
/// if few, are taken one by one.
ContractSchedule matrices_schedule(const ContractRoles& r) {
  constexpr std::int64_t kFew = 5;
  const Dim& n = r.n->extent;
  const std::int64_t vectors = n.is_constant() ? ceil_div(n.value(), r.lanes) : 0;
  const bool one = vectors % 2 == 1 && vectors <= kFew;
  return {2 * kMatrixRows, one ? 1 : 2, r.parts == 1 ? 512 : 128, true};
}

}  // namespace

std::vector<ScheduleCost> contract_schedules(const loop::Program& program,
                                             const loop::Kernel& kernel, const VectorUnit& unit) {
  const ContractRoles r = contract_roles(program, kernel, unit);
  if (r.matrices) return {{matrices_schedule(r), 0}};
  return vector_schedules(program, kernel.contraction[0], r, unit);
}

ContractSchedule few_rows_schedule(const ContractRoles& r, const VectorUnit& unit) {
  // One panel where that is possible.
  constexpr std::int64_t kVectors = 4, kMost = 5;
  const Dim& n = r.n->extent;
  const std::int64_t all = n.is_constant() ? ceil_div(n.value(), r.lanes) : kVectors;
  const int vectors = static_cast<int>(all <= kMost ? all : kVectors);
  return {std::min(6, most_rows(vectors, unit.bits)), vectors, 0, false};
}

ContractSchedule contract_schedule(const loop::Program& p, const loop::Kernel& kernel,
                                   const VectorUnit& unit) {
  const ContractSchedule& named = kernel.contraction[0].schedule;
  if (named.rows > 0 && !contract_roles(p, kernel, unit).matrices) return named;
  return contract_schedules(p, kernel, unit)[0].schedule;
}

}  // namespace dlc
