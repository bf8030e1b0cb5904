#include "passes/graph/stored_nodes.h"

#include <algorithm>

#include "ir/graph/scan.h"
#include "ir/op_def.h"
#include "passes/graph/costly.h"
#include "passes/lower/expressions.h"
#include "passes/lower/framed.h"
#include "passes/lower/kernel_maker.h"

namespace dlc {

namespace {

using loop::ExprId;
using Index = Expressions::Index;

/// What computing an element in place takes: operations, and elements of other nodes.
struct InlineCost {
  int operations = 0, loads = 0;
};
constexpr InlineCost kSharedLimit{16, 4};  // beyond either a node with several users is stored
constexpr int kOperationsLimit = 200;      // beyond it any node is: expressions stay of a sane size

class StoredNodes {
 public:
  explicit StoredNodes(const Graph& g)
      : g_(g), stored_(g.nodes.size(), false), uses_(g.use_counts()) {
    for (const GraphOutput& out : g.outputs)
      if (const Value v = stored_as(g, out); !is_given(g_, v)) stored_[v.id] = true;
    const std::vector<bool> stretched = stretched_by_users();
    std::vector<bool> costly(g.nodes.size(), false);
    std::vector<InlineCost> cost(g.nodes.size());
    const std::vector<bool> drawn = drawn_from_counter();
    for (std::uint32_t id = 0; id < g.nodes.size(); ++id) {
      const Node& n = g.nodes[id];
      if (n.op == Op::contract || is_reduction(n) || lowers_as<LowerScatter>(n.op) ||
          has_region(n) || n.op == Op::part)
        stored_[id] = true;
      cost[id] = inline_cost(n, cost);
      // Once for a kernel rather than for each element: a number made of sizes and constants.
      const bool is_number = element_count(n.type.shape) == Dim(1) && cost[id].loads == 0;
      costly[id] = is_costly(n.op) && is_float(n.type.element) && !is_number;
      for (const Value o : n.operands)
        if (!stored_[o.id]) costly[id] = costly[id] || costly[o.id];
      const bool shared = uses_[id] > 1 || stretched[id];
      const bool large =
          cost[id].operations > kSharedLimit.operations || cost[id].loads > kSharedLimit.loads;
      // A mask is drawn again rather than stored.
      const bool is_mask = drawn[id] && n.type.element == ElementType::Bool;
      if (((costly[id] || large) && shared && n.op != Op::constant && n.op != Op::input &&
           !is_mask) ||
          cost[id].operations > kOperationsLimit)
        stored_[below_views(Value{id}).id] = true;
      if (n.op == Op::contract)
        for (const Value o : n.operands) store_conversion(o);
      const auto framed = framed_operand(g, n);
      if (n.op == Op::contract || has_region(n))
        for (const Value o : n.operands) {
          const bool is_own = framed && o == n.operands[0] && uses_[o.id] == 1 &&
                              uses_[framed->window.id] == 1 && uses_[framed->pad.id] == 1;
          if (is_own)
            store_operand(below_transposes(framed->inside));
          else
            store_operand(o);
        }
      if (lowers_as<LowerScatter>(n.op)) store_operands_of_scatter(n, costly, cost);
      if (is_written_in_parts(n) && is_made_in_place(n)) stored_[id] = true;
      if (shared && !stored_[id] && is_epilogue_of_its_own(Value{id})) stored_[id] = true;
    }
    for (std::uint32_t id = 0; id < g.nodes.size(); ++id)
      if (stored_[id] && is_written_in_parts(g.nodes[id]))
        for (const Value o : g.nodes[id].operands)
          if (const Value part = g.below_reshapes(o); is_epilogue(part)) stored_[part.id] = true;
  }

  std::vector<bool> stored() && { return std::move(stored_); }

 private:
  /// Read from memory rather than computed.
  bool is_leaf(Value v) const { return stored_[v.id] || is_given(g_, v); }

  /// Each update is used once: computed where it is added, unless that is dear, for threads share
  /// only the columns. What is put may have been computed from what it replaces. Places that are
  /// numbers in order take nothing.
  void store_operands_of_scatter(const Node& n, const std::vector<bool>& costly,
                                 const std::vector<InlineCost>& cost) {
    const bool adds = n.operands.size() == 2;
    const auto store = [&](Value v) { stored_[v.id] = !is_given(g_, v); };
    for (std::size_t k = adds ? 0 : 1; k < n.operands.size(); ++k) {
      const Value o = n.operands[k];
      const bool is_dear = costly[o.id] || cost[o.id].operations > kSharedLimit.operations;
      if (!adds || (k == 0 && g_[o].op != Op::iota) || is_dear) store(o);
    }
  }

  /// What a value repeats elements of (the windows of a convolution overlap); else the value
  /// itself.
  Value below_views(Value v) const {
    Value below = v;
    while (!is_leaf(below) && lowers_as<LowerView>(g_[below].op) && g_[below].op != Op::slice)
      below = g_[below].operands[0];
    const auto elements = [&](Value x) { return element_count(g_.type(x).shape); };
    return elements(below) == elements(v) ? v : below;
  }

  /// A contraction reads strided views of something stored: below the views where that will do,
  /// else as it is.
  void store_operand(Value v) {
    // What is transposed for no other reason is a copy that `relayout` wants.
    if (g_[v].op == Op::transpose) {
      stored_[v.id] = true;
      return;
    }
    if (is_strided_view(v)) return;
    const Value plain = g_.below_reshapes(v);
    const Value below = is_epilogue(plain) ? plain : below_views(v);
    if (!(below == v) && !is_leaf(below)) {
      stored_[below.id] = true;
      if (is_strided_view(v)) return;
      stored_[below.id] = false;
    }
    stored_[v.id] = true;
  }

  Value below_transposes(Value v) const {
    while (g_[v].op == Op::transpose) v = g_[v].operands[0];
    return v;
  }

  /// Made element by element of what a contraction or a reduction computes: at its points, in its
  /// kernel.
  bool is_epilogue(Value v) const {
    const Node& n = g_[v];
    return is_elementwise(n.op) && std::any_of(n.operands.begin(), n.operands.end(), [&](Value o) {
             return g_.type(o).shape == n.type.shape &&
                    (g_[o].op == Op::contract || is_reduction(g_[o]) ||
                     (!is_leaf(o) && is_epilogue(o)));
           });
  }

  /// Nobody else reads the product that `v` is made of, so one of the two is in memory; and a
  /// reader of `v` finds all there that `v` is made of. What more there is, is known before the
  /// product.
  bool is_epilogue_of_its_own(Value v) const {
    if (!is_elementwise(g_[v].op)) return false;
    const Value product = own_product(v);
    return product.valid() && is_known_before(v, product);
  }
  /// The last of the products, if there are any, that only `v` reads, or what only `v` reads.
  Value own_product(Value v) const {
    Value last;
    for (const Value o : g_[v].operands) {
      if (g_.type(o).shape != g_.type(v).shape || uses_[o.id] != 1) continue;
      Value product;
      if (g_[o].op == Op::contract)
        product = o;
      else if (!is_leaf(o) && is_elementwise(g_[o].op))
        product = own_product(o);
      if (product.valid() && (!last.valid() || product.id > last.id)) last = product;
    }
    return last;
  }
  bool is_known_before(Value v, Value product) const {
    const std::vector<Value>& all = g_[v].operands;
    return std::all_of(all.begin(), all.end(), [&](Value o) {
      if (is_leaf(o)) return o.id <= product.id || is_given(g_, o);
      return is_known_before(o, product);
    });
  }

  /// Each part of a concat is stored in any case: nothing is to be copied.
  bool is_made_in_place(const Node& concat) const {
    return std::all_of(concat.operands.begin(), concat.operands.end(), [&](Value o) {
      const Value part = g_.below_reshapes(o);
      return stored_[part.id] || is_epilogue(part);
    });
  }

  /// What a contraction reads through views is stored below them where it is a conversion: once for
  /// all its readers.
  void store_conversion(Value v) {
    while (!stored_[v.id] && lowers_as<LowerView>(g_[v].op)) v = g_[v].operands[0];
    if (g_[v].op == Op::convert) stored_[v.id] = true;
  }

  InlineCost inline_cost(const Node& n, const std::vector<InlineCost>& cost) const {
    InlineCost sum{lowers_as<LowerElementwise>(n.op) ? 1 : 0, 0};
    for (const Value o : n.operands) {
      if (is_leaf(o)) {
        ++sum.loads;
        continue;
      }
      sum.operations += cost[o.id].operations;
      sum.loads += cost[o.id].loads;
    }
    return sum;
  }

  /// Made of random numbers and constants alone.
  std::vector<bool> drawn_from_counter() const {
    std::vector<bool> drawn(g_.nodes.size(), false), fixed(g_.nodes.size(), false);
    for (std::uint32_t id = 0; id < g_.nodes.size(); ++id) {
      const Node& n = g_.nodes[id];
      if (n.op != Op::constant && n.op != Op::random_uniform && n.operands.empty()) continue;
      const auto all = [&](const auto& of) {
        return std::all_of(n.operands.begin(), n.operands.end(), of);
      };
      const bool computes = is_elementwise(n.op) || n.op == Op::broadcast;
      fixed[id] = n.op == Op::constant || (computes && all([&](Value o) { return fixed[o.id]; }));
      drawn[id] =
          n.op == Op::random_uniform ||
          (computes && !fixed[id] && all([&](Value o) { return fixed[o.id] || drawn[o.id]; }));
    }
    return drawn;
  }

  /// Nodes that some user repeats along new elements.
  std::vector<bool> stretched_by_users() const {
    std::vector<bool> result(g_.nodes.size(), false);
    for (const Node& n : g_.nodes)
      if (n.op == Op::broadcast)
        result[n.operands[0].id] =
            !(element_count(n.type.shape) == element_count(g_.type(n.operands[0]).shape));
    return result;
  }

  /// Whether an element of `v` is one load at an offset linear in the indices.
  bool is_strided_view(Value v) const {
    loop::Kernel scratch;
    loop::KernelBuilder b(scratch);
    Index index;
    for (const Dim& d : g_.type(v).shape) index.push_back(b.axis_value(b.axis("i", d)));
    bool linear = true;
    int loads = 0;
    Expressions e(
        g_, b, [&](Value x) { return is_leaf(x); },
        [&](Value x, const Index& at) {
          ++loads;
          linear = linear && as_affine(scratch, b.linear_offset(at, g_.type(x).shape)).has_value();
          return b.load(static_cast<int>(x.id), g_.type(x).element, b.integer(0));
        });
    const ExprId value = e.element(v, index);
    return linear && loads == 1 &&
           scratch.exprs[static_cast<std::size_t>(value)].kind == loop::ExprKind::Load;
  }

  const Graph& g_;
  std::vector<bool> stored_;
  std::vector<std::uint32_t> uses_;
};

}  // namespace

std::vector<bool> stored_nodes(const Graph& g) { return StoredNodes(g).stored(); }

}  // namespace dlc
