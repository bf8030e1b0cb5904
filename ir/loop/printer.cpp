// The kernel IR as text: a kernel reads as nested loops with one statement a line.
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "ir/loop/cost.h"
#include "ir/loop/loop.h"

namespace dlc::loop {

namespace {

constexpr std::string_view kScalarNames[] = {
    "add",  "sub",   "mul",     "div", "rem",  "pow",   "max",     "min",    "eq",      "ne",
    "lt",   "le",    "and",     "or",  "neg",  "abs",   "sign",    "floor",  "ceil",    "round",
    "sqrt", "rsqrt", "cbrt",    "exp", "exp2", "expm1", "log",     "log2",   "log1p",   "sin",
    "cos",  "tanh",  "sigmoid", "erf", "erfc", "not",   "convert", "select", "threefry"};
constexpr std::string_view kReduceNames[] = {"sum", "prod", "max", "min", "argmax", "argmin"};

std::string_view infix(ScalarOp op) {
  switch (op) {
    case ScalarOp::Add:
      return "+";
    case ScalarOp::Sub:
      return "-";
    case ScalarOp::Mul:
      return "*";
    case ScalarOp::Div:
      return "/";
    case ScalarOp::Rem:
      return "%";
    case ScalarOp::Eq:
      return "==";
    case ScalarOp::Ne:
      return "!=";
    case ScalarOp::Lt:
      return "<";
    case ScalarOp::Le:
      return "<=";
    case ScalarOp::And:
      return "and";
    case ScalarOp::Or:
      return "or";
    default:
      return {};
  }
}

class KernelPrinter {
 public:
  KernelPrinter(const Kernel& k, const Program& p) : k_(k), p_(p) {}

  std::string text() {
    std::string out = fmt::format("kernel {}", k_.name);
    const std::string lines = source_lines(k_);
    if (!lines.empty()) out += "  @ " + lines;
    const KernelCost c = cost(k_, p_);
    out += fmt::format("\n  {} flops, {} bytes read, {} written\n", c.flops.str(), c.read.str(),
                       c.written.str());
    std::string indent = "  ";
    for (const AxisId a : k_.outer) {
      out += fmt::format("{}parallel {} in 0..{}\n", indent, axis(a).name, axis(a).extent.str());
      indent += "  ";
    }
    for (const Contraction& c : k_.contraction) out += contraction(c, indent);
    for (std::size_t s = 0; s < k_.stages.size(); ++s) out += stage(s, indent);
    return out;
  }

 private:
  const Axis& axis(AxisId a) const { return k_.axes.at(static_cast<std::size_t>(a)); }
  const std::string& buffer(BufferId b) const {
    return p_.buffers.at(static_cast<std::size_t>(b)).name;
  }

  std::string contraction(const Contraction& c, const std::string& indent) const {
    std::string out = fmt::format("{}acc = sum {} * {}", indent, buffer(c.a), buffer(c.b));
    for (const ContractIndex& i : c.indices)
      out += fmt::format("  {}[{}: {}, {}]", i.letter, i.extent.str(),
                         i.in_a ? i.a_stride.str() : "-", i.in_b ? i.b_stride.str() : "-");
    for (const Frame& f : c.frames)
      out += fmt::format("  {}+{}{:+} in 0..{}", scaled(f.step, f.at), scaled(f.dilation, f.tap),
                         f.begin, f.extent);
    for (const Band& b : c.bands)
      out += fmt::format("  {} <= {}{}", b.low, b.high,
                         b.offset == Dim(0) ? "" : " + " + b.offset.str());
    if (c.folded) out += ", folded";
    return out + "\n";
  }

  static std::string scaled(std::int64_t by, char letter) {
    return by == 1 ? std::string(1, letter) : fmt::format("{}{}", by, letter);
  }

  std::string stage(std::size_t s, std::string indent) {
    std::string out;
    for (const AxisId a : k_.stages[s].axes) {
      out +=
          fmt::format("{}for {} in {}0..{}\n", indent, axis(a).name,
                      axis(a).piece < 0 ? ""
                                        : fmt::format("part {} of {} of ", axis(axis(a).piece).name,
                                                      axis(axis(a).piece).extent.str()),
                      axis(a).extent.str());
      indent += "  ";
    }
    for (const ExprId shared : share(k_.stages[s]))
      out += fmt::format("{}v{} = {}\n", indent, shared, expr(shared, true));
    for (std::size_t r = 0; r < k_.stages[s].reductions.size(); ++r) {
      const Reduction& red = k_.stages[s].reductions[r];
      out += fmt::format("{}r{}_{} = {} {}\n", indent, s, r, name(red.kind), expr(red.value));
    }
    for (const Store& st : k_.stages[s].stores)
      out += fmt::format("{}{}[{}] {}= {}\n", indent, buffer(st.buffer), expr(st.offset),
                         k_.scatter == Scatter::Add ? "+" : "", expr(st.value));
    return out;
  }

  /// The values of a stage that are used more than once, in order: they get a line and a name.
  std::vector<ExprId> share(const Stage& s) {
    std::vector<int> uses(k_.exprs.size(), 0);
    const std::function<void(ExprId)> visit = [&](ExprId id) {
      if (uses.at(static_cast<std::size_t>(id))++ > 0) return;
      for (const ExprId o : k_.exprs[static_cast<std::size_t>(id)].operands) visit(o);
    };
    for (const Reduction& r : s.reductions) visit(r.value);
    for (const Store& st : s.stores) visit(st.offset), visit(st.value);
    named_.assign(k_.exprs.size(), false);
    std::vector<ExprId> result;
    for (std::size_t id = 0; id < uses.size(); ++id) {
      const Expr& e = k_.exprs[id];
      if (uses[id] < 2 || e.kind != ExprKind::Scalar || e.type == ElementType::I64) continue;
      named_[id] = true;
      result.push_back(static_cast<ExprId>(id));
    }
    return result;
  }

  std::string expr(ExprId id, bool defines = false) const {
    const Expr& e = k_.exprs.at(static_cast<std::size_t>(id));
    if (!defines && !named_.empty() && named_[static_cast<std::size_t>(id)])
      return fmt::format("v{}", id);
    switch (e.kind) {
      case ExprKind::Constant:
        if (e.type == ElementType::F32 || is_16_bit_float(e.type))
          return fmt::format("{}", static_cast<float>(e.value));
        return is_float(e.type) ? fmt::format("{}", e.value) : fmt::format("{}", e.integer);
      case ExprKind::Axis:
        return axis(e.axis).name;
      case ExprKind::DimValue:
        return e.dim.terms().size() + (e.dim.constant() != 0) > 1 ? "(" + e.dim.str() + ")"
                                                                  : e.dim.str();
      case ExprKind::Load:
        return fmt::format("{}[{}]", buffer(e.buffer), expr(e.operands[0]));
      case ExprKind::RowValue:
        return fmt::format("r{}_{}", e.stage, e.reduction);
      case ExprKind::Accumulator:
        return "acc";
      case ExprKind::Scalar:
        break;
    }
    if (e.op == ScalarOp::Convert)
      return fmt::format("{}({})", dlc::name(e.type), expr(e.operands[0]));
    if (const std::string_view sign = infix(e.op); !sign.empty())
      return fmt::format("({} {} {})", expr(e.operands[0]), sign, expr(e.operands[1]));
    std::string out = fmt::format("{}(", name(e.op));
    for (std::size_t k = 0; k < e.operands.size(); ++k)
      out += (k ? ", " : "") + expr(e.operands[k]);
    return out + ")";
  }

  const Kernel& k_;
  const Program& p_;
  std::vector<bool> named_;  // of the stage that is printed
};

constexpr std::string_view kBufferKinds[] = {"input",    "param",  "state", "scalar",
                                             "constant", "output", "temp",  "local"};

}  // namespace

std::string_view name(ScalarOp op) { return kScalarNames[static_cast<std::size_t>(op)]; }
std::string_view name(ReduceKind k) { return kReduceNames[static_cast<std::size_t>(k)]; }

std::string source_lines(const Kernel& k) {
  std::vector<std::string> lines;
  for (const Loc& l : k.locs) {
    std::string line = fmt::format("{}:{}", l.file(), l.line);
    if (std::find(lines.begin(), lines.end(), line) == lines.end())
      lines.push_back(std::move(line));
  }
  return fmt::format("{}", fmt::join(lines, ", "));
}

std::string print(const Kernel& k, const Program& p) { return KernelPrinter(k, p).text(); }

std::string print(const Program& p) {
  std::string out = fmt::format("program {}\n", p.name);
  for (const Buffer& b : p.buffers) {
    out += fmt::format("  {:<8} {}: {}", kBufferKinds[static_cast<std::size_t>(b.kind)], b.name,
                       b.type.str());
    if (b.kind == BufferKind::Temp) out += fmt::format("  at {}", b.arena_offset.str());
    if (b.in_place_of >= 0)
      out +=
          fmt::format("  in place of {}", p.buffers[static_cast<std::size_t>(b.in_place_of)].name);
    if (b.alias >= 0)
      out += fmt::format("  is {}", p.buffers[static_cast<std::size_t>(b.alias)].name);
    out += "\n";
  }
  out += fmt::format("  arena    {} bytes\n", p.arena_bytes.str());
  std::vector<const Loop*> open;
  const auto close = [&](std::size_t at) {
    for (; !open.empty() && static_cast<std::size_t>(open.back()->last) == at; open.pop_back())
      out += fmt::format("\nend {}\n", open.back()->index);
  };
  for (std::size_t at = 0; at < p.kernels.size(); ++at) {
    close(at);
    for (const Loop& l : p.loops)
      if (static_cast<std::size_t>(l.first) == at && l.first < l.last) {
        out += fmt::format("\nloop {} < {}{}", l.index, l.extent.str(),
                           l.reverse ? " in reverse" : "");
        if (l.condition >= 0)
          out += fmt::format(" if {}[{}]", p.buffers[static_cast<std::size_t>(l.condition)].name,
                             l.condition_offset.str());
        out += "\n";
        open.push_back(&l);
      }
    out += "\n" + print(p.kernels[at], p);
  }
  close(p.kernels.size());
  return out;
}

std::vector<std::string> Program::all_symbols() const {
  std::vector<std::string> result = symbols;
  for (const Loop& l : loops) {
    result.push_back(l.index);
    result.push_back(l.odd);
  }
  return result;
}

}  // namespace dlc::loop
