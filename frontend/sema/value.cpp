#include "frontend/sema/value.h"

#include <algorithm>

#include "frontend/sema/evaluator.h"

namespace dlc::sema {

Val make_list(std::vector<Val> items) {
  List l;
  for (const Val& item : items) {
    l.depth = std::max(l.depth, depth_of(item) + 1);
    // Saturates: 2^60 entries are as many as are ever told apart.
    const std::int64_t inner = item.list() ? item.list()->entries : 0;
    l.entries = std::min(l.entries + inner + 1, std::int64_t{1} << 60);
  }
  l.items = std::move(items);
  return std::make_shared<const List>(std::move(l));
}

int depth_of(const Val& v) {
  if (const List* l = v.list()) return l->depth;
  if (const Function* f = v.function()) return f->depth;
  return 0;
}

bool is_static_number(const Val& v) { return v.get<Dim>() || v.get<double>(); }

std::optional<double> number(const Val& v) {
  if (const double* d = v.get<double>()) return *d;
  if (const Dim* d = v.get<Dim>(); d && d->is_constant()) return static_cast<double>(d->value());
  return std::nullopt;
}

std::string describe(const Val& v) {
  if (const Dim* d = v.get<Dim>())
    return fmt::format("the {} {}", d->is_constant() ? "integer" : "dimension", d->str());
  if (const double* d = v.get<double>()) return fmt::format("the number {:g}", *d);
  if (const bool* b = v.get<bool>()) return *b ? "true" : "false";
  if (v.get<std::string>()) return "a string";
  if (v.list()) return "a list";
  if (v.get<None>()) return "none";
  if (const auto* t = v.get<TensorRef>())
    return fmt::format("a tensor {}", t->program->type(t->value).str());
  if (const auto* b = v.get<const Builtin*>()) return fmt::format("the function `{}`", (*b)->name);
  if (v.get<std::shared_ptr<const Table>>()) return "a table";
  if (v.get<std::shared_ptr<const FileSource>>()) return "a text";
  if (const Function* f = v.function()) {
    const char* kind = f->def->kind == ast::CallableKind::Layer       ? "layer"
                       : f->def->kind == ast::CallableKind::Optimizer ? "optimizer"
                                                                      : "function";
    return fmt::format("the {} `{}`", kind, f->def->name.text);
  }
  return "an erroneous value";
}

}  // namespace dlc::sema
