// The stages of a kernel: each item (a reduction, or an elementwise node) goes into the first stage
// with its loop axes that comes after every stage whose results it needs whole. Inside a stage an
// elementwise item is used as an expression; across stages it is stored and loaded; a reduction's
// result is a row value.
#include "passes/lower/kernel_maker.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>
#include <tuple>

#include "ir/op_def.h"
#include "passes/lower/framed.h"

namespace dlc {

namespace {

using loop::AxisId;
using loop::ExprId;
using loop::Kernel;
using loop::KernelBuilder;
using loop::ScalarOp;
using Index = Expressions::Index;

bool is_arg(loop::ReduceKind k) {
  return k == loop::ReduceKind::ArgMax || k == loop::ReduceKind::ArgMin;
}

/// Where an item is computed.
struct Item {
  Value value;
  Shape inner;  // the extents of its stage's axes
  int stage = 0;
  int reduction = -1;  // its place among the reductions of the stage
  bool stored = false;
  bool is_loaded = false;  // by a later stage
};

class KernelMaker {
 public:
  KernelMaker(const Storage& storage, const std::vector<Value>& values,
              const std::function<bool(Value)>& read_elsewhere)
      : s_(storage), g_(storage.g), b_(k_) {
    for (const Value v : values) items_.push_back({v, {}, 0, -1, read_elsewhere(v)});
    choose_domain();
    for (std::size_t a = 0; a < domain_.size(); ++a) {
      k_.outer.push_back(b_.axis(fmt::format("i{}", a), domain_[a]));
      outer_.push_back(b_.axis_value(k_.outer.back()));
    }
    name_kernel();
  }

  Kernel make() {
    for (Item& item : items_) choose_stage(item);
    mark_loaded_items();
    keep_rows();
    for (const Shape& inner : stage_inner_) add_stage(inner);
    for (Item& item : items_)
      if (g_[item.value].op == Op::contract) make_contraction(item);
    for (std::size_t stage = 0; stage < stage_inner_.size(); ++stage)
      for (Item& item : items_)
        if (item.stage == static_cast<int>(stage)) emit(item);
    store_reductions();
    return std::move(k_);
  }

 private:
  void choose_domain() {
    const Item* leader = &items_[0];
    for (const Item& item : items_)
      if (g_[item.value].op == Op::contract || is_reduction(g_[item.value])) leader = &item;
    domain_ = g_.type(leader->value).shape;
    for (Item& item : items_) {
      const Node& n = g_[item.value];
      if (is_reduction(n)) {
        for (const std::int64_t a : reduced_axes(n))
          item.inner.push_back(g_.type(n.operands[0]).shape[static_cast<std::size_t>(a)]);
      } else {
        item.inner.assign(n.type.shape.begin() + static_cast<std::ptrdiff_t>(domain_.size()),
                          n.type.shape.end());
      }
    }
  }

  void name_kernel() {
    const Node& last = g_[items_.back().value];
    const Node& first = g_[items_.front().value];
    std::string what = !last.name.empty()    ? last.name
                       : !first.name.empty() ? first.name
                                             : std::string(op_name(first.op));
    k_.name = fmt::format("{}k{}_{}", s_.prefix, first.kernel, what);
    for (const Item& item : items_) {
      const Loc& loc = g_[item.value].loc;
      if (loc.known() && std::find(k_.locs.begin(), k_.locs.end(), loc) == k_.locs.end())
        k_.locs.push_back(loc);
    }
  }

  Item* find_item(Value v) {
    for (Item& item : items_)
      if (item.value == v) return &item;
    return nullptr;
  }

  /// The indices of the operand of a reduction, or of an elementwise item, at a point and inner
  /// axes.
  Index index_of(const Item& item, const Index& inner) const {
    const Node& n = g_[item.value];
    Index index;
    if (!is_reduction(n)) {
      index = outer_;
      index.insert(index.end(), inner.begin(), inner.end());
      return index;
    }
    const std::vector<std::int64_t> axes = reduced_axes(n);
    std::size_t kept = 0, reduced = 0;
    for (std::size_t a = 0; a < g_.type(n.operands[0]).shape.size(); ++a) {
      const bool is_reduced =
          std::find(axes.begin(), axes.end(), static_cast<std::int64_t>(a)) != axes.end();
      index.push_back(is_reduced ? inner.at(reduced++) : outer_.at(kept++));
    }
    return index;
  }

  /// Visits what computing `item` reads of this kernel's items: whether at its own point and inner
  /// index.
  void for_each_own_read(const Item& item, const std::function<void(Item&, bool same_place)>& f) {
    const Node& n = g_[item.value];
    if (n.op == Op::contract) return;
    Kernel scratch = k_;
    KernelBuilder b(scratch);
    Index inner;
    for (const Dim& d : item.inner) inner.push_back(b.axis_value(b.axis("r", d)));
    const Index here = index_of(item, inner);
    Index whole = outer_;
    whole.insert(whole.end(), inner.begin(), inner.end());
    Expressions e(
        g_, b, [&](Value v) { return s_.is_leaf(v); },
        [&](Value v, const Index& at) {
          if (Item* other = find_item(v)) f(*other, at == whole && other->inner == item.inner);
          return b.load(static_cast<int>(v.id), g_.type(v).element,
                        b.linear_offset(at, g_.type(v).shape));
        });
    if (is_reduction(n))
      e.element(n.operands[0], here);
    else
      e.compute(item.value, here);
  }

  void choose_stage(Item& item) {
    int least = 0;
    for_each_own_read(item, [&](Item& other, bool same_place) {
      const Node& n = g_[other.value];
      if (n.op == Op::contract) return;
      least = std::max(least, other.stage + (is_reduction(n) || !same_place ? 1 : 0));
    });
    for (item.stage = least; item.stage < static_cast<int>(stage_inner_.size()); ++item.stage)
      if (stage_inner_[static_cast<std::size_t>(item.stage)] == item.inner) return;
    stage_inner_.push_back(item.inner);
    item.stage = static_cast<int>(stage_inner_.size()) - 1;
  }

  /// An elementwise item that a later stage reads goes through memory.
  void mark_loaded_items() {
    for (const Item& item : items_)
      for_each_own_read(item, [&](Item& other, bool) {
        const Node& n = g_[other.value];
        if (!is_reduction(n) && n.op != Op::contract && other.stage != item.stage)
          other.is_loaded = true;
      });
  }
  /// What goes from stage to stage and no further needs memory for a row alone, if a cache has room
  /// for that. Short rows are lanes of vectors, many at a time.
  void keep_rows() {
    constexpr std::int64_t kMostBytes = std::int64_t{64} << 10, kLeast = 16;
    for (Item& item : items_) {
      if (!item.is_loaded || item.stored) continue;
      item.stored = true;
      const Dim row = element_count(item.inner);
      if (row.is_constant() && row.value() >= kLeast &&
          row.value() * size_in_bytes(g_.type(item.value).element) <= kMostBytes)
        s_.make_local(item.value, item.inner);
    }
  }

  void add_stage(const Shape& inner) {
    loop::Stage stage;
    Index index;
    for (std::size_t a = 0; a < inner.size(); ++a) {
      const std::string name = inner.size() == 1 ? fmt::format("j{}", k_.stages.size())
                                                 : fmt::format("j{}_{}", k_.stages.size(), a);
      stage.axes.push_back(b_.axis(name, inner[a]));
      index.push_back(b_.axis_value(stage.axes.back()));
    }
    k_.stages.push_back(std::move(stage));
    inner_.push_back(std::move(index));
  }

  /// How an expression of stage `stage` reads a leaf.
  ExprId read(Value v, const Index& at, int stage) {
    const Type& type = g_.type(v);
    if (const Item* item = find_item(v)) {
      const Node& n = g_[v];
      if (n.op == Op::contract) return b_.accumulator(type.element);
      if (is_reduction(n)) return row_value(*item);
      if (item->stage == stage) {
        // Once for each place: a chain of items that use each other twice would double at each
        // step.
        const auto key = std::tuple(stage, v, at);
        if (const auto known = computed_.find(key); known != computed_.end()) return known->second;
        return computed_[key] = expressions(stage).compute(v, at);
      }
    }
    return s_.load(b_, v, at);
  }

  ExprId row_value(const Item& item) {
    const Node& n = g_[item.value];
    const auto kind = std::get<LowerReduce>(op_def(n.op).lowering).kind;
    if (!is_arg(kind)) return b_.row_value(item.stage, item.reduction, n.type.element);
    const ExprId place = b_.row_value(item.stage, item.reduction, ElementType::I64);
    return b_.scalar(ScalarOp::Convert, n.type.element, {place});
  }

  Expressions expressions(int stage) {
    return Expressions(
        g_, b_, [this](Value v) { return s_.is_leaf(v); },
        [this, stage](Value v, const Index& at) { return read(v, at, stage); });
  }

  void emit(Item& item) {
    const Node& n = g_[item.value];
    const Index& inner = inner_[static_cast<std::size_t>(item.stage)];
    const Index index = index_of(item, inner);
    loop::Stage& stage = k_.stages[static_cast<std::size_t>(item.stage)];
    if (is_reduction(n)) {
      const ExprId value = expressions(item.stage).element(n.operands[0], index);
      item.reduction = static_cast<int>(stage.reductions.size());
      stage.reductions.push_back({std::get<LowerReduce>(op_def(n.op).lowering).kind, value});
      return;
    }
    if (!item.stored) return;
    const ExprId value = n.op == Op::contract ? b_.accumulator(n.type.element)
                                              : expressions(item.stage).compute(item.value, index);
    stage.stores.push_back({s_.buffer(item.value), s_.offset(b_, item.value, index), value});
  }

  void store_reductions() {
    for (Item& item : items_) {
      if (!is_reduction(g_[item.value]) || !item.stored) continue;
      std::size_t at = static_cast<std::size_t>(item.stage) + 1;
      while (at < k_.stages.size() && !k_.stages[at].axes.empty()) ++at;
      if (at == k_.stages.size()) add_stage({});
      const ExprId value = row_value(item);
      k_.stages[at].stores.push_back(
          {s_.buffer(item.value), s_.offset(b_, item.value, outer_), value});
    }
  }

  void make_contraction(const Item& item) {
    const Node& n = g_[item.value];
    const std::string *letters[2] = {&n.str_attr("lhs"), &n.str_attr("rhs")},
                      &out = n.str_attr("out");
    loop::Contraction c;
    c.type = n.type.element;
    std::map<char, Dim> extents, strides[2];
    for (int o = 0; o < 2; ++o) {
      Value operand = n.operands[static_cast<std::size_t>(o)];
      std::string names = *letters[o];
      const std::optional<Framed> framed = o == 0 ? framed_operand(g_, n) : std::nullopt;
      const bool is_stored = framed && g_[framed->pad].kernel >= 0;
      if (framed && !(is_stored && framed->folded)) {
        operand = framed->window;
        names = framed->letters;
        c.frames = frames_of(g_, *framed);
        c.folded = framed->folded;
      }
      const MemoryView place = framed && !is_stored ? windows_inside(*framed) : s_.strided(operand);
      (o == 0 ? c.a : c.b) = place.buffer;
      (o == 0 ? c.a_base : c.b_base) = place.base;
      for (std::size_t a = 0; a < names.size(); ++a) {
        if (names[a] == kNoLetter) continue;
        extents[names[a]] = g_.type(operand).shape[a];
        Dim& stride = strides[o][names[a]];
        stride = stride + (*place.strides)[a];
      }
    }
    std::string order = out;
    std::string summed;
    for (const auto& [letter, extent] : extents)
      if (out.find(letter) == std::string::npos) summed += letter;
    // The sum runs along memory: the letter of the largest step first.
    const auto step = [&](char letter) {
      std::int64_t sum = 0;
      for (const auto& o : strides) {
        const auto at = o.find(letter);
        if (at == o.end()) continue;
        if (!at->second.is_constant()) return INT64_MAX;
        sum += std::abs(at->second.value());
      }
      return sum;
    };
    std::stable_sort(summed.begin(), summed.end(),
                     [&](char a, char b) { return step(a) > step(b); });
    order += summed;
    Dim points = 2;
    for (const char letter : order) {
      loop::ContractIndex i;
      i.letter = letter;
      i.extent = extents[letter];
      i.in_a = letters[0]->find(letter) != std::string::npos;
      i.in_b = letters[1]->find(letter) != std::string::npos;
      i.a_stride = strides[0][letter];
      i.b_stride = strides[1][letter];
      const std::size_t at = out.find(letter);
      i.axis = at == std::string::npos ? -1 : k_.outer[at];
      if (i.axis < 0) points = points * i.extent;
      c.indices.push_back(std::move(i));
    }
    if (points.is_constant()) k_.flops_per_point = points.value();
    if (c.frames.empty()) merge_sums(c);
    k_.contraction.push_back(std::move(c));
    split_the_longer_axis();
    go_along_rows();
  }

  /// The windows of a framed operand as views of what is inside: from where the first place of the
  /// frame would be.
  MemoryView windows_inside(const Framed& f) const {
    MemoryView view = s_.strided(f.inside);
    const Shape& low = g_[f.pad].shape_attr("low");
    for (std::size_t k = 0; k < low.size(); ++k)
      view.base = view.base - low[k] * (*view.strides)[k];
    const Node& window = g_[f.window];
    const std::vector<std::int64_t>& axes = window.ints_attr("axes");
    for (std::size_t k = 0; k < axes.size(); ++k) {
      const Dim stride = (*view.strides)[static_cast<std::size_t>(axes[k])];
      view.strides->push_back(Dim(window.ints_attr("dilation")[k]) * stride);
      (*view.strides)[static_cast<std::size_t>(axes[k])] =
          Dim(window.ints_attr("stride")[k]) * stride;
    }
    return view;
  }

  /// Summed indices of which one goes on in memory where the other ends, in both operands, are one.
  static void merge_sums(loop::Contraction& c) {
    for (std::size_t k = 0; k + 1 < c.indices.size();) {
      loop::ContractIndex &outer = c.indices[k], &inner = c.indices[k + 1];
      const bool is_one = outer.axis < 0 && inner.axis < 0 &&
                          outer.a_stride == inner.extent * inner.a_stride &&
                          outer.b_stride == inner.extent * inner.b_stride;
      if (!is_one) {
        ++k;
        continue;
      }
      inner.extent = outer.extent * inner.extent;
      c.indices.erase(c.indices.begin() + static_cast<std::ptrdiff_t>(k));
    }
  }

  /// Threads share out the outermost axis. Shared out by columns are few rows of many columns,
  /// whose tiles of rows stay whole, and the columns of an operand that has to be turned over: each
  /// thread turns over its own.
  void split_the_longer_axis() {
    constexpr std::int64_t kFewRows = 96, kMany = 4, kManyTurned = 128;
    if (k_.outer.size() != 2 || !domain_[1].is_constant()) return;
    const Dim &rows = domain_[0], &columns = domain_[1];
    const auto runs_along_columns = [&](const loop::ContractIndex& i) {
      return i.axis == k_.outer[1] && (i.in_a ? i.a_stride : i.b_stride) == Dim(1);
    };
    const auto& indices = k_.contraction[0].indices;
    const bool turned = std::none_of(indices.begin(), indices.end(), runs_along_columns);
    const bool few_rows =
        rows.is_constant() && rows.value() <= kFewRows && columns.value() >= kMany * rows.value();
    if (few_rows || (turned && columns.value() >= kManyTurned)) std::swap(k_.outer[0], k_.outer[1]);
  }

  /// The rows of a sequence, of which each item or each step is the outer axis: the order in which
  /// they lie in the operand is that of the outer axes, so that they are one row after the other.
  void go_along_rows() {
    if (k_.outer.size() != 3 || !k_.contraction[0].frames.empty()) return;
    const auto index_of = [&](AxisId axis) -> const loop::ContractIndex& {
      const auto& all = k_.contraction[0].indices;
      return *std::find_if(all.begin(), all.end(), [&](const auto& i) { return i.axis == axis; });
    };
    const loop::ContractIndex &first = index_of(k_.outer[0]), &second = index_of(k_.outer[1]);
    if (first.in_a != second.in_a || first.in_b != second.in_b || first.in_a == first.in_b) return;
    const auto stride = [](const loop::ContractIndex& i) {
      return i.in_a ? i.a_stride : i.b_stride;
    };
    if (stride(second) == stride(first) * first.extent) std::swap(k_.outer[0], k_.outer[1]);
  }

  const Storage& s_;
  const Graph& g_;
  Kernel k_;
  KernelBuilder b_;
  std::vector<Item> items_;
  Shape domain_;
  Index outer_;
  std::vector<Shape> stage_inner_;
  std::vector<Index> inner_;
  std::map<std::tuple<int, Value, Index>, ExprId> computed_;
};

}  // namespace

Value stored_as(const Graph& g, const GraphOutput& out) {
  const Value v = g.below_reshapes(out.value);
  const Op op = g[v].op;
  if (out.kind != OutputKind::Update || op == Op::input || op == Op::constant || op == Op::part)
    return out.value;
  const auto shares = [&](const GraphOutput& o) { return g.below_reshapes(o.value) == v; };
  return std::count_if(g.outputs.begin(), g.outputs.end(), shares) > 1 ? out.value : v;
}

Kernel make_kernel(const Storage& storage, const std::vector<Value>& items,
                   const std::function<bool(Value)>& read_elsewhere) {
  return KernelMaker(storage, items, read_elsewhere).make();
}

bool is_written_in_parts(const Node& n) { return n.op == Op::concat && n.int_attr("axis") > 0; }

std::optional<Kernel> make_concat(const Storage& s, Value node) {
  const Node& n = s.g[node];
  const auto axis = static_cast<std::size_t>(n.int_attr("axis"));
  Kernel k;
  k.name = fmt::format("{}k{}_{}", s.prefix, n.kernel, n.name.empty() ? "concat" : n.name);
  if (n.loc.known()) k.locs = {n.loc};
  KernelBuilder b(k);
  Index outer;
  for (std::size_t a = 0; a < axis; ++a) {
    k.outer.push_back(b.axis(fmt::format("i{}", a), n.type.shape[a]));
    outer.push_back(b.axis_value(k.outer.back()));
  }
  Expressions e(
      s.g, b, [&](Value v) { return s.is_leaf(v); },
      [&](Value v, const Index& at) { return s.load(b, v, at); });
  Dim start = 0;
  for (std::size_t part = 0; part < n.operands.size(); ++part) {
    const Shape& shape = s.g.type(n.operands[part]).shape;
    if (const Value source = s.g.below_reshapes(n.operands[part]); s.is_leaf(source)) {
      const std::optional<MemoryView> there = place_of_part(s, node, part);
      const MemoryView here = s.place(source);
      if (there && here.buffer == there->buffer && here.base == there->base) {
        start = start + shape[axis];
        continue;
      }
    }
    loop::Stage stage;
    Index from = outer;
    for (std::size_t a = axis; a < shape.size(); ++a) {
      stage.axes.push_back(b.axis(fmt::format("j{}_{}", part, a), shape[a]));
      from.push_back(b.axis_value(stage.axes.back()));
    }
    Index to = from;
    to[axis] = b.add(from[axis], b.dim(start));
    stage.stores.push_back(
        {s.buffer(node), s.offset(b, node, to), e.element(n.operands[part], from)});
    k.stages.push_back(std::move(stage));
    start = start + shape[axis];
  }
  if (k.stages.empty()) return std::nullopt;
  return k;
}

namespace {

/// A kernel of one store: to[i] = value(i) for all i of a type's shape.
Kernel make_store(const std::string& name, const MemoryView& to, const Type& type,
                  const std::function<ExprId(KernelBuilder&, const Index&)>& value) {
  Kernel k;
  k.name = name;
  KernelBuilder b(k);
  Index index;
  for (const Dim& d : type.shape) {
    k.outer.push_back(b.axis(fmt::format("i{}", index.size()), d));
    index.push_back(b.axis_value(k.outer.back()));
  }
  const ExprId stored = value(b, index);
  k.stages.push_back({{}, {}, {{to.buffer, offset_at(b, to, index, type.shape), stored}}});
  return k;
}

}  // namespace

std::vector<Kernel> make_scatter(const Storage& s, Value node, bool reads_base) {
  const Node& n = s.g[node];
  const bool adds = n.operands.size() == 2;
  const Value places = n.operands[adds ? 0 : 1], updates = n.operands[adds ? 1 : 2];
  const auto axis = static_cast<std::size_t>(n.int_attr("axis"));
  const auto element = [&](KernelBuilder& b, Value v, const Index& at) {
    return Expressions(
               s.g, b, [&](Value x) { return s.is_leaf(x); },
               [&](Value x, const Index& i) { return s.load(b, x, i); })
        .element(v, at);
  };
  std::vector<Kernel> kernels;
  const std::string prefix = fmt::format("{}k{}_", s.prefix, n.kernel);
  if (adds)
    kernels.push_back(make_zeros(prefix + "zero", s.place(node), n.type));
  else if (reads_base)
    kernels.push_back(make_store(
        prefix + "base", s.place(node), n.type,
        [&](KernelBuilder& b, const Index& at) { return element(b, n.operands[0], at); }));

  Kernel& k = kernels.emplace_back();
  k.name = prefix + (n.name.empty() ? std::string(op_name(n.op)) : n.name);
  k.scatter = adds ? loop::Scatter::Add : loop::Scatter::Put;
  if (n.loc.known()) k.locs = {n.loc};
  KernelBuilder b(k);
  loop::Stage stage;
  Index index;
  const Shape& shape = s.g.type(updates).shape;
  for (const Dim& d : shape) {
    // The last axis of the rows, if they have any, goes through columns apart from each other.
    const bool is_column =
        index.size() + 1 == shape.size() && index.size() >= axis + s.g.type(places).shape.size();
    std::vector<AxisId>& axes = is_column ? k.outer : stage.axes;
    axes.push_back(b.axis(fmt::format("u{}", index.size()), d));
    index.push_back(b.axis_value(axes.back()));
  }
  const auto first = index.begin() + static_cast<std::ptrdiff_t>(axis);
  const auto last = first + s.g.type(places).rank();
  ExprId place = element(b, places, Index(first, last));
  if (b.type(place) != ElementType::I64)
    place = b.scalar(ScalarOp::Convert, ElementType::I64, {place});
  Index to(index.begin(), first);
  to.push_back(b.clamped(place, n.type.shape[axis]));
  to.insert(to.end(), last, index.end());
  const ExprId update = element(b, updates, index);
  stage.stores.push_back({s.buffer(node), s.offset(b, node, to), update});
  k.stages.push_back(std::move(stage));
  return kernels;
}

Kernel make_zeros(const std::string& name, const MemoryView& to, const Type& type) {
  return make_store(name, to, type,
                    [&](KernelBuilder& b, const Index&) { return b.constant(type.element, 0); });
}

Kernel make_copy(const std::string& name, const MemoryView& from, const MemoryView& to,
                 const Type& type) {
  return make_store(name, to, type, [&](KernelBuilder& b, const Index& index) {
    return b.load(from.buffer, type.element, offset_at(b, from, index, type.shape));
  });
}

}  // namespace dlc
