#pragma once
// What random graphs are made of (random_graph.cpp). Values are drawn from pools: `floats_`
// (anything), `exact_` (floats that every implementation computes to the same bit), `ints_` and
// `bools_`; results join them.
#include <algorithm>
#include <numeric>
#include <random>

#include "ir/graph/builder.h"

namespace dlc {

class RandomValues {
 protected:
  using Ints = std::vector<std::int64_t>;

  RandomValues(Graph& g, unsigned seed, ElementType element)
      : g_(g), b_(g), random_(seed), element_(element) {}

  // ---- Chance ----
  int below(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
  bool chance(int percent) { return below(100) < percent; }
  template <class T>
  const T& one_of(const std::vector<T>& list) {
    return list[static_cast<std::size_t>(below(static_cast<int>(list.size())))];
  }
  Dim dim() {
    static const std::vector<Dim> dims{1, 2, 3, 4, 5, 7, 17, kN, kN, kN};
    return one_of(dims);
  }
  Shape shape(int rank) {
    Shape s;
    for (int k = 0; k < rank; ++k) s.push_back(dim());
    return fits(s) ? s : shape(rank);
  }
  /// With N = 5 and N = 37 the values stay small.
  static bool fits(const Shape& s) {
    int symbols = 0;
    std::int64_t constant = 1;
    for (const Dim& d : s) {
      if (!d.is_constant()) ++symbols;
      constant *= d.is_constant() ? std::max<std::int64_t>(d.value(), 1) : d.evaluate({{"N", 1}});
    }
    return symbols <= 2 && constant <= (symbols == 2 ? 12 : symbols == 1 ? 40 : 150);
  }

  // ---- Values ----
  Value fresh(Shape s, InputKind kind) {
    const Value v =
        b_.input("x" + std::to_string(g_.inputs.size()), kind, {element_, std::move(s)});
    g_[v].name = g_.inputs.back().name;
    floats_.push_back(v);
    exact_.push_back(v);
    return v;
  }
  Value any() { return one_of(floats_); }
  Value exact() { return one_of(exact_); }
  Shape shape_of(Value v) const { return g_.type(v).shape; }  // a copy: nodes move
  int rank(Value v) const { return g_.type(v).rank(); }

  /// A float of that shape: one that is there, a broadcast, or a new input.
  Value of_shape(const Shape& s, bool only_exact = false) {
    const std::vector<Value>& pool = only_exact ? exact_ : floats_;
    std::vector<Value> same, stretches;
    const auto stretch = [](const Dim& from, const Dim& to) {
      return from == to || from == Dim(1);
    };
    for (const Value v : pool) {
      const Shape from = shape_of(v);
      if (from == s)
        same.push_back(v);
      else if (from.size() <= s.size() &&
               std::equal(from.rbegin(), from.rend(), s.rbegin(), stretch))
        stretches.push_back(v);
    }
    if (!same.empty() && chance(70)) return one_of(same);
    if (!stretches.empty() && chance(60)) return b_.broadcast_trailing(one_of(stretches), s);
    if (chance(15)) return b_.splat({element_, s}, below(5) * 0.25 + 0.5);
    if (!same.empty()) return one_of(same);
    return fresh(Shape(s), InputKind::Param);
  }
  Value bounded(Value v) {
    static const std::vector<Op> ops{Op::tanh, Op::sigmoid};  // no error grows through them
    return b_.node(one_of(ops), {v});
  }
  Value sometimes_bounded(Value v) { return chance(40) ? bounded(v) : v; }
  Value positive(Value v) {
    return b_.add(b_.node(Op::sigmoid, {v}), b_.splat(Type(g_.type(v)), 0.5));
  }
  Value positive_exact(Value v) {
    return b_.add(b_.node(Op::abs, {v}), b_.splat(Type(g_.type(v)), 1.25));
  }
  Value bool_of(const Shape& s) {
    for (const Value v : bools_)
      if (shape_of(v) == s && chance(60)) return v;
    return b_.node(chance(50) ? Op::lt : Op::le, {of_shape(s, true), of_shape(s, true)});
  }
  /// Axes in increasing order, at least one.
  Ints some_axes(int of_rank) {
    Ints axes;
    for (int k = 0; k < of_rank; ++k)
      if (chance(50)) axes.push_back(k);
    if (axes.empty()) axes.push_back(below(of_rank));
    return axes;
  }
  Ints all_axes(Value v) {
    Ints axes(shape_of(v).size());
    std::iota(axes.begin(), axes.end(), 0);
    return axes;
  }
  static Attrs element_attr(ElementType e) { return {{"element", std::string(name(e))}}; }

  // ---- Results ----
  void keep(Value v, bool is_exact = false) {
    if (chance(30)) g_[v].name = "v" + std::to_string(v.id);
    const ElementType e = g_.type(v).element;
    if (!fits(shape_of(v))) {
      if (e != element_) return;
      v = b_.reduce(Op::reduce_sum, v, all_axes(v));
      is_exact = false;
    }
    if (e == ElementType::Bool)
      bools_.push_back(v);
    else if (e != element_)
      ints_.push_back(v);
    else
      floats_.push_back(v);
    if (e == element_ && is_exact) exact_.push_back(v);
  }

  bool is_exact(Value v) const {
    return std::find(exact_.begin(), exact_.end(), v) != exact_.end();
  }

  static inline const Dim kN = Dim::symbol("N");
  Graph& g_;
  GraphBuilder b_;
  std::mt19937 random_;
  ElementType element_;
  std::vector<Value> floats_, exact_, ints_, bools_;
};

}  // namespace dlc
