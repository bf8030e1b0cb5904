#include <algorithm>

#include "ir/loop/loop.h"
#include "ir/support/check.h"

namespace dlc::loop {

namespace {

/// Which axes may occur in an expression: the outer ones and those of the stage.
void verify_expr(const Program& p, const Kernel& k, ExprId id, const std::vector<bool>& in_scope,
                 int stage) {
  DLC_CHECK(id >= 0 && static_cast<std::size_t>(id) < k.exprs.size(), "kernel {}: no expression {}",
            k.name, id);
  const Expr& e = k.exprs[static_cast<std::size_t>(id)];
  for (const ExprId o : e.operands) {
    DLC_CHECK(o < id, "kernel {}: expression {} uses {}, which does not precede it", k.name, id, o);
    verify_expr(p, k, o, in_scope, stage);
  }
  switch (e.kind) {
    case ExprKind::Axis:
      DLC_CHECK(in_scope.at(static_cast<std::size_t>(e.axis)),
                "kernel {}: axis {} is used outside its loop", k.name,
                k.axes[static_cast<std::size_t>(e.axis)].name);
      break;
    case ExprKind::Load: {
      const Buffer& b = p.buffers.at(static_cast<std::size_t>(e.buffer));
      DLC_CHECK(b.type.element == e.type, "kernel {}: {} is loaded as {}", k.name, b.name,
                dlc::name(e.type));
      break;
    }
    case ExprKind::RowValue:
      DLC_CHECK(e.stage >= 0 && e.stage < stage, "kernel {}: stage {} uses a value of stage {}",
                k.name, stage, e.stage);
      DLC_CHECK(static_cast<std::size_t>(e.reduction) <
                    k.stages[static_cast<std::size_t>(e.stage)].reductions.size(),
                "kernel {}: stage {} has no reduction {}", k.name, e.stage, e.reduction);
      break;
    case ExprKind::Accumulator:
      DLC_CHECK(!k.contraction.empty(), "kernel {}: an accumulator without a contraction", k.name);
      break;
    case ExprKind::Constant:
    case ExprKind::DimValue:
    case ExprKind::Scalar:
      break;
  }
}

void verify_kernel(const Program& p, const Kernel& k) {
  std::vector<bool> outer(k.axes.size(), false);
  for (const AxisId a : k.outer) outer.at(static_cast<std::size_t>(a)) = true;
  DLC_CHECK(!k.stages.empty(), "kernel {} does nothing", k.name);
  for (std::size_t s = 0; s < k.stages.size(); ++s) {
    std::vector<bool> in_scope = outer;
    for (const AxisId a : k.stages[s].axes) in_scope.at(static_cast<std::size_t>(a)) = true;
    for (const Reduction& r : k.stages[s].reductions)
      verify_expr(p, k, r.value, in_scope, static_cast<int>(s));
    for (const Store& st : k.stages[s].stores) {
      const Buffer& b = p.buffers.at(static_cast<std::size_t>(st.buffer));
      verify_expr(p, k, st.value, in_scope, static_cast<int>(s));
      verify_expr(p, k, st.offset, in_scope, static_cast<int>(s));
      DLC_CHECK(k.exprs[static_cast<std::size_t>(st.value)].type == b.type.element,
                "kernel {}: {} is stored as {}", k.name, b.name,
                dlc::name(k.exprs[static_cast<std::size_t>(st.value)].type));
      DLC_CHECK(b.kind == BufferKind::Output || b.kind == BufferKind::Temp,
                "kernel {} writes {}, which is read-only", k.name, b.name);
    }
  }
  DLC_CHECK(k.contraction.size() <= 1, "kernel {} has several contractions", k.name);
}

}  // namespace

void verify(const Program& p) {
  for (const Buffer& b : p.buffers)
    DLC_CHECK(b.alias < 0 || p.buffers.at(static_cast<std::size_t>(b.alias)).type == b.type,
              "buffer {} has another type than what it updates", b.name);
  for (const Kernel& k : p.kernels) verify_kernel(p, k);
}

}  // namespace dlc::loop
