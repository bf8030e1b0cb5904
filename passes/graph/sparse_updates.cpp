// The gradient of an embedding is zero but for the rows that the batch has read. Where an update
// leaves a weight as it is whose gradient is zero, only these rows need one:
//
//   d = scatter_add(places, u)               =>    d' = scatter_add(last, u), rows of the batch
//   w <- update(w, s, d)                     =>    w <- scatter(w, places, update(w', s', r))
//   sum(x * d)                               =>    sum(x' * u)
//
// where w', s' and x' are the rows at the places, `last` is for each place the last that equals it
// (so that equal places share a row of d'), and r is d' at these: each of several equal places
// writes the same new row. That an update changes nothing where d is zero is proved by putting zero
// into it: true of gradient descent and Adagrad, not where a momentum or a decay of the weights
// goes on without a gradient. The last rule is for the norm of a gradient that is clipped. Where a
// table is read several times, its gradient is a sum of such, and first becomes one:
//
//   scatter_add(p, u) + scatter_add(q, v)    =>    scatter_add(concat(p, q), concat(u, v))
#include <algorithm>
#include <optional>

#include "ir/graph/rewriter.h"
#include "ir/op_def.h"

namespace dlc {

namespace {

/// Of a batch or its sequences where a program is compiled for any: a table has to be larger than
/// what they read at once for its update to cost less row by row.
constexpr std::int64_t kExpectedExtent = 64;
constexpr std::int64_t kRowsOfTable = 2;  // for each row that is read

/// Of a table with far more rows than are added to.
bool is_sparse(const Node& scatter_add, const Dim& rows) {
  return scatter_add.int_attr("axis") == 0 &&
         kRowsOfTable * rows.typical(kExpectedExtent) <=
             scatter_add.type.shape[0].typical(kExpectedExtent);
}

Dim rows_of(const Graph& g, const Node& scatter_add) {
  return element_count(g.type(scatter_add.operands[0]).shape);
}

/// Sums of sparse gradients of one table as one.
Graph join(const Graph& old) {
  return rewrite(
      old,
      [](GraphBuilder& b, const Graph& g, Value v, const std::vector<Value>& operands) -> Value {
        if (g[v].op != Op::add) return {};
        Dim rows(0);
        for (const Value o : operands) {
          if (b.graph()[o].op != Op::scatter_add) return {};
          rows = rows + rows_of(b.graph(), b.graph()[o]);
        }
        for (const Value o : operands)
          if (!is_sparse(b.graph()[o], rows)) return {};
        std::vector<Value> places, updates;
        for (const Value o : operands) {
          const Node n = b.graph()[o];
          const Dim count = rows_of(b.graph(), n);
          places.push_back(b.reshape(b.convert(n.operands[0], ElementType::I64), {count}));
          Shape shape = n.type.shape;
          shape[0] = count;
          updates.push_back(b.reshape(n.operands[1], shape));
        }
        const Attrs axis{{"axis", std::int64_t{0}}};
        const Value place = b.node(Op::concat, places, axis),
                    update = b.node(Op::concat, updates, axis);
        return b.node(Op::scatter_add, {place, update},
                      {{"axis", std::int64_t{0}}, {"size", Shape{g[v].type.shape[0]}}});
      });
}

/// What a value is where the gradient is zero: a number, or what another value is, or unknown.
struct AtZero {
  std::optional<double> number;
  Value same;

  bool is(double x) const { return number && *number == x; }
  bool operator==(const AtZero&) const = default;
};

AtZero at_zero(const Graph& g, const Node& n, const std::vector<AtZero>& operands) {
  switch (n.op) {
    case Op::mul:
      if (operands[0].is(0) || operands[1].is(0)) return {0.0, {}};
      break;
    case Op::div:
      if (operands[0].is(0)) return {0.0, {}};
      break;
    case Op::add:
      if (operands[0].is(0)) return operands[1];
      if (operands[1].is(0)) return operands[0];
      break;
    case Op::sub:
      if (operands[1].is(0)) return operands[0];
      break;
    case Op::select:
      if (operands[0].number) return operands[*operands[0].number != 0 ? 1 : 2];
      if (operands[1] == operands[2]) return operands[1];
      break;
    default:
      break;
  }
  std::vector<Literal> numbers;
  for (std::size_t k = 0; k < operands.size(); ++k) {
    if (!operands[k].number) return {};
    numbers.push_back(Literal::scalar(g.type(n.operands[k]).element, *operands[k].number));
  }
  Literal result = op_def(n.op).evaluate(n, numbers, Type{n.type.element, {}});
  result.round();
  return {result.at(0), {}};
}

/// One gradient of a table and what depends on it, up to the updates.
class SparseUpdates {
 public:
  SparseUpdates(const Graph& g, Value gradient)
      : g_(g),
        gradient_(gradient),
        depends_(g.nodes.size(), false),
        is_update_(g.nodes.size(), false),
        whole_(g.nodes.size(), true),
        rows_(g.nodes.size()),
        now_(g.nodes.size()) {
    find_dependents();
    find_whole();
  }

  bool pays() const {
    if (std::find(is_update_.begin(), is_update_.end(), true) == is_update_.end()) return false;
    for (const Node& n : g_.nodes)
      for (const Value o : n.operands)
        if (!whole_[o.id] && !depends_on_rows(n)) return false;
    return std::all_of(g_.outputs.begin(), g_.outputs.end(),
                       [&](const GraphOutput& out) { return whole_[out.value.id]; });
  }

  Graph run() {
    return rewrite(g_,
                   [this](GraphBuilder& b, const Graph& g, Value v,
                          const std::vector<Value>& operands) -> Value {
                     const Node& n = g[v];
                     for (std::size_t k = 0; k < operands.size(); ++k)
                       now_[n.operands[k].id] = operands[k];
                     if (v == gradient_) {
                       add_up(b, operands[0], operands[1]);
                     } else if (depends_[v.id]) {
                       std::vector<Value> of_rows;
                       for (const Value o : n.operands) of_rows.push_back(rows(b, o));
                       rows_[v.id] = b.node(n.op, of_rows, n.attrs);
                       if (is_update_[v.id])
                         return b.node(Op::scatter,
                                       {now_[zero_[v.id].same.id], places_, rows_[v.id]},
                                       {{"axis", std::int64_t{0}}});
                     } else if (is_inner_product(n)) {
                       const Value factor = factor_beside_gradient(g[n.operands[0]]);
                       return b.sum_to_trailing(b.mul(rows(b, factor), updates_), {});
                     }
                     return {};
                   });
  }

 private:
  void find_dependents() {
    zero_.resize(g_.nodes.size());
    depends_[gradient_.id] = true;
    zero_[gradient_.id] = {0.0, {}};
    for (std::uint32_t id = gradient_.id + 1; id < g_.nodes.size(); ++id) {
      const Node& n = g_.nodes[id];
      if (!is_elementwise(n.op) || std::none_of(n.operands.begin(), n.operands.end(),
                                                [&](Value o) { return depends_[o.id]; }))
        continue;
      depends_[id] = true;
      std::vector<AtZero> operands;
      for (const Value o : n.operands)
        operands.push_back(depends_[o.id] ? zero_[o.id] : AtZero{g_.splat(o), o});
      zero_[id] = at_zero(g_, n, operands);
    }
    for (const GraphOutput& out : g_.outputs) {
      if (out.kind != OutputKind::Update || !depends_[out.value.id]) continue;
      const AtZero& zero = zero_[out.value.id];
      if (!zero.number && zero.same == g_.find_input(out.name)->value)
        is_update_[out.value.id] = true;
    }
  }

  /// What can be computed of all of the table: updates, and what depends on the gradient by way of
  /// these alone.
  void find_whole() {
    for (std::uint32_t id = gradient_.id; id < g_.nodes.size(); ++id) {
      if (!depends_[id] || is_update_[id]) continue;
      const std::vector<Value>& operands = g_.nodes[id].operands;
      whole_[id] = Value{id} != gradient_ && std::all_of(operands.begin(), operands.end(),
                                                         [&](Value o) { return whole_[o.id]; });
    }
  }

  bool depends_on_rows(const Node& n) const {
    return is_inner_product(n) ||
           (is_elementwise(n.op) && depends_[static_cast<std::size_t>(&n - g_.nodes.data())]);
  }

  /// The sum of all elements of a product with the gradient.
  bool is_inner_product(const Node& n) const {
    if (n.op != Op::reduce_sum || !n.type.shape.empty()) return false;
    const Node& product = g_[n.operands[0]];
    return product.op == Op::mul &&
           (product.operands[0] == gradient_ || product.operands[1] == gradient_);
  }
  Value factor_beside_gradient(const Node& product) const {
    return product.operands[product.operands[0] == gradient_ ? 1 : 0];
  }

  void add_up(GraphBuilder& b, Value places, Value updates) {
    places_ = places;
    updates_ = updates;
    const Value last = b.last_equal(places, g_.type(gradient_).shape[0]);
    const Attrs axis{{"axis", std::int64_t{0}}};
    Attrs attrs = axis;
    attrs["size"] = Shape{element_count(b.type(places).shape)};
    const Value sums = b.node(Op::scatter_add, {last, updates}, attrs);
    rows_[gradient_.id] = b.node(Op::gather, {sums, last}, axis);
  }

  /// Of a value as large as the table, the rows at the places.
  Value rows(GraphBuilder& b, Value v) {
    Value& result = rows_[v.id];
    if (result.valid()) return result;
    const Node& n = g_[v];
    const Shape shape = b.type(updates_).shape;
    const int more = b.type(places_).rank() - 1;
    if (n.op == Op::broadcast) {
      std::vector<std::int64_t> dims = n.ints_attr("dims");
      if (std::find(dims.begin(), dims.end(), 0) == dims.end()) {
        for (std::int64_t& d : dims) d += more;
        return result = b.broadcast(b.graph()[now_[v.id]].operands[0], shape, dims);
      }
    }
    return result = b.node(Op::gather, {now_[v.id], places_}, {{"axis", std::int64_t{0}}});
  }

  const Graph& g_;
  Value gradient_;
  std::vector<bool> depends_;    // elementwise on the gradient
  std::vector<AtZero> zero_;     // of what depends
  std::vector<bool> is_update_;  // depends, and changes nothing where the gradient is zero
  std::vector<bool> whole_;      // needs no row of the gradient apart from updates
  // In the new graph:
  Value places_, updates_;
  std::vector<Value> rows_, now_;
};

}  // namespace

Graph run_sparse_updates(const Graph& old) {
  Graph g = join(old);
  for (std::uint32_t id = 0; id < g.nodes.size(); ++id) {
    const Node& n = g.nodes[id];
    if (n.op != Op::scatter_add || !is_sparse(n, rows_of(g, n))) continue;
    SparseUpdates updates(g, Value{id});
    if (!updates.pays()) continue;
    g = updates.run();
    id = 0;  // the nodes have moved
  }
  return g;
}

}  // namespace dlc
