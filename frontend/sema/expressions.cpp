// Expressions: literals, names, and the operators on static values.
#include <cmath>
#include <limits>

#include "frontend/sema/evaluator.h"

namespace dlc::sema {

namespace {

constexpr int kMaxNesting = 1500;
constexpr std::int64_t kMaxWork = 5'000'000;
constexpr std::int64_t kMaxItems = std::int64_t{1} << 20;
// Of the polynomial that a dimension is.
constexpr std::size_t kMaxTerms = 32, kMaxDegree = 16;

bool is_comparison(const std::string& op) {
  return op == "==" || op == "!=" || op == "<" || op == "<=" || op == ">" || op == ">=";
}

template <class T>
bool compare(const std::string& op, const T& a, const T& b) {
  if (op == "==") return a == b;
  if (op == "!=") return !(a == b);
  if (op == "<") return a < b;
  if (op == "<=") return !(b < a);
  if (op == ">") return b < a;
  return !(a < b);
}

bool equal(const Val& a, const Val& b) {
  if (const auto x = number(a), y = number(b); x && y) return *x == *y;
  if (a.get<Dim>() && b.get<Dim>()) return *a.get<Dim>() == *b.get<Dim>();
  if (a.index() != b.index()) return false;
  if (a.get<bool>()) return *a.get<bool>() == *b.get<bool>();
  if (a.get<std::string>()) return *a.get<std::string>() == *b.get<std::string>();
  if (a.get<None>()) return true;
  if (const List* l = a.list(), *m = b.list(); l && m) {
    if (l->items.size() != m->items.size()) return false;
    for (std::size_t k = 0; k < l->items.size(); ++k)
      if (!equal(l->items[k], m->items[k])) return false;
    return true;
  }
  return false;
}

/// Whether no values of the symbols make them equal; sound, not complete.
bool certainly_different(const Dim& a, const Dim& b) {
  return a.provably_ge(b + Dim(1)) || b.provably_ge(a + Dim(1));
}

std::size_t degree(const Dim& d) {
  std::size_t most = 0;
  for (const auto& [m, c] : d.terms()) most = std::max(most, m.size());
  return most;
}

/// An upper bound of the coefficients, to see an overflow before it happens.
double magnitude(const Dim& d) {
  double sum = std::abs(static_cast<double>(d.constant()));
  for (const auto& [m, c] : d.terms()) sum += std::abs(static_cast<double>(c));
  return sum;
}

}  // namespace

Evaluator::Evaluator(const Sources& sources, Diagnostics& diagnostics, Definitions& definitions,
                     const FrontendOptions& options, ElementType default_float)
    : sources_(sources),
      diagnostics_(diagnostics),
      definitions_(definitions),
      options_(options),
      default_float_(default_float) {}

Span Evaluator::visible(Span span) const {
  return library_call_.known() && sources_.name(span.source).starts_with("std/") ? library_call_
                                                                                 : span;
}

Val Evaluator::report(Diag kind, Span span, std::string message, std::string hint,
                      std::vector<Label> labels, std::vector<std::string> notes) {
  ++reports_;
  // A mistake that shows inside the library was made where the library was called.
  if (span.known() && !(visible(span) == span)) {
    labels.push_back({span, "this is where it shows, in the library"});
    span = visible(span);
  }
  diagnostics_.report(
      {kind, span, std::move(message), std::move(labels), std::move(notes), std::move(hint)});
  return Poison{};
}

Val Evaluator::eval(const ast::Expr& e, Frame& f) {
  if (stopped_) return Poison{};
  struct Deeper {
    explicit Deeper(int& d) : depth(++d) {}
    ~Deeper() { --depth; }
    int& depth;
  } deeper(nesting_);
  if (nesting_ > kMaxNesting) {
    stopped_ = true;
    return report(Diag::too_deep, e.span, "calls and expressions are nested too deeply",
                  "give parts of the expression names; end recursions earlier");
  }
  if (!charge(1, e.span)) return Poison{};
  Val v = eval_node(e, f);
  if (f.program && f.program->outer) v = captured(*f.program, std::move(v));
  if (const std::string* s = v.get<std::string>())
    if (!charge(static_cast<std::int64_t>(s->size() / 64), e.span)) return Poison{};
  return v;
}

bool Evaluator::charge(std::int64_t units, Span span) {
  if (stopped_) return false;
  work_ += units;
  if (work_ <= kMaxWork) return true;
  stopped_ = true;
  report(Diag::too_much_work, span, "the program is too long once its loops and calls are unrolled",
         "a static `for` unrolls: every turn becomes nodes of the graph");
  return false;
}

std::optional<std::int64_t> Evaluator::eval_int(const ast::Expr& e, Frame& f, const char* what) {
  const Val v = eval(e, f);
  if (v.poisoned()) return std::nullopt;
  if (const Dim* d = v.get<Dim>(); d && d->is_constant()) return d->value();
  report(Diag::not_static, e.span,
         fmt::format("{} must be an integer that is known while compiling, this is {}", what,
                     describe(v)));
  return std::nullopt;
}

Val Evaluator::eval_node(const ast::Expr& e, Frame& f) {
  if (const auto* i = std::get_if<ast::IntLit>(&e.node)) return Dim(i->value);
  if (const auto* d = std::get_if<ast::FloatLit>(&e.node)) return d->value;
  if (const auto* b = std::get_if<ast::BoolLit>(&e.node)) return b->value;
  if (const auto* s = std::get_if<ast::StringLit>(&e.node)) return s->value;
  if (const auto* n = std::get_if<ast::NameRef>(&e.node)) return lookup(n->name, e.span, f, false);
  if (const auto* l = std::get_if<ast::ListLit>(&e.node)) return eval_list(*l, e.span, f);
  if (std::holds_alternative<ast::Ellipsis>(e.node))
    return report(Diag::rest_in_shape, e.span, "`...` has a meaning only in a type or an index");
  if (const auto* u = std::get_if<ast::Unary>(&e.node))
    return unary(u->op, {eval(*u->operand, f), u->operand->span}, e.span, f);
  if (const auto* b = std::get_if<ast::Binary>(&e.node)) return eval_binary(*b, e.span, f);
  if (const auto* c = std::get_if<ast::Call>(&e.node)) return eval_call(*c, e.span, {}, f);
  if (const auto* x = std::get_if<ast::Index>(&e.node)) return index(*x, e.span, f);
  if (const auto* m = std::get_if<ast::Member>(&e.node)) return eval_member(*m, e.span, f);
  if (const auto* s = std::get_if<ast::Scan>(&e.node)) return eval_scan(*s, e.span, f);
  return eval_if(std::get<ast::IfExpr>(e.node), f);
}

// ---- Names ----

Val Evaluator::lookup(const std::string& name, Span span, Frame& f, bool callable) {
  const auto can_call = [](const Val& v) {
    return v.poisoned() || v.function() || v.get<const Builtin*>();
  };
  if (const auto at = f.names.find(name); at != f.names.end())
    if (!callable || can_call(at->second.value)) return at->second.value;
  if (const auto at = f.slots.find(name); at != f.slots.end() && !callable) {
    Program& root = f.program->root();
    const auto value = root.current.find(at->second);
    if (value != root.current.end()) return root.ref(value->second);
    return report(
        Diag::run_time_initial_value, span,
        fmt::format("an initial value cannot depend on the parameter or state `{}`", name),
        "initial values are computed once, before anything runs: from numbers, sizes and "
        "random numbers");
  }
  if (const auto at = f.dims.find(name); at != f.dims.end() && !callable) return at->second.value;
  if (Definition* d = definitions_.find(name, f.from_std)) {
    if (const auto* c = std::get_if<ast::Callable>(&d->item->node)) {
      auto fn = std::make_shared<Function>();
      fn->def = c;
      fn->from_std = d->from_std;
      fn->span = span;
      return fn;
    }
    const auto& c = std::get<ast::Const>(d->item->node);
    if (d->state == Definition::State::Busy)
      return report(Diag::cyclic_const, c.name.span,
                    fmt::format("the const `{}` is defined by itself", name), "",
                    {{span, "used here, while its value is being computed"}});
    if (d->state == Definition::State::Fresh) {
      d->state = Definition::State::Busy;
      Frame constant;
      constant.from_std = d->from_std;
      if (c.value) d->value = eval(*c.value, constant);
      d->state = Definition::State::Done;
    }
    return d->value;
  }
  if (const Builtin* b = find_builtin(name)) return b;
  // Nothing of that name can be called; the caller says so of what there is.
  if (callable && (f.names.contains(name) || f.slots.contains(name) || f.dims.contains(name)))
    return lookup(name, span, f, false);
  if (name == "training") {
    if (f.program && f.place != Place::Data && f.place != Place::Train) return f.program->training;
    return report(Diag::no_training_here, span, "`training` has a meaning only in a model");
  }
  if (name == "none") return None{};
  if (name == "inf") return std::numeric_limits<double>::infinity();
  if (name == "step" || name == "epoch") {
    if (f.place == Place::Optimizer || f.place == Place::Train) {
      if (!f.program) return Poison{};
      Program& p = *f.program;
      const Value count = p.scalar_input(name);
      // Where several steps make one update, updates are what schedules and optimizers count.
      const std::int64_t of = name == "step" ? module->train.accumulate : 1;
      return p.ref(of == 1 ? count
                           : p.b.div(count, p.b.scalar(ElementType::I64, static_cast<double>(of))));
    }
    return report(
        Diag::no_step_here, span,
        fmt::format("`{}` has a meaning only in the train block and in an optimizer", name));
  }
  std::vector<std::string> candidates = definitions_.names();
  for (const auto& [n, b] : f.names) candidates.push_back(n);
  for (const auto& [n, s] : f.slots) candidates.push_back(n);
  for (const auto& [n, d] : f.dims) candidates.push_back(n);
  for (const Builtin& b : builtins()) candidates.push_back(b.name);
  const std::string near = nearest(name, candidates);
  return report(Diag::unknown_name, span, fmt::format("unknown name `{}`", name),
                near.empty() ? "" : fmt::format("did you mean `{}`?", near));
}

Val Evaluator::eval_list(const ast::ListLit& e, Span span, Frame& f) {
  std::vector<Val> items;
  items.reserve(e.items.size());
  bool good = true;
  for (const ast::ExprPtr& item : e.items) {
    items.push_back(eval(*item, f));
    good = good && !items.back().poisoned();
  }
  return good ? list_of(std::move(items), span) : Val(Poison{});
}

Val Evaluator::list_of(std::vector<Val> items, Span span) {
  if (!charge(static_cast<std::int64_t>(items.size()), span)) return Poison{};
  Val v = make_list(std::move(items));
  if (v.list()->entries > kMaxItems)
    return report(Diag::too_much_work, span, "a list grows beyond a million entries");
  if (v.list()->depth > kMaxDepth)
    return report(Diag::too_deep, span, "the lists in this list are nested too deeply");
  return v;
}

Val Evaluator::eval_member(const ast::Member& e, Span span, Frame& f) {
  const Val object = eval(*e.object, f);
  if (object.poisoned()) return Poison{};
  if (const Function* fn = object.function()) {
    std::vector<std::string> names;
    for (const ast::Param& p : fn->def->config) {
      if (p.name.text == e.member.text) {
        if (const auto at = fn->given.find(p.name.text); at != fn->given.end())
          return at->second.value;
        if (p.default_value) {
          // A default may use the settings before it.
          Frame defaults;
          defaults.from_std = fn->from_std;
          defaults.names = fn->given;
          return eval(*p.default_value, defaults);
        }
      }
      names.push_back(p.name.text);
    }
    const std::string near = nearest(e.member.text, names);
    return report(Diag::unknown_member, e.member.span,
                  fmt::format("{} has no setting `{}`", describe(object), e.member.text),
                  near.empty() ? "" : fmt::format("did you mean `{}`?", near));
  }
  return report(Diag::unknown_member, span, fmt::format("{} has no members", describe(object)),
                e.member.text == "T"       ? "`transpose(x)` swaps the axes"
                : e.member.text == "shape" ? "`shape(x)` is the list of its dimensions"
                                           : "functions are called as f(x) or x |> f");
}

Val Evaluator::eval_if(const ast::IfExpr& e, Frame& f) {
  const Val cond = eval(*e.cond, f);
  if (cond.poisoned()) return Poison{};
  const bool* b = cond.get<bool>();
  if (!b) {
    if (const TensorRef* t = cond.get<TensorRef>()) return run_time_if(e, *t, f);
    return report(Diag::bad_condition, e.cond->span,
                  fmt::format("a condition is true or false, this is {}", describe(cond)));
  }
  if (*b) return run(e.then_block, f);
  if (e.else_block) return run(*e.else_block, f);
  return None{};
}

// ---- Operators ----

Val Evaluator::eval_binary(const ast::Binary& e, Span span, Frame& f) {
  if (e.op == "|>") return eval_pipe(e, span, f);
  if (e.op == "..") return eval_range(e, span, f);
  if (e.op == "and" || e.op == "or") return eval_logic(e, span, f);
  const Bound a{eval(*e.lhs, f), e.lhs->span};
  const Bound b{eval(*e.rhs, f), e.rhs->span};
  return binary(e.op, a, b, span, e.op_span, f);
}

Val Evaluator::eval_logic(const ast::Binary& e, Span span, Frame& f) {
  const Bound a{eval(*e.lhs, f), e.lhs->span};
  if (const bool* v = a.value.get<bool>()) {
    // A static left side may decide alone.
    if (*v == (e.op == "or")) return *v;
    const Val b = eval(*e.rhs, f);
    if (b.poisoned() || b.get<bool>() || b.get<TensorRef>()) return b;
    return report(Diag::bad_condition, e.rhs->span,
                  fmt::format("`{}` joins conditions, this is {}", e.op, describe(b)));
  }
  return binary(e.op, a, {eval(*e.rhs, f), e.rhs->span}, span, e.op_span, f);
}

Val Evaluator::eval_range(const ast::Binary& e, Span span, Frame& f) {
  const auto from = eval_int(*e.lhs, f, "the start of a range");
  const auto to = eval_int(*e.rhs, f, "the end of a range");
  if (!from || !to) return Poison{};
  if (*to > *from && static_cast<std::uint64_t>(*to) - static_cast<std::uint64_t>(*from) >
                         static_cast<std::uint64_t>(kMaxItems))
    return report(Diag::too_much_work, span,
                  fmt::format("the range {}..{} is too long for a static loop", *from, *to),
                  "a static `for` unrolls: every turn becomes nodes of the graph");
  std::vector<Val> items;
  for (std::int64_t k = *from; k < *to; ++k) items.emplace_back(Dim(k));
  return list_of(std::move(items), span);
}

Val Evaluator::binary(const std::string& op, const Bound& a, const Bound& b, Span span,
                      Span op_span, Frame& f) {
  if (a.value.poisoned() || b.value.poisoned()) return Poison{};
  // Whether an argument was given: `mask == none` is known while compiling.
  if ((op == "==" || op == "!=") && (a.value.get<None>() || b.value.get<None>()))
    return (a.value.get<None>() && b.value.get<None>()) == (op == "==");
  const bool tensors = a.value.get<TensorRef>() || b.value.get<TensorRef>();
  // Lists with a matmul between them are matrices.
  if (tensors || (op == "@" && f.program)) {
    if (!f.program) return report(Diag::not_static, span, "a tensor in a static place");
    return tensor_binary(op, a, b, span, op_span, *f.program);
  }
  return static_binary(op, a.value, b.value, span);
}

Val Evaluator::static_binary(const std::string& op, const Val& a, const Val& b, Span span) {
  const auto wrong = [&](std::string hint = {}) {
    return report(Diag::bad_operands, span,
                  fmt::format("`{}` cannot join {} and {}", op, describe(a), describe(b)),
                  std::move(hint));
  };
  if (op == "==" || op == "!=") {
    const Dim* x = a.get<Dim>();
    const Dim* y = b.get<Dim>();
    if (x && y && !certainly_different(*x, *y) && !(*x == *y))
      return report(
          Diag::symbolic_comparison, span,
          fmt::format("whether {} {} {} is not known while compiling", x->str(), op, y->str()));
    if (a.list() && b.list() && !charge(std::min(a.list()->entries, b.list()->entries), span))
      return Poison{};
    return equal(a, b) == (op == "==");
  }
  if (const Dim* x = a.get<Dim>(), *y = b.get<Dim>(); x && y)
    return integer_binary(op, *x, *y, span);
  if (const std::string* x = a.get<std::string>(), *y = b.get<std::string>(); x && y) {
    if (is_comparison(op)) return compare(op, *x, *y);
    if (op != "+") return wrong();
    if (static_cast<std::int64_t>(x->size() + y->size()) > kMaxItems)
      return report(Diag::too_much_work, span, "a string grows beyond a million characters");
    return *x + *y;
  }
  if (const List* x = a.list(), *y = b.list(); x && y && op == "+") {
    if (x->entries + y->entries > kMaxItems)
      return report(Diag::too_much_work, span, "a list grows beyond a million entries");
    std::vector<Val> items = x->items;
    items.insert(items.end(), y->items.begin(), y->items.end());
    return list_of(std::move(items), span);
  }
  if (a.list() || b.list())
    return wrong(
        "a list joins only with a list (by +); with a tensor it counts as one: `f32([1, 2])`");
  const auto x = number(a), y = number(b);
  if (!x || !y) {
    for (const Val* v : {&a, &b})
      if (const Function* fn = v->function();
          fn && !fn->def->tensors.empty() && fn->def->tensors[0].name.text == "shape")
        return report(
            Diag::not_a_tensor, span,
            fmt::format("`{}` lacks its shape: it gives initial values of something declared",
                        fn->def->name.text),
            fmt::format("declare the shape where it is bound: `x: f32[1000, 2] = {}(...)`",
                        fn->def->name.text));
    if (a.function() || b.function())
      return wrong("a layer or function is applied with `x |> f` or f(x)");
    return wrong();
  }
  if (is_comparison(op)) return compare(op, *x, *y);
  if (op == "+") return *x + *y;
  if (op == "-") return *x - *y;
  if (op == "*") return *x * *y;
  if (op == "^") return std::pow(*x, *y);
  if (op == "@") return wrong();
  if (op == "and" || op == "or") return wrong();
  if (*y == 0 && op != "/") return report(Diag::division_by_zero, span, "division by zero");
  if (op == "/")
    return *y == 0 ? report(Diag::division_by_zero, span, "division by zero") : Val(*x / *y);
  if (op == "//") return std::floor(*x / *y);
  return *x - std::floor(*x / *y) * *y;  // %
}

Val Evaluator::integer_binary(const std::string& op, const Dim& a, const Dim& b, Span span) {
  const auto too_large = [&] {
    return report(Diag::too_large, span, "the integer is beyond 2^62");
  };
  const auto too_long = [&] {
    return report(Diag::too_large, span,
                  fmt::format("a dimension is a polynomial of at most {} terms and degree {}",
                              kMaxTerms, kMaxDegree));
  };
  const double x = magnitude(a), y = magnitude(b);
  constexpr double kLimit = 0x1p62;
  if (op == "+" || op == "-") {
    if (x + y > kLimit) return too_large();
    if (a.terms().size() + b.terms().size() > kMaxTerms) return too_long();
    return op == "+" ? a + b : a - b;
  }
  if (op == "*") {
    if (x * y > kLimit) return too_large();
    const bool both = !a.is_constant() && !b.is_constant();
    if (both && ((a.terms().size() + 1) * (b.terms().size() + 1) > kMaxTerms ||
                 degree(a) + degree(b) > kMaxDegree))
      return too_long();
    return a * b;
  }
  if (!a.is_constant() || !b.is_constant()) {
    if (is_comparison(op)) {
      const Dim d = a - b;
      if (d.is_constant()) return compare(op, d.value(), std::int64_t{0});
      return report(
          Diag::symbolic_comparison, span,
          fmt::format("whether {} {} {} is not known while compiling", a.str(), op, b.str()));
    }
    if (op == "/" || op == "//") {
      if (!(b.is_constant() && b.value() == 0))
        if (const auto q = a.exact_div(b)) return *q;
      return report(Diag::symbolic_division, span,
                    fmt::format("{} is not known to be divisible by {}", a.str(), b.str()));
    }
    return report(
        Diag::bad_operands, span,
        fmt::format("`{}` needs integers that are known while compiling, these are {} and {}", op,
                    a.str(), b.str()));
  }
  const std::int64_t m = a.value(), n = b.value();
  if (is_comparison(op)) return compare(op, m, n);
  if (op == "^") {
    const double r = std::pow(static_cast<double>(m), static_cast<double>(n));
    if (n < 0) return r;
    if (std::abs(r) > kLimit) return too_large();
    std::int64_t product = 1;
    for (std::int64_t k = 0; k < n && product != 0 && (m != 1); ++k) {
      if (m == -1) return Dim(n % 2 == 0 ? 1 : -1);
      product *= m;
    }
    return Dim(product);
  }
  if (op == "@" || op == "and" || op == "or")
    return report(Diag::bad_operands, span,
                  fmt::format("`{}` cannot join {} and {}", op, describe(a), describe(b)));
  if (n == 0) return report(Diag::division_by_zero, span, "division by zero");
  if (op == "/") return static_cast<double>(m) / static_cast<double>(n);
  const bool down = m % n != 0 && (m < 0) != (n < 0);  // C++ rounds towards 0
  return op == "//" ? Dim(m / n - (down ? 1 : 0)) : Dim(m % n + (down ? n : 0));
}

Val Evaluator::unary(const std::string& op, const Bound& a, Span span, Frame& f) {
  if (a.value.poisoned()) return Poison{};
  if (const auto* t = a.value.get<TensorRef>()) {
    const bool is_bool = t->program->type(t->value).element == ElementType::Bool;
    if ((op == "not") != is_bool)
      return report(Diag::bad_operands, span,
                    fmt::format("`{}` does not apply to {}", op, describe(a.value)),
                    op == "not" ? "compare first: `x == 0`" : "`not` negates a bool");
    return emit(*t->program, op == "not" ? Op::logical_not : Op::neg, {t->value}, {}, span);
  }
  if (op == "not") {
    if (const bool* b = a.value.get<bool>()) return !*b;
  } else {
    if (const Dim* d = a.value.get<Dim>()) return Dim(0) - *d;
    if (const double* d = a.value.get<double>()) return -*d;
    if (a.value.list() && f.program)
      if (const auto t = tensor(*f.program, a.value, a.span))
        return emit(*f.program, Op::neg, {*t}, {}, span);
  }
  return report(Diag::bad_operands, span,
                fmt::format("`{}` does not apply to {}", op, describe(a.value)));
}

Val Evaluator::eval_pipe(const ast::Binary& e, Span span, Frame& f) {
  const Bound piped{eval(*e.lhs, f), e.lhs->span};
  if (const auto* c = std::get_if<ast::Call>(&e.rhs->node)) {
    if (piped.value.poisoned()) return Poison{};
    return eval_call(*c, span, piped, f);
  }
  const Val callee = std::holds_alternative<ast::NameRef>(e.rhs->node)
                         ? lookup(std::get<ast::NameRef>(e.rhs->node).name, e.rhs->span, f, true)
                         : eval(*e.rhs, f);
  if (callee.poisoned() || piped.value.poisoned()) return Poison{};
  if (const auto* b = callee.get<const Builtin*>()) return call_builtin(**b, {}, piped, span, f);
  if (Function* fn = callee.function()) return call(*fn, {}, piped, span, f);
  return report(Diag::not_callable, e.rhs->span,
                fmt::format("`|>` feeds a function or layer, this is {}", describe(callee)));
}

}  // namespace dlc::sema
