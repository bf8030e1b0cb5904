// An operation is chosen, then operands that fit, then the result joins a pool. At last what
// nothing uses yet flows into the loss.
#include "tests/support/random_graph.h"

#include <functional>
#include <set>

#include "ir/graph/scan.h"
#include "ir/op_def.h"
#include "tests/support/random_values.h"
#include "tests/support/samples.h"

using namespace dlc;

namespace {

using E = ElementType;

class Generator : RandomValues {
 public:
  Generator(Graph& g, unsigned seed, E element) : RandomValues(g, seed, element) {}

  void run() {
    seed_ = b_.input("seed", InputKind::Scalar, {E::I64, {}});
    step_ = b_.input("step", InputKind::Scalar, {E::I64, {}});
    ints_.push_back(b_.input("ids", InputKind::Input, {E::I32, {kN}}));
    ints_.push_back(b_.input("bytes", InputKind::Input, {E::U8, {kN, Dim(below(6) + 1)}}));
    ints_.push_back(b_.input("places", InputKind::Input, {E::I64, {Dim(below(4) + 2)}}));
    for (int k = below(2) + 2; k-- > 0;) fresh(shape(below(4)), InputKind::Param);
    fresh({kN, dim()}, InputKind::Input);
    fresh({dim()}, InputKind::State);
    for (int k = below(10) + 10; k-- > 0;) {
      b_.set_loc({"model.dl", k + 1, below(40) + 1});
      step();
    }
    finish();
  }

 private:
  void step() {
    // Operations that need something the pools lack are drawn again.
    for (int tries = 0; tries < 50; ++tries)
      if (apply(one_of(all_ops()))) return;
  }

  bool apply(Op op) {
    const Lowering& lowering = op_def(op).lowering;
    switch (op) {
      case Op::input:
      case Op::grad:
        return false;
      case Op::constant:
        return constant(), true;
      case Op::dim:
        return dimension(), true;
      case Op::iota:
        return iota(), true;
      case Op::random_uniform:
        return draw(), true;
      case Op::select:
        return choose(), true;
      case Op::convert:
        return convert(), true;
      case Op::stop_gradient:
        return stop(), true;
      case Op::scan:
        return scan();
      case Op::part:
        return false;  // made with the scan
      case Op::contract:
        return contract(), true;
      case Op::conv:
        return conv(), true;
      case Op::window:
      case Op::unwindow:
        return windows(op), true;
      case Op::gather:
      case Op::scatter:
      case Op::scatter_add:
        return indexed(op);
      case Op::concat:
      case Op::pad:
      case Op::slice:
      case Op::broadcast:
      case Op::reshape:
      case Op::transpose:
      case Op::reverse:
        return view(op);
      default:
        break;
    }
    if (std::holds_alternative<LowerReduce>(lowering)) return reduce(op);
    DLC_CHECK(std::holds_alternative<LowerElementwise>(lowering), "the generator does not know {}",
              op_name(op));
    return elementwise(op);
  }

  // ---- Elementwise ----
  bool elementwise(Op op) {
    static const std::set<Op> jumps{Op::sign, Op::floor, Op::ceil, Op::round};
    static const std::set<Op> comparisons{Op::eq, Op::ne, Op::lt, Op::le};
    static const std::set<Op> of_positive{Op::sqrt, Op::rsqrt, Op::cbrt,
                                          Op::log,  Op::log2,  Op::log1p};
    static const std::set<Op> integer_too{Op::add, Op::sub, Op::mul,  Op::div, Op::rem,
                                          Op::max, Op::min, Op::sign, Op::abs, Op::neg};
    if (integer_too.contains(op) && chance(20)) {
      const Value v = one_of(ints_);
      std::vector<Value> operands{v};
      if (op != Op::sign && op != Op::abs && op != Op::neg)
        operands.push_back(chance(50) ? v : b_.splat(Type(g_.type(v)), below(4)));
      keep(b_.node(op, operands));
      return true;
    }
    if (jumps.contains(op)) {
      const Value v = exact();
      const Value scaled = b_.mul(v, b_.splat(Type(g_.type(v)), 2.5));
      keep(b_.node(op, {scaled}), true);
    } else if (comparisons.contains(op)) {
      const Value v = chance(30) ? one_of(ints_) : exact();
      const Type type = g_.type(v);
      keep(b_.node(
          op, {v, is_float(type.element) ? of_shape(type.shape, true) : b_.splat(type, below(3))}));
    } else if (op == Op::logical_not || op == Op::logical_and || op == Op::logical_or) {
      const Value a = bool_of(shape_of(exact()));
      if (op == Op::logical_not)
        keep(b_.node(op, {a}));
      else
        keep(b_.node(op, {a, bool_of(shape_of(a))}));
    } else if (of_positive.contains(op)) {
      keep(b_.node(op, {positive(any())}));
    } else if (op == Op::exp || op == Op::expm1) {
      keep(b_.node(op, {bounded(any())}));
    } else if (op == Op::pow) {
      const Value v = any();
      const Value p =
          chance(50) ? b_.splat(Type(g_.type(v)), below(5) - 1) : bounded(of_shape(shape_of(v)));
      keep(b_.node(op, {positive(v), p}));
    } else if (op == Op::rem) {
      const Value v = exact();
      keep(b_.node(op, {v, positive_exact(of_shape(shape_of(v), true))}));
    } else if (op == Op::div) {
      const Value v = any();
      keep(b_.div(v, positive(of_shape(shape_of(v)))));
    } else if (op_def(op).samples[0].operands.size() == 2) {
      const Value v = any();
      keep(sometimes_bounded(b_.node(op, {v, of_shape(shape_of(v))})));
    } else {
      keep(b_.node(op, {any()}));
    }
    return true;
  }

  void choose() {
    const Value v = any();
    const Shape s = shape_of(v);
    keep(b_.select(bool_of(s), v, of_shape(s)));
  }

  void convert() {
    static const std::vector<E> others{E::I32, E::I64, E::U8, E::Bool};
    const int what = below(4);
    if (what == 0 && !bools_.empty()) {
      keep(b_.convert(one_of(bools_), element_), true);
    } else if (what == 1) {
      // Out of the range of u8 as often as not.
      const Value v = exact();
      keep(b_.convert(b_.mul(v, b_.splat(Type(g_.type(v)), 300)), one_of(others)));
    } else if (what == 2) {
      keep(b_.convert(one_of(ints_), one_of(others)));
    } else {
      const Value v = one_of(ints_);
      const Value f = b_.convert(v, element_);
      keep(b_.mul(f, b_.splat(Type(g_.type(f)), 1.0 / 64)), true);
    }
  }

  /// Of what no input reaches, since the gradient would not be the slope.
  void stop() {
    const Value u = b_.node(Op::iota, {},
                            {{"shape", Shape{kN, 3}},
                             {"axis", std::int64_t{1}},
                             {"element", std::string(name(element_))}});
    keep(b_.mul(b_.node(Op::stop_gradient, {b_.node(Op::cos, {u})}), of_shape({kN, 3})));
  }

  // ---- Sources ----
  void constant() {
    Literal l = Literal::zeros(element_, {below(3) + 1, below(6) + 1});
    for (std::int64_t k = 0; k < l.size(); ++k) l.set(k, (below(17) - 8) / 4.0);
    l.round();
    keep(b_.constant(std::move(l)), true);
  }
  void dimension() {
    const Dim d = chance(50) ? kN : kN * Dim(2) + Dim(1);
    if (chance(30)) return keep(b_.dim_value(d, E::I32));
    const Value v = any();
    const Value n = b_.broadcast(b_.dim_value(d, element_), shape_of(v), {});
    keep(b_.div(v, n));
  }
  void iota() {
    const Shape s = shape(below(2) + 1);
    const bool integer = chance(40);
    const Value v = b_.node(Op::iota, {},
                            {{"shape", s},
                             {"axis", std::int64_t{below(static_cast<int>(s.size()))}},
                             {"element", std::string(integer ? "i32" : name(element_))}});
    keep(integer ? v : b_.mul(v, b_.splat(Type(g_.type(v)), 0.0625)), true);
  }
  void draw() {
    const Shape s = shape(below(3));
    keep(b_.node(Op::random_uniform, {seed_, step_},
                 {{"shape", s},
                  {"stream", std::int64_t{below(3)}},
                  {"element", std::string(name(element_))}}),
         true);
  }

  // ---- Windows ----
  /// Some axis, and windows over it that fit.
  struct Sliding {
    std::int64_t extent, taps, stride, dilation, pad, count;
  };
  Sliding sliding(bool padded) {
    Sliding s{};
    s.extent = below(5) + 2;
    s.pad = padded ? below(3) : 0;
    s.dilation = below(2) + 1;
    s.stride = below(3) + 1;
    const std::int64_t room = s.extent + 2 * s.pad;
    s.taps = below(static_cast<int>(std::min<std::int64_t>(3, (room - 1) / s.dilation + 1))) + 1;
    s.count = (room - s.dilation * (s.taps - 1) - 1) / s.stride + 1;
    return s;
  }
  void conv() {
    const Sliding s = sliding(true);
    const std::int64_t in = below(2) + 1, out = below(3) + 1;
    const std::string window = fmt::format("nc({}l+{}k{:+})", s.stride, s.dilation, -s.pad);
    const Value w = of_shape({s.taps, in, out});
    const bool back = chance(40);
    const Value x = of_shape(back ? Shape{kN, out, s.count} : Shape{kN, in, s.extent});
    const Shape result = back ? Shape{kN, in, s.extent} : Shape{kN, out, s.count};
    keep(sometimes_bounded(b_.node(Op::conv, {x, w},
                                   {{"lhs", back ? std::string("nol") : window},
                                    {"rhs", std::string("kco")},
                                    {"out", back ? window : std::string("nol")},
                                    {"shape", result}})));
  }
  void windows(Op op) {
    const Sliding s = sliding(false);
    const Shape x{kN, s.extent}, all{kN, s.count, s.taps};
    const bool back = op == Op::unwindow;
    const Value v = of_shape(back ? all : x);
    keep(b_.node(op, {v},
                 {{"axes", Ints{1}},
                  {"stride", Ints{s.stride}},
                  {"dilation", Ints{s.dilation}},
                  {"shape", back ? x : all}}),
         !back && is_exact(v));
  }

  // ---- Views ----
  bool view(Op op) {
    const Value v = any();
    const bool was_exact = is_exact(v);
    const Shape s = shape_of(v);
    if (op == Op::broadcast) {
      Shape to;
      Ints dims;
      for (const Dim& d : s) {
        if (chance(30)) to.push_back(dim());
        dims.push_back(static_cast<std::int64_t>(to.size()));
        to.push_back(d == Dim(1) && chance(50) ? dim() : d);
      }
      if (chance(40) || s.empty()) to.push_back(dim());
      if (!fits(to) || to.size() > 4) return false;
      keep(b_.broadcast(v, to, dims), was_exact);
      return true;
    }
    if (s.empty()) return false;
    const int axis = below(rank(v));
    const auto at = static_cast<std::size_t>(axis);
    if (op == Op::reshape) {
      keep(b_.reshape(v, reshaped(s)), was_exact);
    } else if (op == Op::transpose) {
      Ints perm(s.size());
      std::iota(perm.begin(), perm.end(), 0);
      std::shuffle(perm.begin(), perm.end(), random_);
      keep(b_.transpose(v, perm), was_exact);
    } else if (op == Op::reverse) {
      keep(b_.node(op, {v}, {{"axes", some_axes(rank(v))}}), was_exact);
    } else if (op == Op::concat) {
      const Value w = of_shape(s);
      std::vector<Value> parts{v, w};
      if (chance(30)) parts.push_back(v);
      keep(b_.node(op, parts, {{"axis", std::int64_t{axis}}}), was_exact && is_exact(w));
    } else if (op == Op::pad) {
      Shape low(s.size(), 0), high(s.size(), 0);
      low[at] = chance(10) ? kN : Dim(below(3));
      high[at] = below(3);
      const Value filler =
          chance(50) ? b_.scalar(element_, 0.5) : b_.reduce(Op::reduce_sum, v, all_axes(v));
      keep(b_.node(op, {v, filler}, {{"low", low}, {"high", high}}));
    } else {
      if (!s[at].is_constant()) return false;
      const int extent = static_cast<int>(s[at].value());
      const int begin = below(extent), step = below(2) + 1;
      Ints begins(s.size(), 0), steps(s.size(), 1);
      Shape to = s;
      begins[at] = begin;
      steps[at] = step;
      to[at] = below((extent - 1 - begin) / step + 1) + 1;
      keep(b_.node(Op::slice, {v}, {{"begin", begins}, {"step", steps}, {"shape", to}}), was_exact);
    }
    return true;
  }

  /// The same elements: all flat, two axes merged, an axis of 1 more or less, or one axis split.
  Shape reshaped(const Shape& s) {
    Shape to = s;
    const int at = below(static_cast<int>(s.size()));
    const auto here = to.begin() + at;
    switch (below(5)) {
      case 0:
        return {element_count(s)};
      case 1:
        to.insert(here, Dim(1));
        return to;
      case 2:
        if (*here == Dim(1)) to.erase(here);
        return to;
      case 3:
        if (here + 1 == to.end()) return to;
        *here = *here * *(here + 1);
        to.erase(here + 1);
        return to;
      default:
        for (const std::int64_t by : {2, 3, 5})
          if (const auto rest = here->exact_div(Dim(by)); rest && !(*rest == Dim(0))) {
            *here = *rest;
            to.insert(here + 1, Dim(by));
            return to;
          }
        return to;
    }
  }

  // ---- Scans ----
  /// Over axis 0 of a value: up to two carried values, of which one may only add up, and yields
  /// that are the carried value before or after the turn, or something else.
  bool scan() {
    Value xs = any();
    for (int tries = 0; tries < 20 && (rank(xs) == 0 || rank(xs) > 3); ++tries) xs = any();
    if (rank(xs) == 0 || rank(xs) > 3) return false;
    Shape s = shape_of(xs);
    const Dim length = s[0];
    s.erase(s.begin());
    const bool mixes = !s.empty() && s.back().is_constant() && chance(60), adds = chance(50),
               inner = !s.empty() && chance(25);
    // Whether it runs at all depends on N alone: finite differences have no jumps.
    const bool conditional = chance(30);
    std::vector<Value> operands{of_shape(s)};
    if (adds) operands.push_back(of_shape({}));
    operands.push_back(xs);
    const Value w = of_shape(s);
    operands.push_back(w);
    if (mixes) operands.push_back(of_shape({s.back(), s.back()}));
    Graph body;
    body.name = "body";
    GraphBuilder b(body);
    b.set_loc(b_.loc());
    const Value h = b.input("h", InputKind::Carried, {element_, s});
    const Value sum = adds ? b.input("sum", InputKind::Carried, {element_, {}}) : Value{};
    const Value x = b.input("x", InputKind::Scanned, {element_, s});
    const Value c = b.input("c", InputKind::Captured, {element_, s});
    Value next = chance(50) ? b.mul(h, c) : b.add(h, c);
    if (mixes) {
      const Value m = b.input("m", InputKind::Captured, {element_, {s.back(), s.back()}});
      const std::string rows = std::string("pqr").substr(0, s.size() - 1);
      next = b.contract(h, m, rows + "i", "ij", rows + "j");
    }
    if (inner) next = b.add(next, b.broadcast(inner_scan(b, x), s, {}));
    next = b.node(chance(50) ? Op::tanh : Op::sigmoid, {b.add(next, x)});
    if (chance(20)) next = b.mul(x, c);  // the turns are apart
    b.output("h", OutputKind::Carry, next);
    Ints axes(s.size());
    std::iota(axes.begin(), axes.end(), 0);
    if (adds)
      b.output("sum", OutputKind::Carry,
               b.add(sum, b.reduce(Op::reduce_sum, b.mul(next, c), axes)));
    if (conditional) {
      b.input("condition", InputKind::Condition, {E::Bool, {}});
      operands.push_back(
          b_.node(chance(50) ? Op::lt : Op::le, {b_.scalar(E::I32, 6), b_.dim_value(kN, E::I32)}));
      if (chance(50)) operands.back() = b_.node(Op::logical_not, {operands.back()});
    }
    if (!conditional && chance(60)) b.output("after", OutputKind::Yield, next);
    if (!conditional && chance(40)) b.output("before", OutputKind::Yield, h);
    if (!conditional && chance(40))
      b.output("other", OutputKind::Yield, b.mul(b.node(Op::sin, {h}), x));
    if (!conditional && chance(20)) b.output("given", OutputKind::Yield, x);
    const std::size_t results = body.outputs.size();
    const Value all = make_scan(b_, std::move(body), operands, length, chance(40));
    if (chance(25)) g_[all].attrs["checkpoint"] = std::int64_t{1};
    bool any_kept = false;
    for (std::size_t k = 0; k < results; ++k)
      if (chance(70) || (!any_kept && k + 1 == results)) {
        keep(part(b_, all, k));
        any_kept = true;
      }
    return true;
  }
  /// Over axis 0 of `x`, inside another one's body: a number.
  Value inner_scan(GraphBuilder& b, Value x) {
    const Shape shape = b.type(x).shape;
    Graph body;
    GraphBuilder inside(body);
    const Value t = inside.input("t", InputKind::Carried, {element_, {}});
    const Value y =
        inside.input("y", InputKind::Scanned, {element_, Shape(shape.begin() + 1, shape.end())});
    Ints axes(shape.size() - 1);
    std::iota(axes.begin(), axes.end(), 0);
    const Value more = inside.node(Op::tanh, {inside.reduce(Op::reduce_sum, y, axes)});
    inside.output("t", OutputKind::Carry,
                  inside.node(Op::sin, {inside.add(t, inside.mul(more, t))}));
    return part(
        b, make_scan(b, std::move(body), {b.scalar(element_, 0.5), x}, shape[0], chance(50)), 0);
  }

  bool indexed(Op op) {
    const Value index = one_of(ints_);
    const Type type = g_.type(index);
    if (type.rank() > 2) return false;
    if (op == Op::gather) {
      const Value v = any();
      if (rank(v) == 0 || rank(v) + type.rank() > 5) return false;
      const int axis = below(rank(v));
      keep(b_.node(op, {v, index}, {{"axis", std::int64_t{axis}}}), is_exact(v));
      return true;
    }
    if (op == Op::scatter) {
      const Value v = any();
      if (rank(v) == 0 || rank(v) + type.rank() > 5) return false;
      const int axis = below(rank(v));
      Shape s = shape_of(v);
      s.erase(s.begin() + axis);
      s.insert(s.begin() + axis, type.shape.begin(), type.shape.end());
      if (!fits(s)) return false;
      keep(b_.node(op, {v, index, of_shape(s)}, {{"axis", std::int64_t{axis}}}));
      return true;
    }
    Shape s;
    const int axis = below(2);
    for (int k = 0; k < axis; ++k) s.push_back(dim());
    s.insert(s.end(), type.shape.begin(), type.shape.end());
    if (chance(50)) s.push_back(dim());
    if (!fits(s)) return false;
    keep(b_.node(op, {index, of_shape(s)}, {{"axis", std::int64_t{axis}}, {"size", Shape{dim()}}}));
    return true;
  }

  // ---- Reductions and contractions ----
  bool reduce(Op op) {
    if (op == Op::argmax || op == Op::argmin) {
      const Value v = chance(20) ? one_of(ints_) : exact();
      if (rank(v) == 0) return false;
      keep(b_.node(op, {v}, {{"axis", std::int64_t{below(rank(v))}}}));
      return true;
    }
    if (chance(15)) {
      const Value v = one_of(ints_);
      if (rank(v) == 0) return false;
      keep(b_.reduce(op, v, some_axes(rank(v))));
      return true;
    }
    Value v = any();
    if (rank(v) == 0) return false;
    if (op == Op::reduce_prod) v = positive(v);
    keep(sometimes_bounded(b_.reduce(op, v, some_axes(rank(v)))));
    return true;
  }

  void contract() {
    const Value x = any();
    std::string lhs, rhs, out;
    Shape s;
    char letter = 'a';
    for (const Dim& d : shape_of(x)) {
      const int role = below(3);  // kept from x, summed, or in all three
      lhs += letter;
      if (role > 0) rhs += letter, s.push_back(d);
      if (role != 1) out += letter;
      ++letter;
    }
    for (int k = below(2) + (rhs.empty() ? 1 : 0); k-- > 0; ++letter) {
      rhs += letter;
      out += letter;
      s.push_back(dim());
    }
    if (!fits(s)) return;
    std::vector<std::size_t> order(s.size());
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random_);
    Shape shuffled;
    std::string letters;
    for (const std::size_t k : order) shuffled.push_back(s[k]), letters += rhs[k];
    if (chance(50)) std::shuffle(out.begin(), out.end(), random_);
    const Value y = of_shape(shuffled);
    keep(sometimes_bounded(b_.contract(x, y, lhs, letters, out)));
  }

  // ---- Outputs ----
  void finish() {
    b_.set_loc({"model.dl", 99, 1});
    Value loss = b_.scalar(element_, 0);
    const std::vector<std::uint32_t> uses = g_.use_counts();
    for (const Value v : std::vector<Value>(floats_)) {
      const bool unused = uses[v.id] == 0;
      if (!unused && chance(75)) continue;
      const Value weighted = b_.mul(bounded(v), b_.splat(Type(g_.type(v)), (below(8) + 1) / 8.0));
      loss = b_.add(loss, b_.reduce(Op::reduce_sum, weighted, all_axes(weighted)));
    }
    g_[loss].name = "loss";
    b_.output("loss", OutputKind::Loss, loss);
    b_.output("float", OutputKind::Output, any());
    b_.output("int", OutputKind::Metric, one_of(ints_));
    if (!bools_.empty()) b_.output("bool", OutputKind::Output, one_of(bools_));
    if (chance(30)) b_.output("float", OutputKind::Watch, any());
    for (const GraphInput& in : std::vector<GraphInput>(g_.inputs)) {
      if (in.kind != InputKind::Param && in.kind != InputKind::State) continue;
      if (chance(40)) b_.output(in.name, OutputKind::Update, updated(in));
    }
  }

  /// Usually a step from the old value, along a value that may have another shape; sometimes such a
  /// value as it is.
  Value updated(const GraphInput& in) {
    const Shape s = shape_of(in.value);
    if (chance(20))
      for (const GraphInput& other : g_.inputs)
        if (g_.type(other.value) == g_.type(in.value)) return other.value;
    std::vector<Value> as_many;
    for (const Value v : floats_)
      if (element_count(shape_of(v)) == element_count(s)) as_many.push_back(v);
    const Value by = b_.reshape(one_of(as_many), s);
    if (chance(20)) return by;
    return b_.sub(in.value, b_.mul(by, b_.splat(Type(g_.type(by)), 0.125)));
  }

  Value seed_, step_;
};

}  // namespace

Graph random_graph(unsigned seed, E element) {
  Graph g;
  g.name = "random" + std::to_string(seed);
  Generator(g, seed, element).run();
  return g;
}

std::map<std::string, Literal> random_inputs(const Graph& g, int symbol, unsigned seed) {
  std::map<std::string, Literal> values = sample_values(g, -1, 1, symbol, seed);
  std::mt19937 random(seed);
  for (auto& [name, l] : values)
    for (std::int64_t& v : l.i)
      v = static_cast<std::int64_t>(random() % 9) - (name == "bytes" ? 0 : 2);
  return values;
}
