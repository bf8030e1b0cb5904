#include <algorithm>

#include "ir/loop/loop.h"
#include "ir/support/check.h"

namespace dlc::loop {

namespace {

const Buffer& buffer_at(const Program& p, const Kernel& k, BufferId b) {
  DLC_CHECK(b >= 0 && static_cast<std::size_t>(b) < p.buffers.size(), "kernel {}: no buffer {}",
            k.name, b);
  return p.buffers[static_cast<std::size_t>(b)];
}

const Expr& expr_at(const Kernel& k, ExprId id) {
  DLC_CHECK(id >= 0 && static_cast<std::size_t>(id) < k.exprs.size(), "kernel {}: no expression {}",
            k.name, id);
  return k.exprs[static_cast<std::size_t>(id)];
}

void verify_dim(const Program& p, const Dim& d) {
  const std::vector<std::string> symbols = p.all_symbols();
  for (const std::string& s : d.symbols())
    DLC_CHECK(std::find(symbols.begin(), symbols.end(), s) != symbols.end(),
              "program {}: the program has no symbol {}", p.name, s);
}

std::size_t operand_count(ScalarOp op) {
  if (op <= ScalarOp::Or) return 2;
  if (op == ScalarOp::Select) return 3;
  return op == ScalarOp::Threefry ? 4 : 1;
}

void verify_scalar(const Kernel& k, const Expr& e) {
  DLC_CHECK(e.operands.size() == operand_count(e.op), "kernel {}: {} of {} operands", k.name,
            name(e.op), e.operands.size());
  const auto type = [&](std::size_t o) { return expr_at(k, e.operands[o]).type; };
  const bool compares = e.op >= ScalarOp::Eq && e.op <= ScalarOp::Le;
  const std::size_t first = e.op == ScalarOp::Select ? 1 : 0;
  if (first == 1)
    DLC_CHECK(type(0) == ElementType::Bool, "kernel {}: select by {}", k.name, dlc::name(type(0)));
  if (e.op == ScalarOp::Convert) return;
  for (std::size_t o = first; o < e.operands.size(); ++o)
    DLC_CHECK(type(o) == (compares ? type(0) : e.type), "kernel {}: {} of {} gives {}", k.name,
              name(e.op), dlc::name(type(o)), dlc::name(e.type));
  DLC_CHECK(!compares || e.type == ElementType::Bool, "kernel {}: {} gives {}", k.name, name(e.op),
            dlc::name(e.type));
}

/// One expression, its operands verified before it. Which axes may occur: the outer ones and those
/// of the stage.
class ExprVerifier {
 public:
  ExprVerifier(const Program& p, const Kernel& k, std::vector<bool> in_scope, int stage)
      : p_(p), k_(k), in_scope_(std::move(in_scope)), stage_(stage), seen_(k.exprs.size(), false) {}

  void verify(ExprId id) {
    const Expr& e = expr_at(k_, id);
    if (seen_[static_cast<std::size_t>(id)]) return;
    seen_[static_cast<std::size_t>(id)] = true;
    for (const ExprId o : e.operands) {
      DLC_CHECK(o < id, "kernel {}: expression {} uses {}, which does not precede it", k_.name, id,
                o);
      verify(o);
    }
    verify_dim(p_, e.dim);
    switch (e.kind) {
      case ExprKind::Axis:
        DLC_CHECK(in_scope_.at(static_cast<std::size_t>(e.axis)),
                  "kernel {}: axis {} is used outside its loop", k_.name,
                  k_.axes[static_cast<std::size_t>(e.axis)].name);
        break;
      case ExprKind::Load: {
        const Buffer& b = buffer_at(p_, k_, e.buffer);
        DLC_CHECK(b.type.element == e.type, "kernel {}: {} is loaded as {}", k_.name, b.name,
                  dlc::name(e.type));
        verify_offset(b, e.operands.at(0));
        break;
      }
      case ExprKind::RowValue:
        DLC_CHECK(e.stage >= 0 && e.stage < stage_, "kernel {}: stage {} uses a value of stage {}",
                  k_.name, stage_, e.stage);
        DLC_CHECK(static_cast<std::size_t>(e.reduction) <
                      k_.stages[static_cast<std::size_t>(e.stage)].reductions.size(),
                  "kernel {}: stage {} has no reduction {}", k_.name, e.stage, e.reduction);
        break;
      case ExprKind::Accumulator:
        DLC_CHECK(!k_.contraction.empty(), "kernel {}: an accumulator without a contraction",
                  k_.name);
        break;
      case ExprKind::Scalar:
        verify_scalar(k_, e);
        break;
      case ExprKind::Constant:
      case ExprKind::DimValue:
        break;
    }
  }

  void verify_offset(const Buffer& b, ExprId id) {
    verify(id);
    DLC_CHECK(b.kind != BufferKind::Local || !varies_by_point(id),
              "kernel {}: {} has the elements of one point, and an offset depends on which",
              k_.name, b.name);
    DLC_CHECK(expr_at(k_, id).type == ElementType::I64, "kernel {}: an offset is {}", k_.name,
              dlc::name(expr_at(k_, id).type));
  }

 private:
  bool varies_by_point(ExprId id) const {
    const Expr& e = expr_at(k_, id);
    if (e.kind == ExprKind::Axis)
      return std::find(k_.outer.begin(), k_.outer.end(), e.axis) != k_.outer.end();
    return std::any_of(e.operands.begin(), e.operands.end(),
                       [&](ExprId o) { return varies_by_point(o); });
  }

  const Program& p_;
  const Kernel& k_;
  std::vector<bool> in_scope_;
  int stage_;
  std::vector<bool> seen_;
};

void open_loop(const Kernel& k, AxisId a, std::vector<bool>& in_scope) {
  DLC_CHECK(a >= 0 && static_cast<std::size_t>(a) < in_scope.size(), "kernel {}: no axis {}",
            k.name, a);
  DLC_CHECK(!in_scope[static_cast<std::size_t>(a)], "kernel {}: axis {} is looped over twice",
            k.name, k.axes[static_cast<std::size_t>(a)].name);
  in_scope[static_cast<std::size_t>(a)] = true;
}

void verify_kernel(const Program& p, const Kernel& k) {
  std::vector<bool> outer(k.axes.size(), false);
  for (const Axis& a : k.axes) verify_dim(p, a.extent);
  for (const AxisId a : k.outer) {
    open_loop(k, a, outer);
    DLC_CHECK(k.axes[static_cast<std::size_t>(a)].piece < 0, "kernel {}: outer axis {} is cut",
              k.name, k.axes[static_cast<std::size_t>(a)].name);
  }
  DLC_CHECK(!k.stages.empty(), "kernel {} does nothing", k.name);
  for (std::size_t s = 0; s < k.stages.size(); ++s) {
    std::vector<bool> in_scope = outer;
    for (const AxisId a : k.stages[s].axes) {
      open_loop(k, a, in_scope);
      const AxisId piece = k.axes[static_cast<std::size_t>(a)].piece;
      DLC_CHECK(piece < 0 || (outer.at(static_cast<std::size_t>(piece)) &&
                              k.axes[static_cast<std::size_t>(piece)].extent.is_constant()),
                "kernel {}: axis {} is cut by what is no outer axis of constant extent", k.name,
                k.axes[static_cast<std::size_t>(a)].name);
    }
    ExprVerifier exprs(p, k, std::move(in_scope), static_cast<int>(s));
    for (const Reduction& r : k.stages[s].reductions) exprs.verify(r.value);
    for (const Store& st : k.stages[s].stores) {
      const Buffer& b = buffer_at(p, k, st.buffer);
      exprs.verify(st.value);
      exprs.verify_offset(b, st.offset);
      DLC_CHECK(expr_at(k, st.value).type == b.type.element, "kernel {}: {} is stored as {}",
                k.name, b.name, dlc::name(expr_at(k, st.value).type));
      DLC_CHECK(
          b.kind == BufferKind::Output || b.kind == BufferKind::Temp || b.kind == BufferKind::Local,
          "kernel {} writes {}, which is read-only", k.name, b.name);
    }
  }
  DLC_CHECK(k.contraction.size() <= 1, "kernel {} has several contractions", k.name);
  for (const Contraction& c : k.contraction) {
    const ElementType a = buffer_at(p, k, c.a).type.element, b = buffer_at(p, k, c.b).type.element;
    DLC_CHECK(a == b && accumulator_type(a) == c.type, "kernel {}: {} of {} times {} of {} in {}",
              k.name, buffer_at(p, k, c.a).name, dlc::name(a), buffer_at(p, k, c.b).name,
              dlc::name(b), dlc::name(c.type));
    for (const Band& b : c.bands) {
      for (const char letter : {b.low, b.high})
        DLC_CHECK(std::any_of(c.indices.begin(), c.indices.end(),
                              [&](const ContractIndex& i) { return i.letter == letter; }),
                  "kernel {}: a band of {}, which is no index", k.name, letter);
      verify_dim(p, b.offset);
    }
    for (const Frame& f : c.frames)
      for (const char letter : {f.at, f.tap})
        DLC_CHECK(std::any_of(c.indices.begin(), c.indices.end(),
                              [&](const ContractIndex& i) { return i.letter == letter && i.in_a; }),
                  "kernel {}: a frame along {}, which is no index of {}", k.name, letter,
                  buffer_at(p, k, c.a).name);
  }
}

}  // namespace

void verify(const Program& p) {
  for (const Buffer& b : p.buffers) {
    for (const Dim& d : b.type.shape) verify_dim(p, d);
    verify_dim(p, b.arena_offset);
    if (b.alias < 0) continue;
    DLC_CHECK(static_cast<std::size_t>(b.alias) < p.buffers.size(),
              "buffer {} updates a buffer that is not there", b.name);
    DLC_CHECK(p.buffers[static_cast<std::size_t>(b.alias)].type == b.type,
              "buffer {} has another type than what it updates", b.name);
  }
  verify_dim(p, p.arena_bytes);
  for (const Kernel& k : p.kernels) verify_kernel(p, k);
  const int count = static_cast<int>(p.kernels.size());
  for (const Loop& l : p.loops) {
    DLC_CHECK(0 <= l.first && l.first <= l.last && l.last <= count,
              "program {}: the loop {} has kernels {} to {} of {}", p.name, l.index, l.first,
              l.last, count);
    verify_dim(p, l.extent);
    verify_dim(p, l.condition_offset);
    DLC_CHECK(
        l.condition < static_cast<int>(p.buffers.size()) &&
            (l.condition < 0 ||
             p.buffers[static_cast<std::size_t>(l.condition)].type.element == ElementType::Bool),
        "program {}: the condition of the loop {} is no bool", p.name, l.index);
    for (const Loop& other : p.loops)
      DLC_CHECK(other.last <= l.first || l.last <= other.first ||
                    (l.first <= other.first && other.last <= l.last) ||
                    (other.first <= l.first && l.last <= other.last),
                "program {}: the loops {} and {} overlap", p.name, l.index, other.index);
  }
}

}  // namespace dlc::loop
