// Buffers for everything that crosses kernels, a kernel for each number, and updates in place:
//
// An update output is stored over its parameter. Where some kernel after that (or the same kernel,
// at another point) reads the old value, the new one goes to a temporary instead and is copied at
// the end.
#include "passes/lower/lower.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "ir/op_def.h"
#include "ir/support/float16.h"
#include "passes/lower/kernel_maker.h"

namespace dlc {

namespace {

using loop::BufferId;
using loop::BufferKind;
using loop::Kernel;

BufferKind kind_of(InputKind k) {
  switch (k) {
    case InputKind::Param:
      return BufferKind::Param;
    case InputKind::State:
      return BufferKind::State;
    case InputKind::Scalar:
      return BufferKind::Scalar;
    default:
      return BufferKind::Input;
  }
}

template <class T>
void append(std::vector<std::uint8_t>& bytes, T v) {
  const std::size_t at = bytes.size();
  bytes.resize(at + sizeof v);
  std::memcpy(bytes.data() + at, &v, sizeof v);
}

std::vector<std::uint8_t> bytes_of(const Literal& l) {
  std::vector<std::uint8_t> bytes;
  for (std::int64_t k = 0; k < l.size(); ++k) {
    const auto at = static_cast<std::size_t>(k);
    switch (l.element) {
      case ElementType::F32:
        append(bytes, static_cast<float>(l.f[at]));
        break;
      case ElementType::F64:
        append(bytes, l.f[at]);
        break;
      case ElementType::I32:
        append(bytes, static_cast<std::int32_t>(l.i[at]));
        break;
      case ElementType::I64:
        append(bytes, l.i[at]);
        break;
      case ElementType::U8:
      case ElementType::Bool:
        append(bytes, static_cast<std::uint8_t>(l.i[at]));
        break;
      case ElementType::BF16:
        append(bytes, f32_to_bf16(static_cast<float>(l.f[at])));
        break;
      case ElementType::F16:
        append(bytes, f32_to_f16(static_cast<float>(l.f[at])));
        break;
    }
  }
  return bytes;
}

class Lowerer {
 public:
  explicit Lowerer(const Graph& g)
      : g_(g), buffer_of_(g.nodes.size(), -1), storage_{g, [this](Value v) { return buffer(v); }} {
    p_.name = g.name;
    for (const GraphInput& in : g.inputs) {
      buffer_of_[in.value.id] = add_buffer(in.name, kind_of(in.kind), g.type(in.value));
    }
    add_outputs();
  }

  loop::Program run() {
    const std::vector<bool> elsewhere = read_elsewhere();
    int count = 0;
    for (const Node& n : g_.nodes) count = std::max(count, n.kernel + 1);
    for (int k = 0; k < count; ++k) {
      std::vector<Value> items;
      for (std::uint32_t id = 0; id < g_.nodes.size(); ++id)
        if (g_.nodes[id].kernel == k) items.push_back(Value{id});
      DLC_CHECK(!items.empty(), "kernel {} has no nodes", k);
      if (std::holds_alternative<LowerScatterAdd>(op_def(g_[items[0]].op).lowering)) {
        for (Kernel& kernel : make_scatter(storage_, items[0]))
          p_.kernels.push_back(std::move(kernel));
        continue;
      }
      if (is_written_in_parts(g_[items[0]])) {
        p_.kernels.push_back(make_concat(storage_, items[0]));
        continue;
      }
      p_.kernels.push_back(make_kernel(storage_, items, [&](Value v) { return elsewhere[v.id]; }));
    }
    keep_old_values();
    for (Kernel& copy : copies_) p_.kernels.push_back(std::move(copy));
    collect_symbols();
    return std::move(p_);
  }

 private:
  BufferId add_buffer(std::string name, BufferKind kind, Type type) {
    loop::Buffer b;
    b.name = std::move(name);
    b.kind = kind;
    b.type = std::move(type);
    p_.buffers.push_back(std::move(b));
    return static_cast<BufferId>(p_.buffers.size() - 1);
  }

  BufferId buffer(Value v) {
    BufferId& b = buffer_of_[v.id];
    if (b >= 0) return b;
    const Node& n = g_[v];
    if (n.op == Op::constant && n.kernel < 0) {  // a single number may be stored by a kernel
      b = add_buffer(fmt::format("constant{}", v.id), BufferKind::Constant, n.type);
      p_.buffers.back().data = bytes_of(n.literal_attr("value"));
    } else {
      b = add_buffer(n.name.empty() ? fmt::format("t{}", v.id) : fmt::format("{}.{}", n.name, v.id),
                     BufferKind::Temp, n.type);
    }
    return b;
  }

  static std::string output_name(const GraphOutput& out) {
    if (out.kind == OutputKind::Update) return "update." + out.name;
    return out.kind == OutputKind::Watch ? "watch." + out.name : out.name;
  }

  /// A stored node is computed into its first output; further outputs, and outputs of inputs, are
  /// copies.
  void add_outputs() {
    std::vector<const GraphOutput*> order;
    for (const GraphOutput& out : g_.outputs)
      if (out.kind == OutputKind::Loss) order.push_back(&out);
    for (const GraphOutput& out : g_.outputs)
      if (out.kind != OutputKind::Loss) order.push_back(&out);
    for (const GraphOutput* out : order) {
      const BufferId b = add_buffer(output_name(*out), BufferKind::Output, g_.type(out->value));
      if (out->kind == OutputKind::Update)
        p_.buffers.back().alias = buffer_of_[g_.find_input(out->name)->value.id];
      BufferId& source = buffer_of_[out->value.id];
      if (source < 0 && g_[out->value].kernel >= 0) {
        source = b;
      } else {
        late_.push_back({out->value, b});
      }
    }
  }

  std::vector<bool> read_elsewhere() const {
    std::vector<bool> result(g_.nodes.size(), false);
    for (const GraphOutput& out : g_.outputs) result[out.value.id] = true;
    // A node that is computed inside another one's kernel hands its reads on to it.
    std::vector<std::set<int>> kernels(g_.nodes.size());
    for (std::size_t id = g_.nodes.size(); id-- > 0;) {
      const Node& n = g_.nodes[id];
      const std::set<int> own = n.kernel >= 0 ? std::set<int>{n.kernel} : kernels[id];
      for (const Value v : n.operands) kernels[v.id].insert(own.begin(), own.end());
      for (const int k : kernels[id])
        if (n.kernel >= 0 && k != n.kernel) result[id] = true;
    }
    return result;
  }

  /// Loads of `buffer` in `k` at another offset than `allowed` (-1: at any offset).
  static bool reads(const Kernel& k, BufferId buffer, loop::ExprId allowed) {
    for (const loop::Contraction& c : k.contraction)
      if (c.a == buffer || c.b == buffer) return true;
    for (const loop::Expr& e : k.exprs)
      if (e.kind == loop::ExprKind::Load && e.buffer == buffer && e.operands[0] != allowed)
        return true;
    return false;
  }

  static bool expression_reads(const Kernel& k, loop::ExprId id, BufferId buffer) {
    const loop::Expr& e = k.exprs[static_cast<std::size_t>(id)];
    if (e.kind == loop::ExprKind::Load && e.buffer == buffer) return true;
    return std::any_of(e.operands.begin(), e.operands.end(),
                       [&](loop::ExprId o) { return expression_reads(k, o, buffer); });
  }

  /// Whether a stage after `stage` reads `buffer`.
  static bool read_after(const Kernel& k, std::size_t stage, BufferId buffer) {
    for (std::size_t s = stage + 1; s < k.stages.size(); ++s) {
      for (const loop::Reduction& r : k.stages[s].reductions)
        if (expression_reads(k, r.value, buffer)) return true;
      for (const loop::Store& store : k.stages[s].stores)
        if (expression_reads(k, store.value, buffer)) return true;
    }
    return false;
  }

  void keep_old_values() {
    for (BufferId b = 0, count = static_cast<BufferId>(p_.buffers.size()); b < count; ++b) {
      const BufferId old = p_.buffers[static_cast<std::size_t>(b)].alias;
      if (old < 0) continue;
      bool written = false, conflict = false;
      for (const Kernel& k : p_.kernels) {
        if (written && reads(k, old, -1)) conflict = true;
        for (std::size_t s = 0; s < k.stages.size(); ++s)
          for (const loop::Store& store : k.stages[s].stores)
            if (store.buffer == b) {
              written = true;
              conflict =
                  conflict || reads(k, old, store.offset) || read_after(k, s, old) || k.scatter;
            }
      }
      for (const auto& [value, to] : late_)
        conflict = conflict || (written && buffer_of_[value.id] == old);
      if (!written || !conflict) continue;
      const loop::Buffer& update = p_.buffers[static_cast<std::size_t>(b)];
      const Type type = update.type;
      const std::string name = update.name;
      const BufferId temp = add_buffer(name + ".new", BufferKind::Temp, type);
      redirect(b, temp);
      copies_.push_back(make_copy("copy_" + name, temp, b, type));
    }
    copy_late_outputs();
  }

  void redirect(BufferId from, BufferId to) {
    for (Kernel& k : p_.kernels) {
      for (loop::Expr& e : k.exprs)
        if (e.kind == loop::ExprKind::Load && e.buffer == from) e.buffer = to;
      for (loop::Contraction& c : k.contraction) {
        if (c.a == from) c.a = to;
        if (c.b == from) c.b = to;
      }
      for (loop::Stage& s : k.stages)
        for (loop::Store& store : s.stores)
          if (store.buffer == from) store.buffer = to;
    }
    for (BufferId& b : buffer_of_)
      if (b == from) b = to;
  }

  /// Updates that copy one parameter into another go by way of temporaries, all read before any is
  /// written.
  void copy_late_outputs() {
    std::vector<Kernel> writes;
    for (const auto& [value, to] : late_) {
      const loop::Buffer target = p_.buffers[static_cast<std::size_t>(to)];
      BufferId from = buffer(value);
      if (target.alias >= 0 && from == target.alias) continue;  // replaced by itself
      if (target.alias >= 0) {
        const BufferId temp = add_buffer(target.name + ".new", BufferKind::Temp, target.type);
        p_.kernels.push_back(make_copy("read_" + target.name, from, temp, target.type));
        from = temp;
        writes.push_back(make_copy("copy_" + target.name, from, to, target.type));
      } else {
        p_.kernels.push_back(make_copy("copy_" + target.name, from, to, target.type));
      }
    }
    for (Kernel& k : writes) copies_.push_back(std::move(k));
  }

  void collect_symbols() {
    std::set<std::string> names;
    const auto add = [&](const Dim& d) {
      for (std::string& s : d.symbols()) names.insert(std::move(s));
    };
    for (const loop::Buffer& b : p_.buffers)
      for (const Dim& d : b.type.shape) add(d);
    for (const Kernel& k : p_.kernels) {
      for (const loop::Axis& a : k.axes) add(a.extent);
      for (const loop::Expr& e : k.exprs) add(e.dim);
    }
    p_.symbols.assign(names.begin(), names.end());
  }

  const Graph& g_;
  loop::Program p_;
  std::vector<BufferId> buffer_of_;
  Storage storage_;
  std::vector<std::pair<Value, BufferId>> late_;  // outputs that are copied at the end
  std::vector<Kernel> copies_;
};

}  // namespace

loop::Program lower(const Graph& g) { return Lowerer(g).run(); }

}  // namespace dlc
