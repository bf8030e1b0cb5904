#include "ir/loop/cost.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "ir/types.h"

namespace dlc::loop {

namespace {

using Axes = std::set<AxisId>;

class Counter {
 public:
  Counter(const Kernel& k, const Program& p) : k_(k), p_(p) {
    for (const Expr& e : k.exprs) {  // operands come first
      Axes axes;
      if (e.kind == ExprKind::Axis) axes = {e.axis};
      if (e.kind == ExprKind::Accumulator || e.kind == ExprKind::RowValue)
        axes.insert(k.outer.begin(), k.outer.end());
      for (const ExprId o : e.operands) axes.insert(at(o).begin(), at(o).end());
      axes_.push_back(std::move(axes));
    }
  }

  KernelCost count() {
    for (const Contraction& c : k_.contraction) contraction(c);
    for (const Stage& s : k_.stages) {
      Axes all(k_.outer.begin(), k_.outer.end());
      all.insert(s.axes.begin(), s.axes.end());
      for (const Reduction& r : s.reductions) {
        expression(r.value);
        if (is_float(k_.exprs[static_cast<std::size_t>(r.value)].type))
          result_.flops = result_.flops + extent(all);
      }
      for (const Store& st : s.stores) {
        expression(st.value);
        expression(st.offset);
        touch(written_, st.buffer, extent(at(st.offset)));
        if (k_.scatter == Scatter::Add) touch(read_, st.buffer, extent(at(st.offset)));
      }
    }
    for (const auto& [buffer, elements] : read_)
      result_.read = result_.read + bytes(buffer, elements);
    for (const auto& [buffer, elements] : written_)
      result_.written = result_.written + bytes(buffer, elements);
    return result_;
  }

 private:
  const Axes& at(ExprId e) const { return axes_[static_cast<std::size_t>(e)]; }
  Dim extent(const Axes& axes) const {
    Dim product = 1;
    Axes cut;  // of an axis in parts all parts together are the whole
    for (const AxisId a : axes) cut.insert(k_.axes[static_cast<std::size_t>(a)].piece);
    for (const AxisId a : axes)
      if (!cut.contains(a)) product = product * k_.axes[static_cast<std::size_t>(a)].extent;
    return product;
  }
  Dim bytes(BufferId b, const Dim& elements) const {
    const Type& type = p_.buffers[static_cast<std::size_t>(b)].type;
    return elements * Dim(static_cast<std::int64_t>(size_in_bytes(type.element)));
  }

  void contraction(const Contraction& c) {
    Dim products = 2, a = 1, b = 1;
    char low = 0, high = 0;
    for (const Band& band : c.bands)
      if (const auto twice = twice_inside(c, band)) {
        products = *twice;
        low = band.low, high = band.high;
        break;
      }
    for (const ContractIndex& i : c.indices) {
      if (i.letter != low && i.letter != high) products = products * i.extent;
      if (i.in_a) a = a * i.extent;
      if (i.in_b) b = b * i.extent;
    }
    for (const Frame& f : c.frames) {
      const std::int64_t places = extent_of(c, f.at).value(), taps = extent_of(c, f.tap).value();
      products = scaled(products, count_inside(f, places, taps), places * taps);
    }
    result_.flops = result_.flops + products;
    touch(read_, c.a, a);
    touch(read_, c.b, b);
  }

  static const Dim& extent_of(const Contraction& c, char letter) {
    return std::find_if(c.indices.begin(), c.indices.end(),
                        [&](const ContractIndex& i) { return i.letter == letter; })
        ->extent;
  }
  /// Twice the pairs of indices inside of a band, where each `high` has at least one and more than
  /// the one before: sum of 2 (h + offset + 1).
  static std::optional<Dim> twice_inside(const Contraction& c, const Band& band) {
    const Dim &low = extent_of(c, band.low), &high = extent_of(c, band.high);
    if (!band.offset.provably_ge(0) || !low.provably_ge(high + band.offset)) return std::nullopt;
    return high * (high + Dim(1) + band.offset * Dim(2));
  }

  /// Term by term: each is a multiple of `from`.
  static Dim scaled(const Dim& d, std::int64_t to, std::int64_t from) {
    Dim result = d.constant() / from * to;
    for (const auto& [monomial, coefficient] : d.terms()) {
      Dim term = coefficient / from * to;
      for (const std::string& s : monomial) term = term * Dim::symbol(s);
      result = result + term;
    }
    return result;
  }

  /// Everything that `id` needs and that has not been counted yet.
  void expression(ExprId id) {
    if (!seen_.insert(id).second) return;
    const Expr& e = k_.exprs[static_cast<std::size_t>(id)];
    if (e.kind == ExprKind::Scalar && is_float(e.type) && e.op != ScalarOp::Convert &&
        e.op != ScalarOp::Select)
      result_.flops = result_.flops + extent(at(id));
    if (e.kind == ExprKind::Load) touch(read_, e.buffer, extent(at(e.operands[0])));
    for (const ExprId o : e.operands) expression(o);
  }

  /// Windows overlap: no more than the buffer has.
  void touch(std::map<BufferId, Dim>& to, BufferId b, Dim elements) {
    const Buffer& buffer = p_.buffers[static_cast<std::size_t>(b)];
    if (buffer.kind == BufferKind::Local) return;  // stays in a cache
    const Dim whole = element_count(buffer.type.shape);
    if (whole.typical() < elements.typical()) elements = whole;
    const auto [known, fresh] = to.try_emplace(b, elements);
    if (!fresh && known->second.typical() < elements.typical()) known->second = elements;
  }

  const Kernel& k_;
  const Program& p_;
  std::vector<Axes> axes_;
  std::set<ExprId> seen_;
  std::map<BufferId, Dim> read_, written_;
  KernelCost result_;
};

}  // namespace

KernelCost cost(const Kernel& k, const Program& p) { return Counter(k, p).count(); }

}  // namespace dlc::loop
