// `if` on a condition that is known only when the program runs: regions that run or not.
#include "frontend/sema/evaluator.h"
#include "ir/graph/scan.h"

namespace dlc::sema {

/// A choice that is made when the program runs: each block is a scan of one turn, on a condition,
/// that replaces what it carries by the block's value.
Val Evaluator::run_time_if(const ast::IfExpr& e, const TensorRef& condition, Frame& f) {
  Program& p = *f.program;
  if (!(p.type(condition.value) == Type{ElementType::Bool, {}}))
    return report(Diag::run_time_condition, e.cond->span,
                  fmt::format("`if` chooses on one true or false, this condition is {}",
                              describe_shape(p, condition.value)),
                  "`where(condition, a, b)` chooses between elements");
  if (!e.else_block)
    return report(Diag::run_time_condition, e.cond->span,
                  "a choice that is made when the program runs needs an `else`",
                  "both blocks give a value: `if x > 0 { a } else { b }`");
  const ast::Block* blocks[2] = {&e.then_block, &*e.else_block};
  std::optional<Program> bodies[2];
  std::vector<Val> values[2];
  const std::size_t before = reports();
  for (int k = 0; k < 2; ++k) {
    bodies[k].emplace(p);
    bodies[k]->turns = 1;
    Frame inside = f;
    inside.program = &*bodies[k];
    inside.place = Place::Scan;
    inside.scan = nullptr;
    const Val v = run(*blocks[k], inside);
    if (v.get<None>())
      report(Diag::no_value, blocks[k]->span, "this block gives no value",
             "of a choice that is made when the program runs both blocks do");
    values[k] = v.list() ? v.list()->items : std::vector<Val>{v};
  }
  if (failed_since(before)) return Poison{};
  if (values[0].size() != values[1].size())
    return report(Diag::run_time_condition, blocks[1]->span,
                  fmt::format("the blocks of this `if` give lists of {} and of {} tensors",
                              values[0].size(), values[1].size()));
  std::vector<Value> now;
  for (std::size_t k = 0; k < values[0].size(); ++k) {
    // A number takes the type of the other block's tensor.
    const TensorRef *a = values[0][k].get<TensorRef>(), *b = values[1][k].get<TensorRef>();
    const Type type = a   ? a->program->type(a->value)
                      : b ? b->program->type(b->value)
                          : Type{default_float_, {}};
    p.b.set_loc(loc(e.cond->span));
    now.push_back(type.element == ElementType::Bool
                      ? p.b.broadcast(p.b.scalar(type.element, 0), type.shape, {})
                      : p.b.splat(type, 0));
  }
  for (int block = 0; block < 2; ++block) {
    Program& body = *bodies[block];
    std::vector<Value> results;
    for (std::size_t k = 0; k < now.size(); ++k) {
      const auto v = value_of_type(body, values[block][k], p.type(now[k]), blocks[block]->span, f,
                                   blocks[0]->span);
      if (!v) return Poison{};
      results.push_back(*v);
      body.region_input(fmt::format("result{}", k), InputKind::Carried, p.type(now[k]), now[k], {});
    }
    Value when = condition.value;
    if (block == 1) when = p.b.node(Op::logical_not, {when});
    body.region_input("condition", InputKind::Condition, {ElementType::Bool, {}}, when, {});
    for (std::size_t k = 0; k < results.size(); ++k)
      body.b.output(fmt::format("result{}", k), OutputKind::Carry, results[k]);
    std::vector<Value> operands = body.sort_region_inputs();
    p.b.set_loc(loc(e.cond->span));
    const Value scan = make_scan(p.b, body.graph, std::move(operands), 1, false);
    for (std::size_t k = 0; k < now.size(); ++k) now[k] = part(p.b, scan, k);
    p.origins.resize(p.graph.nodes.size());
    p.spans.resize(p.graph.nodes.size());
  }
  std::vector<Val> result;
  for (const Value v : now) result.push_back(p.ref(v));
  return result.size() == 1 ? result[0] : make_list(std::move(result));
}

}  // namespace dlc::sema
