// What a triangular mask leaves of a contraction. Under a causal mask the scores of later keys are
// computed for nobody, and the weights of later values are zeros: half of the products of each of
// attention's six contractions. Such pairs of indices are noted in the kernel, and its tiles leave
// out the products beyond them.
//
// A band says that one axis is at most another one plus an offset. Two facts are followed through
// the kernels, from a comparison of two axes on:
//   forward   a value is zero outside of a band: select(j <= i, x, 0), or what is made of -inf by
//             exp; its products and quotients, and what is loaded from where it was stored
//   backward  a value is not needed outside of a band: one branch of such a select, or a factor of
//             what is zero there; and what is stored for such loads alone
// What is left out counts as a sum of zero. So no fact of the first kind rests on a sum, and what
// is not needed is multiplied by a true zero or not chosen.
#include <algorithm>
#include <limits>
#include <map>
#include <optional>

#include "passes/lower/expressions.h"
#include "passes/lower/lower.h"

namespace dlc {

namespace {

using loop::AxisId;
using loop::BufferId;
using loop::ExprId;
using loop::ExprKind;
using loop::Kernel;
using loop::ScalarOp;

/// Inside of it, `low` is at most `high` plus the offset. Of axes; or, of a buffer, of its layout's
/// (and ~a for the outer axis a of the one kernel that a local buffer is in).
struct Band {
  int low, high;
  Dim offset;
  bool operator==(const Band&) const = default;
};
using Bands = std::vector<Band>;

bool has(const Bands& bands, const Band& b) {
  return std::find(bands.begin(), bands.end(), b) != bands.end();
}
Bands both(Bands a, const Bands& b) {
  for (const Band& band : b)
    if (!has(a, band)) a.push_back(band);
  return a;
}
Bands common(const Bands& a, const Bands& b) {
  Bands result;
  std::copy_if(a.begin(), a.end(), std::back_inserter(result),
               [&](const Band& band) { return has(b, band); });
  return result;
}

/// Where something holds of a value: everywhere, or at least outside of each of these bands.
struct Holds {
  bool everywhere = false;
  Bands outside;

  bool holds(const Band& b) const { return everywhere || has(outside, b); }
};
Holds either(const Holds& a, const Holds& b) {
  return {a.everywhere || b.everywhere, both(a.outside, b.outside)};
}
Holds in_both(const Holds& a, const Holds& b) {
  if (a.everywhere) return b;
  if (b.everywhere) return a;
  return {false, common(a.outside, b.outside)};
}

/// An axis that an offset grows along, or an index of a contraction.
struct Step {
  int id;
  Dim stride, extent;
};

/// A temporary that one kernel writes whole, row-major along these axes; and what is known of it.
struct Known {
  std::vector<Step> layout;
  Bands zero, minus_infinity;
  std::optional<Bands> not_needed;  // nothing: nobody has read it so far
};

/// For each axis of the layout, which of `steps` runs along it (-1: none does).
std::optional<std::vector<int>> along_layout(const std::vector<Step>& layout,
                                             const std::vector<Step>& steps) {
  std::vector<int> result(layout.size(), -1);
  for (const Step& s : steps) {
    if (s.extent == Dim(1)) continue;
    std::size_t at = 0;
    while (at < layout.size() && !(layout[at].stride == s.stride && layout[at].extent == s.extent))
      ++at;
    if (at == layout.size() || result[at] >= 0) return std::nullopt;
    result[at] = s.id;
  }
  return result;
}
/// The bands of a layout by what runs along it.
Bands renamed(const Bands& bands, const std::vector<int>& names) {
  Bands result;
  const auto name = [&](int at) { return at < 0 ? ~at : names[static_cast<std::size_t>(at)]; };
  for (const Band& b : bands)
    if (name(b.low) >= 0 && name(b.high) >= 0)
      result.push_back({name(b.low), name(b.high), b.offset});
  return result;
}

class BandFinder {
 public:
  explicit BandFinder(loop::Program& p) : p_(p), known_(p.buffers.size()) {}

  void run() {
    find_layouts();
    for (const Kernel& k : p_.kernels) forward(k);
    for (auto k = p_.kernels.rbegin(); k != p_.kernels.rend(); ++k) backward(*k);
  }

 private:
  const loop::Buffer& buffer(BufferId b) const { return p_.buffers[static_cast<std::size_t>(b)]; }
  std::optional<Known>& known(BufferId b) { return known_[static_cast<std::size_t>(b)]; }
  const loop::Expr& expr(ExprId e) const { return k_->exprs[static_cast<std::size_t>(e)]; }

  void enter(const Kernel& k) {
    k_ = &k;
    zero_.clear();
    minus_infinity_.clear();
  }

  static std::vector<BufferId> operands(const loop::Contraction& c) {
    std::vector<BufferId> result{c.a, c.b};
    for (const loop::Matrix& m : c.copied) result.push_back(m.buffer);
    return result;
  }

  // ---- Layouts ----

  void find_layouts() {
    std::vector<int> writers(p_.buffers.size(), 0), writer(p_.buffers.size(), -1);
    for (std::size_t k = 0; k < p_.kernels.size(); ++k)
      for (const loop::Stage& stage : p_.kernels[k].stages)
        for (const loop::Store& s : stage.stores) {
          const auto b = static_cast<std::size_t>(s.buffer);
          writers[b] += p_.kernels[k].scatter == loop::Scatter::None ? 1 : 2;
          writer[b] = static_cast<int>(k);
          k_ = &p_.kernels[k];
          known_[b] = known_if_whole(s);
        }
    // What an earlier kernel reads comes from the turn of a loop before.
    const auto reads = [&](BufferId b, std::size_t k) {
      const auto at = static_cast<std::size_t>(b);
      if (b < 0 || static_cast<int>(k) >= writer[at]) return;
      known_[at].reset();
    };
    for (std::size_t k = 0; k < p_.kernels.size(); ++k) {
      for (const loop::Expr& e : p_.kernels[k].exprs)
        if (e.kind == ExprKind::Load) reads(e.buffer, k);
      for (const loop::Contraction& c : p_.kernels[k].contraction)
        for (const BufferId b : operands(c)) reads(b, k);
    }
    for (std::size_t b = 0; b < writers.size(); ++b)
      if (writers[b] != 1) known_[b].reset();
  }

  std::optional<Known> known_if_whole(const loop::Store& s) const {
    const loop::BufferKind kind = buffer(s.buffer).kind;
    if (kind != loop::BufferKind::Temp && kind != loop::BufferKind::Local) return std::nullopt;
    const auto steps = steps_of(s.offset);
    if (!steps) return std::nullopt;
    Dim count = 1;
    for (const Step& step : *steps) count = count * step.extent;
    if (!(count == element_count(buffer(s.buffer).type.shape))) return std::nullopt;
    for (std::size_t a = 0; a < steps->size(); ++a)
      for (std::size_t b = 0; b < a; ++b)
        if ((*steps)[a].stride == (*steps)[b].stride) return std::nullopt;
    return Known{*steps, {}, {}, {}};
  }

  /// The axes that an offset grows along from 0; nothing where it is another sum.
  std::optional<std::vector<Step>> steps_of(ExprId offset) const {
    const auto affine = as_affine(*k_, offset);
    if (!affine || !(affine->base == Dim(0))) return std::nullopt;
    std::vector<Step> steps;
    for (const auto& [axis, stride] : affine->strides) {
      const loop::Axis& a = k_->axes[static_cast<std::size_t>(axis)];
      if (a.piece >= 0) return std::nullopt;
      if (!(a.extent == Dim(1))) steps.push_back({axis, stride, a.extent});
    }
    return steps;
  }

  /// The axes along the layout of what is at an offset in a buffer.
  std::optional<std::vector<int>> axes_along(BufferId b, ExprId offset) {
    const auto steps = steps_of(offset);
    if (!known(b) || !steps) return std::nullopt;
    return along_layout(known(b)->layout, *steps);
  }
  /// Bands of axes by where those are in the layout; in a local buffer, outer axes as they are.
  Bands in_layout(BufferId b, ExprId offset, const Bands& bands) {
    const auto axes = axes_along(b, offset);
    Bands result;
    if (!axes) return result;
    const auto place = [&](int axis) -> std::optional<int> {
      const auto at = std::find(axes->begin(), axes->end(), axis);
      if (at != axes->end()) return static_cast<int>(at - axes->begin());
      const bool is_outer = std::find(k_->outer.begin(), k_->outer.end(), axis) != k_->outer.end();
      if (buffer(b).kind == loop::BufferKind::Local && is_outer) return ~axis;
      return std::nullopt;
    };
    for (const Band& band : bands)
      if (const auto low = place(band.low), high = place(band.high); low && high)
        result.push_back({*low, *high, band.offset});
    return result;
  }

  // ---- Forward ----

  void forward(const Kernel& k) {
    enter(k);
    for (const loop::Stage& stage : k.stages)
      for (const loop::Store& s : stage.stores) {
        if (!known(s.buffer)) continue;
        known(s.buffer)->zero = in_layout(s.buffer, s.offset, zero(s.value).outside);
        known(s.buffer)->minus_infinity =
            in_layout(s.buffer, s.offset, minus_infinity(s.value).outside);
      }
  }

  const Holds& zero(ExprId id) { return remembered(zero_, id, &BandFinder::find_zero); }
  const Holds& minus_infinity(ExprId id) {
    return remembered(minus_infinity_, id, &BandFinder::find_minus_infinity);
  }
  const Holds& remembered(std::map<ExprId, Holds>& of, ExprId id,
                          Holds (BandFinder::*find)(ExprId)) {
    const auto at = of.find(id);
    return at != of.end() ? at->second : of.emplace(id, (this->*find)(id)).first->second;
  }

  Holds find_zero(ExprId id) {
    const loop::Expr& e = expr(id);
    const auto operand = [&](std::size_t k) { return zero(e.operands[k]); };
    if (!is_float(e.type)) return {};
    if (e.kind == ExprKind::Constant) return {e.value == 0, {}};
    if (e.kind == ExprKind::Load) return loaded(e, &Known::zero);
    if (e.kind != ExprKind::Scalar) return {};
    switch (e.op) {
      case ScalarOp::Mul:
        return either(operand(0), operand(1));
      case ScalarOp::Add:
      case ScalarOp::Sub:
        return in_both(operand(0), operand(1));
      case ScalarOp::Div:
      case ScalarOp::Neg:
      case ScalarOp::Convert:
        return operand(0);
      case ScalarOp::Exp: {
        // Rows of nothing but -inf are NaN, less their largest; so each must have a number.
        Holds result = minus_infinity(e.operands[0]);
        std::erase_if(result.outside, [](const Band& b) { return !b.offset.provably_ge(0); });
        return result;
      }
      case ScalarOp::Select:
        return selected(e, operand(1), operand(2));
      default:
        return {};
    }
  }
  Holds find_minus_infinity(ExprId id) {
    const loop::Expr& e = expr(id);
    const auto operand = [&](std::size_t k) { return minus_infinity(e.operands[k]); };
    if (!is_float(e.type)) return {};
    if (e.kind == ExprKind::Constant)
      return {e.value == -std::numeric_limits<double>::infinity(), {}};
    if (e.kind == ExprKind::Load) return loaded(e, &Known::minus_infinity);
    if (e.kind != ExprKind::Scalar) return {};
    if (e.op == ScalarOp::Sub) return operand(0);
    if (e.op == ScalarOp::Select) return selected(e, operand(1), operand(2));
    return {};
  }
  Holds loaded(const loop::Expr& load, Bands Known::*fact) {
    const auto axes = axes_along(load.buffer, load.operands[0]);
    if (!axes) return {};
    return {false, renamed((*known(load.buffer)).*fact, *axes)};
  }
  /// Outside of the condition's band the second value is chosen.
  Holds selected(const loop::Expr& e, const Holds& yes, const Holds& no) const {
    Holds result{yes.everywhere && no.everywhere, common(yes.outside, no.outside)};
    for (const bool value : {true, false}) {
      const Holds &inside = value ? yes : no, &other = value ? no : yes;
      const auto band = band_of(e.operands[0], value);
      for (const Band& b : inside.outside)
        if (other.everywhere) result.outside.push_back(b);
      if (band && other.holds(*band) && !has(result.outside, *band))
        result.outside.push_back(*band);
    }
    return result;
  }
  /// The band that a condition means when it is true, or when it is false.
  std::optional<Band> band_of(ExprId condition, bool value) const {
    const loop::Expr& e = expr(condition);
    if (e.kind != ExprKind::Scalar) return std::nullopt;
    if (e.op == ScalarOp::Not) return band_of(e.operands[0], !value);
    if (e.op != ScalarOp::Le && e.op != ScalarOp::Lt) return std::nullopt;
    const auto a = place(e.operands[0]), b = place(e.operands[1]);
    if (!a || !b) return std::nullopt;
    // a <= b, a < b; or b < a, b <= a.
    const auto& [low, low_base] = value ? *a : *b;
    const auto& [high, high_base] = value ? *b : *a;
    const bool strictly = (e.op == ScalarOp::Lt) == value;
    return Band{low, high, high_base - low_base - Dim(strictly ? 1 : 0)};
  }
  /// An axis plus an offset, in i32 or i64.
  std::optional<std::pair<AxisId, Dim>> place(ExprId id) const {
    const auto sum = as_sum(id);
    if (!sum || sum->strides.size() != 1 || !(sum->strides.begin()->second == Dim(1)))
      return std::nullopt;
    return std::pair{sum->strides.begin()->first, sum->base};
  }
  std::optional<Affine> as_sum(ExprId id) const {
    const loop::Expr& e = expr(id);
    if (e.type != ElementType::I32 && e.type != ElementType::I64) return std::nullopt;
    if (e.kind == ExprKind::Scalar && e.op == ScalarOp::Convert) return as_sum(e.operands[0]);
    if (e.kind != ExprKind::Scalar || e.op != ScalarOp::Add) return as_affine(*k_, id);
    auto a = as_sum(e.operands[0]);
    const auto b = as_sum(e.operands[1]);
    if (!a || !b) return std::nullopt;
    a->base = a->base + b->base;
    for (const auto& [axis, stride] : b->strides) a->strides[axis] = a->strides[axis] + stride;
    return a;
  }

  // ---- Backward ----

  void backward(Kernel& k) {
    enter(k);
    std::optional<Bands> sum;
    for (auto stage = k.stages.rbegin(); stage != k.stages.rend(); ++stage)
      for (const auto& [id, bands] : not_needed(*stage)) {
        const loop::Expr& e = expr(id);
        if (e.kind == ExprKind::Accumulator) sum = sum ? common(*sum, bands) : bands;
        if (e.kind != ExprKind::Load || !known(e.buffer)) continue;
        std::optional<Bands>& of = known(e.buffer)->not_needed;
        const Bands here = in_layout(e.buffer, e.operands[0], bands);
        of = of ? common(*of, here) : here;
      }
    for (loop::Contraction& c : k.contraction) {
      if (c.frames.empty() && !c.folded && c.panel == 0) note(c, sum.value_or(Bands{}));
      for (const BufferId b : operands(c))
        if (known(b)) known(b)->not_needed = Bands{};
    }
  }

  /// For each expression of a stage, outside of which bands nobody needs it.
  std::map<ExprId, Bands, std::greater<>> not_needed(const loop::Stage& stage) {
    std::map<ExprId, Bands, std::greater<>> result;
    const auto need = [&](ExprId id, const Bands& bands) {
      const auto [at, fresh] = result.emplace(id, bands);
      if (!fresh) at->second = common(at->second, bands);
    };
    for (const loop::Reduction& r : stage.reductions) need(r.value, {});
    for (const loop::Store& s : stage.stores) {
      Bands bands;
      if (const auto axes = axes_along(s.buffer, s.offset); axes && known(s.buffer)->not_needed)
        bands = renamed(*known(s.buffer)->not_needed, *axes);
      need(s.value, bands);
    }
    // Operands have smaller numbers than what is made of them.
    for (auto at = result.begin(); at != result.end(); ++at) {
      const loop::Expr& e = expr(at->first);
      const Bands bands = at->second;
      if (e.kind != ExprKind::Scalar) continue;
      for (std::size_t k = 0; k < e.operands.size(); ++k) {
        Bands more;
        if (e.op == ScalarOp::Mul) more = zero(e.operands[1 - k]).outside;
        if (e.op == ScalarOp::Select && k > 0)
          if (const auto band = band_of(e.operands[0], k == 1)) more = {*band};
        need(e.operands[k], both(bands, more));
      }
    }
    return result;
  }

  /// The bands of a contraction, by its letters.
  void note(loop::Contraction& c, const Bands& sum) {
    const auto add = [&](char low, char high, const Dim& offset) {
      c.bands.push_back({low, high, offset});
    };
    for (const bool of_a : {true, false}) {
      const auto& operand = known(of_a ? c.a : c.b);
      if (!operand || !((of_a ? c.a_base : c.b_base) == Dim(0))) continue;
      std::vector<Step> steps;
      for (const loop::ContractIndex& i : c.indices)
        if (of_a ? i.in_a : i.in_b)
          steps.push_back({i.letter, of_a ? i.a_stride : i.b_stride, i.extent});
      const auto letters = along_layout(operand->layout, steps);
      if (!letters) continue;
      for (const Band& b : renamed(operand->zero, *letters))
        add(static_cast<char>(b.low), static_cast<char>(b.high), b.offset);
    }
    const auto letter = [&](AxisId a) {
      const auto at = std::find_if(c.indices.begin(), c.indices.end(),
                                   [&](const loop::ContractIndex& i) { return i.axis == a; });
      return at == c.indices.end() ? '\0' : at->letter;
    };
    for (const Band& b : sum)
      if (letter(b.low) && letter(b.high)) add(letter(b.low), letter(b.high), b.offset);
  }

  loop::Program& p_;
  std::vector<std::optional<Known>> known_;  // by buffer
  const Kernel* k_ = nullptr;
  std::map<ExprId, Holds> zero_, minus_infinity_;  // of k_'s expressions
};

}  // namespace

void run_bands(loop::Program& p) { BandFinder(p).run(); }

}  // namespace dlc
