// Buffers for everything that crosses kernels, a kernel for each number, and updates in place:
//
// An update output is stored over its parameter. Where some kernel after that (or the same kernel,
// at another point) reads the old value, the new one goes to a temporary instead and is copied at
// the end.
#include "passes/lower/lower.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "ir/graph/scan.h"
#include "ir/op_def.h"
#include "ir/support/float16.h"
#include "passes/lower/framed.h"
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

/// A graph and where its values are: the program's, or the body of a scan in it.
struct Region {
  Region(const Graph& graph, std::string prefix)
      : g(graph),
        places(graph.nodes.size()),
        storage{g, [this](Value v) { return *places[v.id]; }, std::move(prefix)} {}
  Region(const Region&) = delete;

  const Graph& g;
  std::vector<std::optional<MemoryView>> places;
  Storage storage;
};

class Lowerer {
 public:
  explicit Lowerer(const Graph& g) : g_(g), whole_(g, "") {
    p_.name = g.name;
    for (const GraphInput& in : g.inputs)
      whole_.places[in.value.id] = {add_buffer(in.name, kind_of(in.kind), g.type(in.value)), {}};
    make_temporaries(whole_);
    add_outputs();
  }

  loop::Program run() {
    lower_kernels(whole_);
    keep_old_values();
    drop_copies_to_itself();
    for (Kernel& copy : copies_) p_.kernels.push_back(std::move(copy));
    std::stable_sort(p_.loops.begin(), p_.loops.end(),
                     [](const loop::Loop& a, const loop::Loop& b) {
                       return a.first != b.first ? a.first < b.first : a.last > b.last;
                     });
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

  /// What has no place when it is asked for is a temporary, or a table of constants.
  void make_temporaries(Region& r) {
    r.storage.place = [this, &r](Value v) {
      std::optional<MemoryView>& place = r.places[v.id];
      if (!place) place = {{new_buffer(r, v), {}}};
      return *place;
    };
    r.storage.make_local = [this, &r](Value v, const Shape& row) {
      const Node& n = r.g[v];
      std::vector<Dim> strides(n.type.shape.size(), 0);
      Dim step = 1;
      for (std::size_t k = 0; k < row.size(); ++k) {
        strides[strides.size() - 1 - k] = step;
        step = step * row[row.size() - 1 - k];
      }
      r.places[v.id] = MemoryView{
          add_buffer(temporary_name(r, v), BufferKind::Local, {n.type.element, row}), 0, strides};
    };
  }
  BufferId new_buffer(const Region& r, Value v) {
    const Node& n = r.g[v];
    if (n.op == Op::constant && n.kernel < 0) {  // a single number may be stored by a kernel
      const BufferId b = add_buffer(fmt::format("{}constant{}", r.storage.prefix, v.id),
                                    BufferKind::Constant, n.type);
      p_.buffers.back().data = bytes_of(n.literal_attr("value"));
      return b;
    }
    return add_buffer(temporary_name(r, v), BufferKind::Temp, n.type);
  }
  static std::string temporary_name(const Region& r, Value v) {
    const Node& n = r.g[v];
    return n.name.empty() ? fmt::format("{}t{}", r.storage.prefix, v.id)
                          : fmt::format("{}{}.{}", r.storage.prefix, n.name, v.id);
  }

  void lower_kernels(Region& r) {
    const std::vector<bool> elsewhere = read_elsewhere(r.g);
    std::vector<std::vector<Value>> kernels;
    for (std::uint32_t id = 0; id < r.g.nodes.size(); ++id) {
      const int k = r.g.nodes[id].kernel;
      if (k < 0) continue;
      kernels.resize(std::max(kernels.size(), static_cast<std::size_t>(k) + 1));
      kernels[static_cast<std::size_t>(k)].push_back(Value{id});
    }
    place_parts(r);
    for (std::size_t k = 0; k < kernels.size(); ++k) {
      const std::vector<Value>& items = kernels[k];
      DLC_CHECK(!items.empty(), "kernel {} has no nodes", k);
      if (r.g[items[0]].op == Op::scan) {
        lower_scan(r, items);
      } else if (lowers_as<LowerScatter>(r.g[items[0]].op)) {
        const bool reads_base = reads_beside(r.g, items[0]);
        for (Kernel& kernel : make_scatter(r.storage, items[0], reads_base))
          add_kernel(std::move(kernel));
      } else if (is_written_in_parts(r.g[items[0]])) {
        if (std::optional<Kernel> k = make_concat(r.storage, items[0])) add_kernel(*std::move(k));
      } else {
        add_kernel(make_kernel(r.storage, items, [&](Value v) { return elsewhere[v.id]; }));
      }
    }
  }

  // ---- Parts of concats ----

  /// What is a part of a stored concat is written into it by the kernel that computes it. A concat
  /// may be a part itself: the outer one, which comes later, is placed first.
  void place_parts(Region& r) {
    std::set<Value> apart;
    std::vector<Value> placed;
    const auto is_whole = [&](Value v) {
      const Node& n = r.g[v];
      return n.kernel >= 0 && n.op != Op::part && !has_region(n) && !r.places[v.id] &&
             !lowers_as<LowerScatter>(n.op) && !apart.contains(v);
    };
    bool again = true;
    while (again) {
      for (const Value v : placed) r.places[v.id].reset();
      placed.clear();
      for (auto id = static_cast<std::uint32_t>(r.g.nodes.size()); id-- > 0;) {
        const Node& n = r.g.nodes[id];
        if (n.kernel < 0 || !is_written_in_parts(n)) continue;
        const loop::BufferId whole = r.storage.buffer(Value{id});
        // An update's memory is its parameter's, which others still read.
        if (p_.buffers[static_cast<std::size_t>(whole)].alias >= 0) continue;
        for (std::size_t part = 0; part < n.operands.size(); ++part) {
          const Value source = r.g.below_reshapes(n.operands[part]);
          if (!is_whole(source)) continue;
          r.places[source.id] = place_of_part(r.storage, Value{id}, part);
          if (r.places[source.id]) placed.push_back(source);
        }
      }
      again = !placed.empty() && keep_apart(r, apart);
    }
  }
  /// Notes the parts that some contraction or loop could not read by strides; whether there are any
  /// more of them.
  static bool keep_apart(const Region& r, std::set<Value>& apart) {
    const std::size_t before = apart.size();
    for (const Node& n : r.g.nodes) {
      if (n.kernel < 0 || (n.op != Op::contract && !has_region(n))) continue;
      const std::optional<Framed> framed = framed_operand(r.g, n);
      for (const Value o : n.operands) {
        const bool in_frame = framed && o == n.operands[0] && r.g[framed->pad].kernel < 0;
        if (r.storage.view_of(in_frame ? framed->inside : o)) continue;
        Value leaf = o;
        while (!r.storage.is_leaf(leaf)) leaf = r.g[leaf].operands[0];
        apart.insert(leaf);
      }
    }
    return apart.size() > before;
  }

  // ---- Kernels ----

  /// Whether a scatter is read anywhere else than at the places where it has put something.
  static bool reads_beside(const Graph& g, Value scatter) {
    const auto is_scatter = [&](Value v) { return v == scatter; };
    const auto puts = [&](const Node& n) {
      return n.op == Op::gather && !is_scatter(n.operands[1]) &&
             n.operands[1] == g[scatter].operands[g[scatter].operands.size() - 2] &&
             n.int_attr("axis") == g[scatter].int_attr("axis");
    };
    return std::any_of(g.nodes.begin(), g.nodes.end(),
                       [&](const Node& n) {
                         return std::any_of(n.operands.begin(), n.operands.end(), is_scatter) &&
                                !puts(n);
                       }) ||
           std::any_of(g.outputs.begin(), g.outputs.end(),
                       [&](const GraphOutput& out) { return is_scatter(out.value); });
  }
  void add_kernel(Kernel k) { p_.kernels.push_back(std::move(k)); }

  // ---- Scans ----

  /// A loop over the kernels of the body. A carried value is double-buffered, unless all its values
  /// are kept because the scan yields them: then turn t reads slice t of the history and writes
  /// slice t + 1.
  ///
  ///   history of h:   h0  h1  h2  ...  hT         the last value: slice T
  ///   yields h before the turn:  0 to T - 1;  after it:  1 to T;  in reverse the other way round
  void lower_scan(Region& outer, const std::vector<Value>& items) {
    const Node& n = outer.g[items[0]];
    const Scan scan(n);
    std::vector<std::optional<Value>> parts(n.type.parts.size());
    for (const Value v : items)
      if (outer.g[v].op == Op::part)
        parts[static_cast<std::size_t>(outer.g[v].int_attr("index"))] = v;
    const std::string name = fmt::format("{}k{}", outer.storage.prefix, n.kernel);
    loop::Loop l{0, 0, name + ".turn", name + ".odd", scan.length, scan.reverse};
    const Dim turn = Dim::symbol(l.index), odd = Dim::symbol(l.odd);
    Region body(scan.body, name + ".");
    make_temporaries(body);
    for (std::size_t k = scan.carried; k < scan.operands(); ++k) {
      MemoryView place = outer.storage.strided(n.operands[k]);
      if (k < scan.carried + scan.scanned) {
        place.base = place.base + turn * place.strides->front();
        place.strides->erase(place.strides->begin());
      }
      body.places[scan.input(k).id] = row_major(place, scan.body.type(scan.input(k)));
    }
    std::vector<MemoryView> next;  // of each carried value after the turn
    std::vector<Kernel> after;     // copies of last values
    std::vector<bool> in_history(scan.yields, false);
    for (std::size_t k = 0; k < scan.carried; ++k) {
      const Type& type = scan.body.type(scan.input(k));
      const Dim size = element_count(type.shape);
      // Where there may be no turns there is no last slice.
      const bool is_kept = !scan.conditional && history_yields(scan, k, in_history);
      Type all = type;
      all.shape.insert(all.shape.begin(), is_kept ? scan.length + Dim(1) : Dim(2));
      const std::string& carried = scan.body.inputs[k].name;
      const BufferId buffer =
          add_buffer(fmt::format("{}.{}", name, carried), BufferKind::Temp, all);
      const auto slice = [&](const Dim& at) { return MemoryView{buffer, at * size}; };
      const Dim first = is_kept && scan.reverse ? scan.length : Dim(0);
      add_kernel(make_copy(fmt::format("{}_first_{}", name, carried),
                           outer.storage.strided(n.operands[k]), slice(first), type));
      if (is_kept) {
        const Dim from = scan.reverse ? Dim(1) : Dim(0), to = Dim(1) - from;
        body.places[scan.input(k).id] = slice(turn + from);
        next.push_back(slice(turn + to));
        if (parts[k]) outer.places[parts[k]->id] = slice(scan.reverse ? Dim(0) : scan.length);
        for (std::size_t y = 0; y < scan.yields; ++y)
          if (parts[scan.carried + y] && in_history[y] && yields_carried(scan, y, k))
            outer.places[parts[scan.carried + y]->id] =
                slice(scan.yield(y) == scan.input(k) ? from : to);
      } else {
        body.places[scan.input(k).id] = slice(odd);
        next.push_back(slice(Dim(1) - odd));
        if (parts[k])
          after.push_back(make_copy(fmt::format("{}_last_{}", name, carried), slice(odd),
                                    outer.storage.place(*parts[k]), type));
      }
    }
    // What a turn computes goes to its place at once; where one value has several places, or none
    // of the turn's kernels computes it, the rest are copies.
    struct Copy {
      std::string what;
      Value from;
      MemoryView to;
    };
    std::vector<Copy> copies;
    std::set<Value> placed;
    const auto write = [&](Value v, const MemoryView& to, const std::string& what) {
      const Node& from = scan.body[v];
      if (from.kernel >= 0 && from.op != Op::part && placed.insert(v).second)
        body.places[v.id] = to;
      else
        copies.push_back({what, v, to});
    };
    for (std::size_t k = 0; k < scan.carried; ++k)
      write(scan.carry(k), next[k], scan.body.outputs[k].name);
    for (std::size_t y = 0; y < scan.yields; ++y) {
      const std::size_t k = scan.carried + y;
      if (in_history[y] || !parts[k]) continue;
      MemoryView to = outer.storage.place(*parts[k]);
      if (scan.conditional)
        add_kernel(make_zeros(fmt::format("{}_zeros_{}", name, scan.body.outputs[k].name), to,
                              outer.g.type(*parts[k])));
      to.base = to.base + turn * element_count(scan.body.type(scan.yield(y)).shape);
      write(scan.yield(y), to, scan.body.outputs[k].name);
    }
    if (scan.conditional) {
      const MemoryView condition = outer.storage.strided(scan.condition());
      l.condition = condition.buffer;
      l.condition_offset = condition.base;
    }
    l.first = static_cast<int>(p_.kernels.size());
    lower_kernels(body);
    for (const Copy& c : copies)
      add_kernel(make_copy(fmt::format("{}_copy_{}", name, c.what), body.storage.strided(c.from),
                           c.to, scan.body.type(c.from)));
    l.last = static_cast<int>(p_.kernels.size());
    p_.loops.push_back(std::move(l));
    for (Kernel& k : after) add_kernel(std::move(k));
  }

  /// A yield of a carried value, before or after the turn.
  static bool yields_carried(const Scan& scan, std::size_t yield, std::size_t carried) {
    return scan.yield(yield) == scan.carry(carried) || scan.yield(yield) == scan.input(carried);
  }
  /// Marks the yields of a carried value; whether there are any.
  static bool history_yields(const Scan& scan, std::size_t carried, std::vector<bool>& in_history) {
    bool any = false;
    for (std::size_t y = 0; y < scan.yields; ++y)
      if (!in_history[y] && yields_carried(scan, y, carried)) in_history[y] = any = true;
    return any;
  }
  /// Without strides where they are those of the type.
  static MemoryView row_major(MemoryView p, const Type& type) {
    Dim stride = 1;
    for (std::size_t k = type.shape.size(); k-- > 0;) {
      if (!((*p.strides)[k] == stride) && !(type.shape[k] == Dim(1))) return p;
      stride = stride * type.shape[k];
    }
    p.strides.reset();
    return p;
  }

  // ---- Outputs ----

  static std::string output_name(const GraphOutput& out) {
    if (out.kind == OutputKind::Update) return "update." + out.name;
    return out.kind == OutputKind::Watch ? "watch." + out.name : out.name;
  }

  /// A stored node is computed into its first output; further outputs, and outputs of inputs and of
  /// scans, are copies.
  void add_outputs() {
    std::vector<const GraphOutput*> order;
    for (const GraphOutput& out : g_.outputs)
      if (out.kind == OutputKind::Loss) order.push_back(&out);
    for (const GraphOutput& out : g_.outputs)
      if (out.kind != OutputKind::Loss) order.push_back(&out);
    for (const GraphOutput* out : order) {
      const BufferId b = add_buffer(output_name(*out), BufferKind::Output, g_.type(out->value));
      if (out->kind == OutputKind::Update)
        p_.buffers.back().alias = whole_.places[g_.find_input(out->name)->value.id]->buffer;
      const Value stored = stored_as(g_, *out);
      std::optional<MemoryView>& place = whole_.places[stored.id];
      if (!place && g_[stored].kernel >= 0 && g_[stored].op != Op::part) {
        place = {{b, {}}};
      } else {
        late_.push_back({out->value, b});
      }
    }
  }

  static std::vector<bool> read_elsewhere(const Graph& g) {
    std::vector<bool> result(g.nodes.size(), false);
    for (const GraphOutput& out : g.outputs) result[stored_as(g, out).id] = true;
    // A node that is computed inside another one's kernel hands its reads on to it.
    std::vector<std::set<int>> kernels(g.nodes.size());
    for (std::size_t id = g.nodes.size(); id-- > 0;) {
      const Node& n = g.nodes[id];
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
              conflict = conflict || reads(k, old, store.offset) || read_after(k, s, old);
            }
      }
      for (const auto& [value, to] : late_)
        conflict = conflict ||
                   (written && whole_.places[value.id] && whole_.places[value.id]->buffer == old);
      if (!written || !conflict) continue;
      const loop::Buffer& update = p_.buffers[static_cast<std::size_t>(b)];
      const Type type = update.type;
      const std::string name = update.name;
      const BufferId temp = add_buffer(name + ".new", BufferKind::Temp, type);
      redirect(b, temp);
      copies_.push_back(make_copy("copy_" + name, {temp, {}}, {b, {}}, type));
    }
    copy_late_outputs();
  }

  /// What an update in place keeps of a parameter is there already.
  void drop_copies_to_itself() {
    const auto is_there = [&](const Kernel& k) {
      if (k.stages.size() != 1 || !k.stages[0].reductions.empty() || k.stages[0].stores.size() != 1)
        return false;
      const loop::Store& store = k.stages[0].stores[0];
      const loop::Expr& value = k.exprs[static_cast<std::size_t>(store.value)];
      return value.kind == loop::ExprKind::Load && value.operands[0] == store.offset &&
             p_.buffers[static_cast<std::size_t>(store.buffer)].alias == value.buffer;
    };
    for (int k = static_cast<int>(p_.kernels.size()); k-- > 0;) {
      if (!is_there(p_.kernels[static_cast<std::size_t>(k)])) continue;
      p_.kernels.erase(p_.kernels.begin() + k);
      for (loop::Loop& l : p_.loops) l.first -= k < l.first, l.last -= k < l.last;
    }
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
    for (std::optional<MemoryView>& p : whole_.places)
      if (p && p->buffer == from) p->buffer = to;
    for (loop::Loop& l : p_.loops)
      if (l.condition == from) l.condition = to;
  }

  /// Updates that copy one parameter into another go by way of temporaries, all read before any is
  /// written.
  void copy_late_outputs() {
    std::vector<Kernel> writes;
    for (const auto& [value, to] : late_) {
      const loop::Buffer target = p_.buffers[static_cast<std::size_t>(to)];
      const MemoryView from = whole_.storage.place(value);
      if (target.alias >= 0 && from.buffer == target.alias) continue;  // replaced by itself
      if (target.alias >= 0) {
        const MemoryView temp{add_buffer(target.name + ".new", BufferKind::Temp, target.type), {}};
        p_.kernels.push_back(make_copy("read_" + target.name, from, temp, target.type));
        writes.push_back(make_copy("copy_" + target.name, temp, {to, {}}, target.type));
      } else {
        p_.kernels.push_back(make_copy("copy_" + target.name, from, {to, {}}, target.type));
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
    for (const loop::Loop& l : p_.loops) {
      add(l.extent);
      names.erase(l.index), names.erase(l.odd);
    }
    p_.symbols.assign(names.begin(), names.end());
  }

  const Graph& g_;
  loop::Program p_;
  Region whole_;
  std::vector<std::pair<Value, BufferId>> late_;  // outputs that are copied at the end
  std::vector<Kernel> copies_;
};

}  // namespace

loop::Program lower(const Graph& g) { return Lowerer(g).run(); }

}  // namespace dlc
