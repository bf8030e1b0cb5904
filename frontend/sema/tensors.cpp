// Tensors: nodes with their checks, conversion of static values, operators with promotion and
// broadcasting.
#include <algorithm>
#include <cmath>

#include "frontend/sema/evaluator.h"
#include "ir/graph/gradient_path.h"
#include "ir/op_def.h"

namespace dlc::sema {

namespace {

constexpr std::size_t kMaxNodes = 100'000;

/// Where promotion leads: u8 < i32 < i64 < bf16, f16 < f32 < f64. bool is no number.
int rank_of(ElementType t) {
  switch (t) {
    case ElementType::Bool:
      return -1;
    case ElementType::U8:
      return 0;
    case ElementType::I32:
      return 1;
    case ElementType::I64:
      return 2;
    case ElementType::F16:
    case ElementType::BF16:
      return 3;
    case ElementType::F32:
      return 4;
    case ElementType::F64:
      return 5;
  }
  return 5;
}

struct Scan {
  std::vector<std::int64_t> shape;
  bool floats = false, bools = false, numbers = false, good = true;
  double least = 0, most = 0;
};

/// The shape and the kind of entries of a nested list.
void scan(const Val& v, std::size_t depth, Scan& s, bool first) {
  if (const List* l = v.list()) {
    if (first && depth == s.shape.size())
      s.shape.push_back(static_cast<std::int64_t>(l->items.size()));
    if (depth >= s.shape.size() || s.shape[depth] != static_cast<std::int64_t>(l->items.size())) {
      s.good = false;
      return;
    }
    for (std::size_t k = 0; k < l->items.size() && s.good; ++k)
      scan(l->items[k], depth + 1, s, first && k == 0);
    return;
  }
  if (depth != s.shape.size()) s.good = false;
  s.bools = s.bools || v.get<bool>();
  s.floats = s.floats || v.get<double>();
  s.numbers = s.numbers || is_static_number(v);
  const auto n = number(v);
  if (!v.get<bool>() && !n) s.good = false;
  if (n) {
    s.least = std::min(s.least, *n);
    s.most = std::max(s.most, *n);
  }
}

void fill(const Val& v, Literal& l, std::int64_t& at) {
  if (const List* list = v.list()) {
    for (const Val& item : list->items) fill(item, l, at);
    return;
  }
  const Dim* d = v.get<Dim>();
  const auto k = static_cast<std::size_t>(at++);
  if (!is_float(l.element) && d) {
    l.i[k] = d->value();
    return;
  }
  l.set(static_cast<std::int64_t>(k), v.get<bool>() ? (*v.get<bool>() ? 1.0 : 0.0) : *number(v));
}

/// Whether a static number keeps its value in the type.
bool fits(double v, ElementType t) {
  if (is_float(t)) return true;
  if (t == ElementType::Bool) return false;
  if (v != std::floor(v)) return false;
  if (t == ElementType::U8) return v >= 0 && v <= 255;
  if (t == ElementType::I32) return std::abs(v) < 0x1p31;
  return std::abs(v) < 0x1p62;
}

bool holds_tensor(const Val& v) {
  if (v.get<TensorRef>()) return true;
  const List* l = v.list();
  return l && std::any_of(l->items.begin(), l->items.end(), holds_tensor);
}

}  // namespace

// ---- Origins of extents ----

const DimOrigin& Evaluator::origin(const Program& p, Value v, int axis) const {
  static const DimOrigin none;
  if (v.id >= p.origins.size()) return none;
  const auto& list = p.origins[v.id];
  return static_cast<std::size_t>(axis) < list.size() ? list[static_cast<std::size_t>(axis)] : none;
}

std::vector<Label> Evaluator::origin_labels(const Program& p, Value v, int axis) const {
  const DimOrigin& o = origin(p, v, axis);
  return o.span.known() ? std::vector<Label>{{o.span, o.text}} : std::vector<Label>{};
}

std::string Evaluator::describe_shape(const Program& p, Value v) const {
  const Type& type = p.type(v);
  std::string out = std::string(name(type.element)) + "[";
  for (int k = 0; k < type.rank(); ++k) {
    const std::string d = type.shape[static_cast<std::size_t>(k)].str();
    const std::string& n = origin(p, v, k).name;
    out += fmt::format("{}{}{}", k ? ", " : "", n.empty() || n == d ? "" : n + " = ", d);
  }
  return out + "]";
}

// ---- Nodes ----

Val Evaluator::emit(Program& p, Op op, std::vector<Value> operands, Attrs attrs, Span span) {
  if (p.graph.nodes.size() >= kMaxNodes) {
    stopped_ = true;
    return report(Diag::too_much_work, span,
                  fmt::format("the graph of the model has more than {} nodes", kMaxNodes),
                  "a static `for` unrolls: every turn becomes nodes of the graph");
  }
  std::vector<Type> types;
  for (const Value v : operands) types.push_back(p.type(v));
  const Inferred inferred = infer_type(op, types, attrs);
  if (!inferred.type) return report(Diag::bad_operands, span, inferred.error);
  if (inferred.type->shape.size() > kMaxRank)
    return report(Diag::too_large, span, fmt::format("a tensor has at most {} axes", kMaxRank));
  p.b.set_loc(loc(span));
  const Value v = p.b.node(op, operands, std::move(attrs));
  // An axis keeps its origin where an operand has the same extent, at the same place if there is.
  p.origins.resize(p.graph.nodes.size());
  p.spans.resize(p.graph.nodes.size());
  p.spans[v.id] = span;
  const Type& type = p.type(v);
  std::vector<DimOrigin>& origins = p.origins[v.id];
  origins.resize(type.shape.size());
  for (int k = 0; k < type.rank(); ++k) {
    const Dim& d = type.shape[static_cast<std::size_t>(k)];
    for (const bool same_place : {true, false})
      for (const Value o : operands) {
        const Type& from = p.type(o);
        for (int a = 0; a < from.rank() && !origins[static_cast<std::size_t>(k)].span.known(); ++a)
          if (from.shape[static_cast<std::size_t>(a)] == d &&
              (!same_place || from.rank() - a == type.rank() - k))
            origins[static_cast<std::size_t>(k)] = origin(p, o, a);
      }
    if (!origins[static_cast<std::size_t>(k)].span.known() && op == Op::reshape &&
        !(type.shape[static_cast<std::size_t>(k)] == Dim(1))) {
      // Which axes were joined: "28 x 28 flattened is 784".
      const Type& from = p.type(operands[0]);
      for (std::size_t a = 0; a < from.shape.size(); ++a) {
        Dim product = from.shape[a];
        std::string text = product.str();
        for (std::size_t z = a + 1; z < from.shape.size() && !(product == d); ++z) {
          product = product * from.shape[z];
          text += " x " + from.shape[z].str();
        }
        if (product == d && text != d.str()) {
          origins[static_cast<std::size_t>(k)] = {visible(span), "",
                                                  fmt::format("{} flattened is {}", text, d.str())};
          break;
        }
      }
    }
  }
  return p.ref(v);
}

Value Evaluator::converted(Program& p, Value v, ElementType t) {
  if (p.type(v).element == t) return v;
  const Loc where = p.b.loc();
  const Value r = p.b.convert(v, t);
  p.b.set_loc(where);
  p.origins.resize(p.graph.nodes.size());
  p.origins[r.id] = v.id < p.origins.size() ? p.origins[v.id] : std::vector<DimOrigin>{};
  return r;
}

bool Evaluator::check_gradient(Program& p, Value y, Value x, Span span, const std::string& what) {
  const std::vector<GradientObstacle> obstacles = find_gradient_obstacles(p.graph, y, x);
  for (const GradientObstacle& o : obstacles) {
    const Span where = o.node.id < p.spans.size() ? p.spans[o.node.id] : Span{};
    report(Diag::not_differentiable, where.known() ? where : span,
           fmt::format("{} cannot flow through `{}`: {}", what, op_name(p.graph[o.node].op), o.why),
           "`stop_gradient(...)` says that nothing shall flow here",
           where.known() ? std::vector<Label>{{span, "asked for here"}} : std::vector<Label>{});
  }
  return obstacles.empty();
}

// ---- Static values as tensors ----

std::optional<Value> Evaluator::tensor(Program& p, const Val& v, Span span,
                                       std::optional<ElementType> like) {
  if (v.poisoned()) return std::nullopt;
  p.b.set_loc(loc(span));
  if (const auto* t = v.get<TensorRef>()) {
    if (t->program == &p) return t->value;
    report(Diag::run_time_initial_value, span,
           "an initial value cannot depend on what the model computes",
           "it is computed once, before anything runs: from numbers, sizes and random numbers");
    return std::nullopt;
  }
  if (const bool* b = v.get<bool>()) return p.b.scalar(ElementType::Bool, *b ? 1 : 0);
  if (const Dim* d = v.get<Dim>(); d && !d->is_constant()) {
    const ElementType t =
        like && *like != ElementType::Bool && *like != ElementType::U8 ? *like : ElementType::I64;
    return p.b.dim_value(*d, t);
  }
  if (const auto n = number(v)) {
    const bool is_integer_literal = v.get<Dim>() != nullptr;
    ElementType t = is_integer_literal
                        ? (fits(*n, ElementType::I32) ? ElementType::I32 : ElementType::I64)
                        : default_float_;
    if (like && fits(*n, *like)) t = *like;
    Literal l = Literal::scalar(t, *n);
    if (!is_float(t) && is_integer_literal) l.i[0] = v.get<Dim>()->value();
    return p.b.constant(std::move(l));
  }
  if (v.list()) {
    if (holds_tensor(v)) {
      report(Diag::bad_operands, span, "a list of tensors is no tensor",
             "`concat(list, axis: 0)` joins tensors along an axis");
      return std::nullopt;
    }
    Scan s;
    scan(v, 0, s, true);
    if (!s.good || (s.bools && s.numbers)) {
      report(Diag::ragged_list, span,
             "this list is no tensor: its parts differ in length or are no numbers",
             "every row needs as many numbers as the first");
      return std::nullopt;
    }
    if (!charge(v.list()->entries, span)) return std::nullopt;
    const auto all_fit = [&](ElementType e) { return fits(s.least, e) && fits(s.most, e); };
    ElementType t = s.bools                     ? ElementType::Bool
                    : s.floats                  ? default_float_
                    : all_fit(ElementType::I32) ? ElementType::I32
                                                : ElementType::I64;
    if (like && !s.bools && is_float(*like)) t = *like;
    if (like && !s.bools && !s.floats && is_integer(*like) && all_fit(*like)) t = *like;
    Literal l = Literal::zeros(t, s.shape);
    std::int64_t at = 0;
    fill(v, l, at);
    l.round();
    const Value c = p.b.constant(std::move(l));
    p.origins.resize(p.graph.nodes.size());
    for (const std::int64_t d : s.shape)
      p.origins[c.id].push_back({span, "", fmt::format("the list has {} here", d)});
    return c;
  }
  if (const auto* table = v.get<std::shared_ptr<const Table>>()) {
    const Table& from = **table;
    const Val whole = data_file(from.reader, from.paths, from.options, span, p);
    if (const auto* t = whole.get<TensorRef>()) return t->value;
    return std::nullopt;
  }
  if (const Function* f = v.function(); f && f->def->kind == ast::CallableKind::Fn) {
    report(Diag::not_a_tensor, span,
           fmt::format("`{}` lacks its shape here: it gives initial values of something declared",
                       f->def->name.text),
           fmt::format("declare the shape: `x: f32[1000, 2] = {}(...)`", f->def->name.text));
    return std::nullopt;
  }
  std::string hint;
  if (const Function* f = v.function(); f && f->def->kind == ast::CallableKind::Layer)
    hint = fmt::format("apply it: `x |> {0}{1}` or `{0}{1}(x)`", f->def->name.text,
                       f->def->has_config ? "(...)" : "");
  report(Diag::not_a_tensor, span, fmt::format("a tensor is expected, this is {}", describe(v)),
         hint);
  return std::nullopt;
}

std::optional<Value> Evaluator::value_of_type(Program& p, const Val& v, const Type& type, Span span,
                                              Frame& f, Span type_span) {
  if (v.poisoned()) return std::nullopt;
  if (const Function* fn = v.function(); fn && fn->def->kind == ast::CallableKind::Fn &&
                                         !fn->def->tensors.empty() &&
                                         fn->def->tensors[0].name.text == "shape") {
    if (fn->def->has_config && !fn->configured && !has_arguments(*fn, fn->def->config, "", span))
      return std::nullopt;
    if (!has_arguments(*fn, fn->def->tensors, "shape", span)) return std::nullopt;
    Arguments given = fn->def->has_config ? Arguments{} : fn->given;
    given["shape"] = {shape_value(type), span};
    const auto outer = p.wanted;
    // 16-bit floats are computed in the default float and rounded at last.
    p.wanted = is_16_bit_float(type.element) ? default_float_ : type.element;
    const Val made = call_body(*fn, std::move(given), fn->span, f);
    const auto result = value_of_type(p, made, type, span, f, type_span);
    p.wanted = outer;
    return result;
  }
  const auto t = tensor(p, v, span, type.element);
  if (!t) return std::nullopt;
  Value value = *t;
  const ElementType from = p.type(value).element;
  if (from != type.element) {
    const bool may =
        p.wanted || (is_float(type.element) && is_integer(from)) ||
        (is_integer(type.element) && is_integer(from) && rank_of(from) < rank_of(type.element));
    if (!may) {
      report(Diag::element_type_mismatch, span,
             fmt::format("the value is {}, {} is declared", p.type(value).str(), type.str()),
             fmt::format("`{}(...)` converts", name(type.element)), {{type_span, "declared here"}});
      return std::nullopt;
    }
    value = converted(p, value, type.element);
  }
  if (p.type(value).rank() == 0 && !type.shape.empty())
    return p.b.broadcast_trailing(value, type.shape);
  if (!(p.type(value).shape == type.shape)) {
    report(Diag::shape_mismatch, span,
           fmt::format("the value is {}, {} is declared", describe_shape(p, value), type.str()), "",
           {{type_span, "declared here"}});
    return std::nullopt;
  }
  return value;
}

// ---- Operators ----

std::optional<std::pair<Value, Value>> Evaluator::broadcast(Program& p, Value a, Span a_span,
                                                            Value b, Span b_span, Span op_span) {
  const Shape x = p.type(a).shape, y = p.type(b).shape;
  const std::size_t rank = std::max(x.size(), y.size());
  Shape shape(rank);
  for (std::size_t back = 1; back <= rank; ++back) {
    const Dim one(1);
    const Dim& m = back <= x.size() ? x[x.size() - back] : one;
    const Dim& n = back <= y.size() ? y[y.size() - back] : one;
    // A vector [N] against a column [N, 1] would make all N x N pairs: hardly ever what is meant.
    const bool column =
        !(m == n) && !(m.is_constant() && n.is_constant()) && x.size() != y.size() &&
        (m == one ? std::count(x.begin(), x.end(), n) > 0 && x.size() > y.size()
                  : n == one && std::count(y.begin(), y.end(), m) > 0 && y.size() > x.size());
    if ((!(m == n) && !(m == one) && !(n == one)) || column) {
      std::vector<Label> labels =
          origin_labels(p, a, static_cast<int>(x.size()) - static_cast<int>(back));
      const std::vector<Label> more =
          origin_labels(p, b, static_cast<int>(y.size()) - static_cast<int>(back));
      labels.insert(labels.end(), more.begin(), more.end());
      std::string hint = "axes are compared from the last; they must be equal, or one of them 1";
      if (column)
        hint = fmt::format("a column and a vector: make both columns, `reshape(v, [{}, 1])`",
                           (m == one ? n : m).str());
      if (!column && y.size() == 1 && x.size() == 2 && x[0] == y[0])
        hint = fmt::format("for one value per row make a column of it: reshape(..., [{}, 1])",
                           y[0].str());
      report(Diag::broadcast_mismatch, op_span,
             fmt::format("the shapes {} and {} do not fit: {} against {}", describe_shape(p, a),
                         describe_shape(p, b), m.str(), n.str()),
             hint, std::move(labels),
             {fmt::format("left:  `{}` is {}", sources_.text(a_span), describe_shape(p, a)),
              fmt::format("right: `{}` is {}", sources_.text(b_span), describe_shape(p, b))});
      return std::nullopt;
    }
    shape[rank - back] = m == one ? n : m;
  }
  if (!within({p.type(a).element, shape}, 40, op_span)) return std::nullopt;
  const auto stretched = [&](Value v) {
    const Value r = p.b.broadcast_trailing(v, shape);
    if (r == v) return r;
    p.origins.resize(p.graph.nodes.size());
    auto& origins = p.origins[r.id];
    origins.resize(rank);
    const Type& from = p.type(v);
    for (int k = 0; k < from.rank(); ++k)
      if (from.shape[static_cast<std::size_t>(k)] ==
          shape[rank - from.shape.size() + static_cast<std::size_t>(k)])
        origins[rank - from.shape.size() + static_cast<std::size_t>(k)] = origin(p, v, k);
    return r;
  };
  const Value left = stretched(a);
  return std::pair(left, stretched(b));
}

std::optional<std::pair<Value, Value>> Evaluator::promoted(Program& p, const Bound& a,
                                                           const Bound& b, bool real, Span span,
                                                           std::optional<ElementType> otherwise) {
  const auto element = [&](const Val& v) -> std::optional<ElementType> {
    if (const auto* t = v.get<TensorRef>(); t && t->program == &p) return p.type(t->value).element;
    return std::nullopt;
  };
  const auto ea = element(a.value), eb = element(b.value);
  const auto x = tensor(p, a.value, a.span, eb ? eb : otherwise),
             y = tensor(p, b.value, b.span, ea ? ea : otherwise);
  if (!x || !y) return std::nullopt;
  const ElementType tx = p.type(*x).element, ty = p.type(*y).element;
  ElementType common = rank_of(tx) >= rank_of(ty) ? tx : ty;
  // Neither 16-bit float holds the other.
  if (tx != ty && rank_of(tx) == rank_of(ty)) common = default_float_;
  if (real && is_integer(common)) common = default_float_;
  p.b.set_loc(loc(span));
  // Only bool with bool has a common type without numbers; the caller says what is wrong.
  if ((tx == ElementType::Bool) != (ty == ElementType::Bool)) return std::pair(*x, *y);
  return std::pair(converted(p, *x, common), converted(p, *y, common));
}

Val Evaluator::tensor_binary(const std::string& op, const Bound& a, const Bound& b, Span span,
                             Span op_span, Program& p) {
  // Integers divide into real numbers; `//` keeps integers.
  const auto operands = promoted(p, a, b, op == "/" || op == "@" || op == "^", span);
  if (!operands) return Poison{};
  auto [left, right] = *operands;
  // A product of 16-bit floats is one of the default floats.
  if (op == "@" && is_16_bit_float(p.type(left).element) && default_float_ == ElementType::F64) {
    left = converted(p, left, default_float_);
    right = converted(p, right, default_float_);
  }
  const bool logic = op == "and" || op == "or";
  const bool equality = op == "==" || op == "!=";
  const bool left_bool = p.type(left).element == ElementType::Bool;
  const bool right_bool = p.type(right).element == ElementType::Bool;
  const bool both_bool = left_bool && right_bool;
  if (logic ? !both_bool : (left_bool || right_bool) && !(both_bool && equality))
    return report(
        Diag::bad_operands, span,
        fmt::format("`{}` cannot join {} and {}", op, p.type(left).str(), p.type(right).str()),
        logic ? "conditions are bool: compare first, `x != 0`"
              : "`f32(condition)` makes numbers 0 and 1 of a condition");
  if (op == "@") return matmul(p, left, a.span, right, b.span, op_span);
  const auto both = broadcast(p, left, a.span, right, b.span, op_span);
  if (!both) return Poison{};
  const auto [l, r] = *both;
  if (op == "+") return emit(p, Op::add, {l, r}, {}, span);
  if (op == "-") return emit(p, Op::sub, {l, r}, {}, span);
  if (op == "*") return emit(p, Op::mul, {l, r}, {}, span);
  if (op == "/") return emit(p, Op::div, {l, r}, {}, span);
  if (op == "%") return emit(p, Op::rem, {l, r}, {}, span);
  if (op == "^") return emit(p, Op::pow, {l, r}, {}, span);
  if (op == "==") return emit(p, Op::eq, {l, r}, {}, span);
  if (op == "!=") return emit(p, Op::ne, {l, r}, {}, span);
  if (op == "<") return emit(p, Op::lt, {l, r}, {}, span);
  if (op == "<=") return emit(p, Op::le, {l, r}, {}, span);
  if (op == ">") return emit(p, Op::lt, {r, l}, {}, span);
  if (op == ">=") return emit(p, Op::le, {r, l}, {}, span);
  if (op == "and") return emit(p, Op::logical_and, {l, r}, {}, span);
  if (op == "or") return emit(p, Op::logical_or, {l, r}, {}, span);
  DLC_CHECK(op == "//", "no rule for the operator {}", op);
  const Val quotient = emit(p, Op::div, {l, r}, {}, span);
  const auto* q = quotient.get<TensorRef>();
  return q && is_float(p.type(l).element) ? emit(p, Op::floor, {q->value}, {}, span) : quotient;
}

/// x @ w sums over the last axis of x and the last but one of w (the only one of a vector); leading
/// axes are kept on the left, and batched where both have them.
Val Evaluator::matmul(Program& p, Value a, Span a_span, Value b, Span b_span, Span op_span) {
  const Type ta = p.type(a), tb = p.type(b);
  const Span span = join(a_span, b_span);
  if (ta.rank() == 0 || tb.rank() == 0)
    return report(Diag::matmul_of_scalar, span,
                  fmt::format("`@` multiplies matrices, these are {} and {}", ta.str(), tb.str()),
                  "`*` multiplies element by element");
  const auto na = static_cast<std::size_t>(ta.rank()), nb = static_cast<std::size_t>(tb.rank());
  const std::size_t inner_b = nb == 1 ? 0 : nb - 2;
  const Dim &m = ta.shape[na - 1], &n = tb.shape[inner_b];
  if (!(m == n)) {
    std::vector<Label> labels = origin_labels(p, a, static_cast<int>(na) - 1);
    const std::vector<Label> more = origin_labels(p, b, static_cast<int>(inner_b));
    labels.insert(labels.end(), more.begin(), more.end());
    const std::string& text = origin(p, a, static_cast<int>(na) - 1).text;
    std::string hint;
    if (text.find("flattened") != std::string::npos)
      hint = fmt::format("{}, the right side expects {}", text, n.str());
    else if (nb == 2 && tb.shape[1] == m)
      hint = fmt::format("transposed it would fit: `transpose({})`", sources_.text(b_span));
    else if (na == 2 && ta.shape[0] == n)
      hint = fmt::format("transposed it would fit: `transpose({})`", sources_.text(a_span));
    return report(Diag::matmul_mismatch, op_span,
                  fmt::format("`@` cannot multiply {} by {}: the inner dimensions {} and {} differ",
                              describe_shape(p, a), describe_shape(p, b), m.str(), n.str()),
                  hint, std::move(labels),
                  {fmt::format("left:  `{}` is {}", sources_.text(a_span), describe_shape(p, a)),
                   fmt::format("right: `{}` is {}", sources_.text(b_span), describe_shape(p, b))});
  }
  // Letters: batch axes that both have, rows of a, columns of b.
  const std::size_t batch_b = nb > 2 ? nb - 2 : 0;
  const std::size_t batch_a = na > 2 ? na - 2 : 0;
  std::string la, lb, out;
  char next = 'a';
  if (batch_b > 0) {
    if (batch_a != batch_b ||
        !std::equal(ta.shape.begin(), ta.shape.begin() + static_cast<std::ptrdiff_t>(batch_a),
                    tb.shape.begin()))
      return report(Diag::matmul_mismatch, op_span,
                    fmt::format("`@` cannot multiply {} by {}: the leading dimensions differ",
                                describe_shape(p, a), describe_shape(p, b)),
                    "a product of stacks of matrices needs equal leading dimensions");
    for (std::size_t k = 0; k < batch_b; ++k) la += next++;
    lb = out = la;
  }
  for (std::size_t k = la.size(); k + 1 < na; ++k) {
    la += next;
    out += next++;
  }
  la += next;
  lb += next++;
  if (nb >= 2) {
    lb += next;
    out += next;
  }
  return emit(p, Op::contract, {a, b}, {{"lhs", la}, {"rhs", lb}, {"out", out}}, span);
}

}  // namespace dlc::sema
