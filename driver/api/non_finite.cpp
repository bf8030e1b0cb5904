#include "driver/api/non_finite.h"

#include <cmath>

#include "driver/api/graph_parts.h"
#include "ir/graph/scan.h"
#include "runtime/batch_program.h"

namespace dlc {

namespace {

enum Flag : int { kFinite, kInfinite, kNaN };

/// What a tensor holds at worst, as an f32 scalar of the graph: a Flag.
Value flag_of(GraphBuilder& b, Value v) {
  v = b.convert(v, accumulator_type(b.type(v).element));
  const Type type = b.type(v);
  const Type wide{ElementType::F32, type.shape};
  // x * 0 is 0 unless x is infinite or NaN, which alone differs from itself.
  const Value finite = b.node(Op::eq, {b.mul(v, b.splat(type, 0)), b.splat(type, 0)});
  const Value nan = b.node(Op::ne, {v, v});
  const Value flag = b.select(finite, b.splat(wide, kFinite),
                              b.select(nan, b.splat(wide, kNaN), b.splat(wide, kInfinite)));
  std::vector<std::int64_t> axes;
  for (std::int64_t k = 0; k < type.rank(); ++k) axes.push_back(k);
  return axes.empty() ? flag : b.reduce(Op::reduce_max, flag, axes);
}

bool holds_floats(const Node& n) { return n.type.parts.empty() && is_float(n.type.element); }

/// By node, what it holds at worst; kFinite where it holds no floats.
using Flags = std::vector<int>;

/// A graph with nothing but watched outputs, on the batch of a bad step.
class Rerun {
 public:
  Rerun(const Compilation& c, const BadStep& bad, TensorMap& tensors, const Rows& rows,
        std::int64_t seed, ThreadPool& pool)
      : c_(c), bad_(bad), tensors_(tensors), rows_(rows), seed_(seed), pool_(pool) {}

  std::map<std::string, Tensor> run(const Graph& g) {
    const auto code = compile_graph(g, c_.options());
    BatchProgram program(code->program(), tensors_, rows_, pool_);
    program.set_batch(bad_.rows);
    if (program.reads_index()) program.set_index(bad_.index);
    if (!bad_.carries.empty()) program.set_carries(bad_.carries);
    program.set_scalars(seed_, bad_.step - 1, bad_.epoch - 1);
    program.run();
    std::map<std::string, Tensor> result;
    for (const auto& [name, t] : program.watched())
      result[name] = Tensor::copy_of(t->dtype(), t->shape(), t->data());
    return result;
  }

 private:
  const Compilation& c_;
  const BadStep& bad_;
  TensorMap& tensors_;
  const Rows& rows_;
  std::int64_t seed_;
  ThreadPool& pool_;
};

Flags flags_of_nodes(Rerun& rerun, const Graph& g) {
  Graph flagged = g;
  flagged.outputs.clear();
  GraphBuilder b(flagged);
  for (std::uint32_t id = 0; id < g.nodes.size(); ++id)
    if (holds_floats(g.nodes[id]))
      b.output(fmt::format("{}", id), OutputKind::Watch, flag_of(b, Value{id}));
  Flags flags(g.nodes.size(), kFinite);
  for (const auto& [name, t] : rerun.run(flagged))
    flags[std::stoul(name)] = static_cast<int>(t.at(0));
  // A node with several results is as bad as the worst of them.
  for (std::uint32_t id = 0; id < g.nodes.size(); ++id)
    if (g.nodes[id].op == Op::part) {
      int& whole = flags[g.nodes[id].operands[0].id];
      whole = std::max(whole, flags[id]);
    }
  return flags;
}

/// The node that is not finite though its operands are; else the first NaN of infinities; else the
/// first that an infinite constant made so.
std::optional<std::uint32_t> first_bad(const Graph& g, const Flags& flags) {
  for (const int worst_operand : {kFinite, kInfinite, kNaN})
    for (std::uint32_t id = 0; id < g.nodes.size(); ++id) {
      const Node& n = g.nodes[id];
      // Infinities that the model writes itself, in masks, are meant.
      if (flags[id] == kFinite || (worst_operand == kInfinite && flags[id] != kNaN) ||
          n.op == Op::constant || n.op == Op::part)
        continue;
      bool from_operand = false;
      for (const Value v : n.operands) from_operand |= flags[v.id] > worst_operand;
      if (!from_operand) return id;
    }
  return std::nullopt;
}

/// The body's nodes in the first turn of a scan in which one of them is not finite.
Flags flags_in_scan(Rerun& rerun, const Graph& g, std::uint32_t scan) {
  Graph flagged = g;
  flagged.outputs.clear();
  const Scan s(g.nodes[scan]);
  Graph body = s.body;
  GraphBuilder inside(body);
  std::vector<std::uint32_t> looked_at;
  for (std::uint32_t id = 0; id < s.body.nodes.size(); ++id)
    if (holds_floats(s.body.nodes[id])) {
      inside.output(fmt::format("flag{}", id), OutputKind::Yield, flag_of(inside, Value{id}));
      looked_at.push_back(id);
    }
  std::vector<Type> types;
  for (const Value v : g.nodes[scan].operands) types.push_back(g.type(v));
  set_scan_body(flagged.nodes[scan], std::move(body), types);
  GraphBuilder b(flagged);
  for (std::size_t k = 0; k < looked_at.size(); ++k)
    b.output(fmt::format("{}", looked_at[k]), OutputKind::Watch,
             part(b, Value{scan}, s.carried + s.yields + k));
  const auto turns = rerun.run(flagged);
  Flags flags(s.body.nodes.size(), kFinite);
  const std::int64_t count = turns.empty() ? 0 : turns.begin()->second.size();
  for (std::int64_t turn = 0; turn < count; ++turn) {
    bool bad = false;
    for (const auto& [name, t] : turns) {
      const auto flag = static_cast<int>(t.at(s.reverse ? count - 1 - turn : turn));
      flags[std::stoul(name)] = flag;
      bad |= flag != kFinite;
    }
    if (bad) break;
  }
  return flags;
}

std::string name_of(int flag) { return flag == kNaN ? "NaN" : "infinity"; }

/// In which row of the batch a column is not finite, as a row of the data; -1: none.
std::int64_t bad_row(const Tensor& column, const BadStep& bad) {
  const std::int64_t rows = column.shape().empty() ? 0 : column.shape()[0];
  const std::int64_t each = rows > 0 ? column.size() / rows : 0;
  for (std::int64_t k = 0; bad.index && k < bad.rows; ++k)
    for (std::int64_t j = 0; j < each; ++j)
      if (bad.index[k] < rows && !std::isfinite(column.at(bad.index[k] * each + j)))
        return bad.index[k];
  return -1;
}

std::string describe(const Compilation& c, const Node& n, int flag, const std::string& where) {
  std::string what = n.name.empty() ? fmt::format("`{}`", op_name(n.op))
                                    : fmt::format("`{}` ({})", n.name, op_name(n.op));
  std::string text = fmt::format("\n  the first value that is not finite is {} from {}, {}",
                                 name_of(flag), what, where);
  if (!n.loc.known()) return text;
  text += fmt::format("\n  --> {}:{}:{}", n.loc.file(), n.loc.line, n.loc.column);
  const std::string_view line = c.sources().line(n.loc);
  return line.empty() ? text : text + fmt::format(": {}", line);
}

}  // namespace

std::string explain_non_finite(const Compilation& c, const BadStep& bad, TensorMap& tensors,
                               const Rows& rows, std::int64_t seed, ThreadPool& pool) {
  const Graph g = run_pipeline(c.graph("train_step"), PipelineEnd::Backward, c.options());
  Rerun rerun(c, bad, tensors, rows, seed, pool);
  const Flags flags = flags_of_nodes(rerun, g);
  const auto found = first_bad(g, flags);
  if (!found) return "";
  const Node& n = g.nodes[*found];
  if (n.op == Op::input) {
    const auto column = rows.columns.find(n.name);
    const std::int64_t row = column == rows.columns.end() ? -1 : bad_row(column->second, bad);
    return fmt::format("\n  `{}` holds {}{} before step {}", n.name, name_of(flags[*found]),
                       row < 0 ? "" : fmt::format(" in row {} of the training data", row + 1),
                       bad.step);
  }
  const GraphPart part = GraphParts(g).of(*found);
  std::string where = fmt::format("in the {} of step {}",
                                  part == GraphPart::Forward    ? "forward pass"
                                  : part == GraphPart::Backward ? "backward pass"
                                                                : "update",
                                  bad.step);
  if (has_region(n)) {
    const Flags inside = flags_in_scan(rerun, g, *found);
    const Graph& body = Scan(n).body;
    if (const auto node = first_bad(body, inside); node && body.nodes[*node].op != Op::input)
      return describe(c, body.nodes[*node], inside[*node], "in a loop " + where);
  }
  return describe(c, n, flags[*found], where);
}

}  // namespace dlc
