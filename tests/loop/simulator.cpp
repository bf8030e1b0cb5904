// For each kernel all loads and stores of temporaries are listed with their (point, stage,
// iteration). Nothing is known of the order of two points, nor of two iterations of a stage; stages
// of a point run in order, and an iteration loads before it stores. Everything is derived from the
// kernels and the offsets alone: liveness and the rules of the planner play no part.
#include "tests/loop/simulator.h"

#include <fmt/format.h>

#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "codegen/abi/program.h"
#include "passes/loop/accesses.h"

using namespace dlc;
using namespace dlc::loop;

namespace {

struct Element {
  int buffer = -1;
  std::int64_t index = 0;
  bool operator==(const Element&) const = default;
};
struct Moment {
  std::int64_t point = 0;
  int stage = 0;
  std::int64_t iteration = 0;
};
struct Event {
  Element element;
  Moment when;
};

class Simulator {
 public:
  Simulator(const Program& p, std::int64_t extent) : p_(p) {
    for (const std::string& s : p.symbols) symbols_[s] = extent;
    owner_.resize(static_cast<std::size_t>(whole_lines(value(p.arena_bytes))));
  }

  std::string run() {
    run_range(0, static_cast<int>(p_.kernels.size()), 0);
    return error_;
  }

 private:
  /// Kernels [first, last), with the loops among them, which are numbered from `next` on; the
  /// number of the loop after them.
  std::size_t run_range(int first, int last, std::size_t next) {
    for (int k = first; k < last && error_.empty();) {
      if (next == p_.loops.size() || p_.loops[next].first != k) {
        run_kernel(p_.kernels[static_cast<std::size_t>(k++)]);
        continue;
      }
      const Loop& l = p_.loops[next];
      const std::int64_t turns = value(l.extent);
      std::size_t after = next + 1;
      for (std::int64_t t = 0; t < turns; ++t) {
        symbols_[l.index] = l.reverse ? turns - 1 - t : t;
        symbols_[l.odd] = t % 2;
        after = run_range(l.first, l.last, next + 1);
      }
      symbols_[l.odd] = turns % 2;
      next = after;
      k = l.last;
    }
    return next;
  }

  void run_kernel(const Kernel& k) {
    kernel_ = &k;
    loads_.clear(), stores_.clear();
    for (const Contraction& c : k.contraction) operand(c, true), operand(c, false);
    index_.assign(k.axes.size(), 0);
    std::int64_t point = 0;
    nest(k.outer, [&] { run_point(point++); });
    if (error_.empty()) check();
    if (!error_.empty()) error_ = fmt::format("kernel {}: {}", k.name, error_);
    for (const auto& [byte, events] : stores_) owner_[byte] = events.back().element;
  }

  std::int64_t value(const Dim& d) const { return d.evaluate(symbols_); }
  const Buffer& buffer(int b) const { return p_.buffers.at(static_cast<std::size_t>(b)); }
  std::int64_t count(int b) const { return value(element_count(buffer(b).type.shape)); }
  std::int64_t width(int b) const { return size_in_bytes(buffer(b).type.element); }
  bool is_temp(int b) const { return buffer(b).kind == BufferKind::Temp; }
  std::string show(const Element& e) const {
    return e.buffer < 0 ? "nothing" : fmt::format("{}[{}]", buffer(e.buffer).name, e.index);
  }

  void nest(const std::vector<AxisId>& axes, const std::function<void()>& body,
            std::size_t at = 0) {
    if (at == axes.size()) return body();
    const auto a = static_cast<std::size_t>(axes[at]);
    for (std::int64_t i = 0, n = value(kernel_->axes[a].extent); i < n; ++i) {
      index_[a] = i;
      nest(axes, body, at + 1);
    }
  }

  void run_point(std::int64_t point) {
    for (std::size_t s = 0; s < kernel_->stages.size(); ++s) {
      const Stage& stage = kernel_->stages[s];
      std::int64_t iteration = 0;
      nest(stage.axes, [&] {
        now_ = {point, static_cast<int>(s), iteration++};
        values_.clear();
        for (const Reduction& r : stage.reductions) integer(r.value);
        for (const Store& st : stage.stores) {
          integer(st.value);
          store(st.buffer, integer(st.offset));
        }
      });
    }
  }

  /// The value of an integer expression that does not depend on data; every load on the way is
  /// noted.
  std::optional<std::int64_t> integer(ExprId id) {
    if (const auto known = values_.find(id); known != values_.end()) return known->second;
    return values_[id] = compute(kernel_->exprs.at(static_cast<std::size_t>(id)));
  }

  std::optional<std::int64_t> compute(const Expr& e) {
    std::vector<std::optional<std::int64_t>> o;
    for (const ExprId operand : e.operands) o.push_back(integer(operand));
    switch (e.kind) {
      case ExprKind::Constant:
        return is_float(e.type) ? std::nullopt : std::optional(e.integer);
      case ExprKind::Axis:
        return index_.at(static_cast<std::size_t>(e.axis));
      case ExprKind::DimValue:
        return value(e.dim);
      case ExprKind::Load:
        load(e.buffer, o[0]);
        return std::nullopt;
      case ExprKind::Scalar:
        break;
      default:
        return std::nullopt;
    }
    if (e.type != ElementType::I64 || o.size() != 2 || !o[0] || !o[1]) return std::nullopt;
    const std::int64_t a = *o[0], b = *o[1];
    switch (e.op) {  // offsets are not negative: no difference between floor and truncation
      case ScalarOp::Add:
        return a + b;
      case ScalarOp::Sub:
        return a - b;
      case ScalarOp::Mul:
        return a * b;
      case ScalarOp::Div:
        return b == 0 ? 0 : a / b;
      case ScalarOp::Rem:
        return b == 0 ? a : a % b;
      case ScalarOp::Max:
        return std::max(a, b);
      case ScalarOp::Min:
        return std::min(a, b);
      default:
        return std::nullopt;
    }
  }

  /// An unknown offset stands for all.
  void each(int b, std::optional<std::int64_t> offset,
            const std::function<void(std::int64_t)>& body) {
    if (!offset)
      for (std::int64_t k = 0; k < count(b); ++k) body(k);
    else if (*offset < 0 || *offset >= count(b))
      error_ = fmt::format("{} is outside", show({b, *offset}));
    else
      body(*offset);
  }

  void load(int b, std::optional<std::int64_t> offset) {
    if (!is_temp(b)) return;
    each(b, offset, [&](std::int64_t k) { loads_.push_back({{b, k}, now_}); });
  }

  void store(int b, std::optional<std::int64_t> offset) {
    if (!is_temp(b)) return;
    // What a scatter adds to must be there; it stays this temporary's.
    if (kernel_->scatter == loop::Scatter::Add)
      return each(b, offset, [&](std::int64_t k) { loads_.push_back({{b, k}, now_}); });
    if (!offset && kernel_->scatter == loop::Scatter::None) {
      error_ = fmt::format("the place of a store to {} depends on data", buffer(b).name);
      return;
    }
    each(b, offset, [&](std::int64_t k) {
      for_bytes({b, k}, [&](std::size_t byte) { stores_[byte].push_back({{b, k}, now_}); });
    });
  }

  void for_bytes(const Element& e, const std::function<void(std::size_t)>& body) {
    const std::int64_t begin =
        whole_lines(value(buffer(e.buffer).arena_offset)) + e.index * width(e.buffer);
    for (std::int64_t k = begin; k < begin + width(e.buffer); ++k) {
      if (k < 0 || k >= static_cast<std::int64_t>(owner_.size())) {
        error_ = fmt::format("{} is outside the arena", show(e));
        return;
      }
      body(static_cast<std::size_t>(k));
    }
  }

  /// The operand of a contraction may be read at any time, by any point.
  void operand(const Contraction& c, bool a) {
    const int b = a ? c.a : c.b;
    if (!is_temp(b)) return;
    std::vector<const ContractIndex*> indices;
    for (const ContractIndex& i : c.indices)
      if (a ? i.in_a : i.in_b) indices.push_back(&i);
    std::map<char, std::int64_t> now;
    const auto in_frames = [&] {
      return !a || std::all_of(c.frames.begin(), c.frames.end(),
                               [&](const Frame& f) { return is_inside(f, now[f.at], now[f.tap]); });
    };
    const std::function<void(std::size_t, std::int64_t)> visit = [&](std::size_t at,
                                                                     std::int64_t offset) {
      if (at == indices.size() && !in_frames()) return;
      if (at == indices.size())
        return each(b, offset, [&](std::int64_t k) { loads_.push_back({{b, k}, kAnyTime}); });
      const std::int64_t step = value(a ? indices[at]->a_stride : indices[at]->b_stride);
      for (std::int64_t i = 0, n = value(indices[at]->extent); i < n; ++i) {
        now[indices[at]->letter] = i;
        visit(at + 1, offset + i * step);
      }
    };
    visit(0, value(a ? c.a_base : c.b_base));
  }

  void check() {
    for (const auto& [byte, events] : stores_)
      for (std::size_t k = 1; k < events.size() && kernel_->scatter == loop::Scatter::None; ++k)
        if (events[k].when.point != events[k - 1].when.point ||
            events[k].when.stage <= events[k - 1].when.stage) {
          error_ = fmt::format("{} and {} are stored to one byte in no order",
                               show(events[k - 1].element), show(events[k].element));
          return;
        }
    for (const Event& load : loads_) {
      for_bytes(load.element, [&](std::size_t byte) { check_load(load, byte); });
      if (!error_.empty()) return;
    }
  }

  void check_load(const Event& load, std::size_t byte) {
    Element found = owner_[byte];
    if (const auto at = stores_.find(byte); at != stores_.end())
      for (const Event& store : at->second) {
        const Moment &w = store.when, &r = load.when;
        const bool before = w.point == r.point && w.stage < r.stage;
        const bool after =
            w.point == r.point &&
            (w.stage > r.stage || (w.stage == r.stage && w.iteration == r.iteration));
        if (before) found = store.element;
        if (!before && !after)
          error_ = fmt::format("{} is read while {} is stored over it", show(load.element),
                               show(store.element));
      }
    if (!(found == load.element))
      error_ = fmt::format("{} is read where {} is stored", show(load.element), show(found));
  }

  static constexpr Moment kAnyTime{-1, 0, 0};

  const Program& p_;
  std::map<std::string, std::int64_t> symbols_;
  std::vector<Element> owner_;  // of each byte of the arena
  const Kernel* kernel_ = nullptr;
  std::vector<std::int64_t> index_;  // by axis
  Moment now_;
  std::map<ExprId, std::optional<std::int64_t>> values_;  // in this iteration
  std::vector<Event> loads_;
  std::map<std::size_t, std::vector<Event>> stores_;  // by byte, in the order of stages
  std::string error_;
};

}  // namespace

static_assert(kArenaAlignment == DLC_ARENA_ALIGNMENT, "the runtime rounds up to what is planned");

std::int64_t whole_lines(std::int64_t bytes) {
  return (bytes + kArenaAlignment - 1) / kArenaAlignment * kArenaAlignment;
}

std::string memory_error(const Program& p, std::int64_t extent) {
  return Simulator(p, extent).run();
}
