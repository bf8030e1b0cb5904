// A matrix that every turn of a scan multiplies by, a recurrent weight, is copied once before the
// scan, turned over if the sum runs along its rows. Code generation arranges the copy in panels
// (Contraction::copied), as tiles read it, where it would else do that in each turn.
//
//   loop turn < T: h = h * w    =>    p = w; loop turn < T: h = h * p
//
// Only in programs that train: they go through many turns. A program that says one character after
// the other has a single one, in which the copy would cost more than the product.
#include <algorithm>
#include <utility>

#include "passes/loop/accesses.h"
#include "passes/lower/lower.h"

namespace dlc {

namespace {

using loop::ContractIndex;
using loop::Kernel;

// Below this a matrix stays near as it is.
constexpr std::int64_t kLeastRows = 32, kLeastColumns = 64;
constexpr std::int64_t kFewTurns = 8;

/// It changes parameters; what only carries a state on does not.
bool trains(const loop::Program& p) {
  return std::any_of(p.buffers.begin(), p.buffers.end(), [&](const loop::Buffer& b) {
    return b.alias >= 0 &&
           p.buffers[static_cast<std::size_t>(b.alias)].kind == loop::BufferKind::Param;
  });
}

bool is_written(const loop::Program& p, const loop::Loop& l, loop::BufferId b) {
  for (int k = l.first; k < l.last; ++k)
    for (const loop::Stage& s : p.kernels[static_cast<std::size_t>(k)].stages)
      for (const loop::Store& st : s.stores)
        if (memory_of(p, st.buffer) == memory_of(p, b)) return true;
  return false;
}

bool mentions(const Dim& d, const std::string& symbol) {
  const std::vector<std::string> symbols = d.symbols();
  return std::find(symbols.begin(), symbols.end(), symbol) != symbols.end();
}

void swap_operands(loop::Contraction& c) {
  std::swap(c.a, c.b);
  std::swap(c.a_base, c.b_base);
  for (ContractIndex& i : c.indices) {
    std::swap(i.a_stride, i.b_stride);
    std::swap(i.in_a, i.in_b);
  }
}

/// b's own index and the one that is summed; nullptr where b is no matrix of known size.
struct MatrixIndices {
  ContractIndex *k = nullptr, *n = nullptr;
};
MatrixIndices matrix_of_b(loop::Contraction& c) {
  MatrixIndices m;
  for (ContractIndex& i : c.indices) {
    if (!i.in_b) {
      if (i.axis < 0) return {};
      continue;
    }
    ContractIndex*& role = i.in_a ? m.k : m.n;
    if (role || (i.in_a && i.axis >= 0) || (!i.in_a && i.axis < 0)) return {};
    role = &i;
  }
  if (!m.k || !m.n || !(m.n->b_stride == Dim(1) || m.k->b_stride == Dim(1))) return {};
  const auto is_long = [](const ContractIndex& i, std::int64_t least) {
    return i.extent.is_constant() && i.extent.value() >= least;
  };
  if (!is_long(*m.k, kLeastRows) || !is_long(*m.n, kLeastColumns)) return {};
  return m;
}

/// The outermost loop around kernel `k` in all of whose turns c's b is the same; nullptr: none.
loop::Loop* loop_of_one_value(loop::Program& p, int k, const loop::Contraction& c) {
  loop::Loop* outermost = nullptr;
  bool may_be_few = true;
  for (auto l = p.loops.rbegin(); l != p.loops.rend(); ++l) {  // the inner ones first
    if (k < l->first || l->last <= k) continue;
    if (is_written(p, *l, c.b) || mentions(c.b_base, l->index) || mentions(c.b_base, l->odd)) break;
    may_be_few = may_be_few && l->extent.is_constant() && l->extent.value() < kFewTurns;
    if (l->condition < 0 && !may_be_few) outermost = &*l;
  }
  return outermost;
}

/// Puts a kernel before `l`.
void insert_before(loop::Program& p, loop::Loop& l, Kernel k) {
  const int at = l.first;
  p.kernels.insert(p.kernels.begin() + at, std::move(k));
  for (loop::Loop& other : p.loops) {
    if (&other >= &l) ++other.first;  // those listed before `l` are around it or end before it
    if (other.last > at) ++other.last;
  }
}

/// Has b of kernel `number` copied before the loop in which it is one matrix, if that is worth
/// while.
bool copy_operand(loop::Program& p, int number) {
  Kernel& k = p.kernels[static_cast<std::size_t>(number)];
  if (k.contraction.empty() || !k.contraction[0].frames.empty()) return false;
  loop::Contraction c = k.contraction[0];
  loop::Loop* l = nullptr;
  MatrixIndices m;
  for (int operand = 0; operand < 2 && !l; ++operand) {
    if (operand == 1) swap_operands(c);
    m = matrix_of_b(c);
    if (m.n) l = loop_of_one_value(p, number, c);
  }
  if (!l) return false;
  const std::int64_t rows = m.k->extent.value(), columns = m.n->extent.value();
  const ElementType t = p.buffers[static_cast<std::size_t>(c.b)].type.element;
  const loop::Matrix from{c.b, c.b_base, m.k->b_stride, m.n->b_stride};

  loop::Buffer to;
  to.name = k.name + ".panels";
  to.kind = loop::BufferKind::Temp;
  // With room for the last panel to be filled up.
  to.type = {t, {Dim(rows), Dim(columns + loop::kWidestPanel - 1)}};
  c.b = static_cast<loop::BufferId>(p.buffers.size());
  c.b_base = 0;
  m.k->b_stride = columns, m.n->b_stride = 1;
  c.copied = {from};
  p.buffers.push_back(std::move(to));
  k.contraction[0] = c;

  Kernel copy;
  copy.name = k.name + "_panels";
  copy.locs = k.locs;
  loop::KernelBuilder b(copy);
  copy.outer = {b.axis("k", rows), b.axis("n", columns)};
  const loop::ExprId row = b.axis_value(copy.outer[0]), column = b.axis_value(copy.outer[1]);
  const loop::ExprId at = b.add(b.add(b.dim(from.base), b.mul(row, b.dim(from.k_stride))),
                                b.mul(column, b.dim(from.n_stride)));
  copy.stages.push_back(
      {{}, {}, {{c.b, b.add(b.mul(row, b.integer(columns)), column), b.load(from.buffer, t, at)}}});
  insert_before(p, *l, std::move(copy));
  return true;
}

}  // namespace

void run_panels(loop::Program& p) {
  if (!trains(p)) return;
  for (int k = static_cast<int>(p.kernels.size()) - 1; k >= 0; --k)
    if (copy_operand(p, k)) ++k;
}

}  // namespace dlc
