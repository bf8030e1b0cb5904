#include "frontend/sema/builtins.h"

#include <algorithm>
#include <numeric>

namespace dlc::sema {

Program* program_of(Evaluator& ev, Frame& f, Span span) {
  if (!f.program)
    ev.report(Diag::not_static, span, "a tensor in a static place",
              "a const holds numbers, strings and lists");
  return f.program;
}

bool is_none(const Bound& b) { return b.value.get<None>() != nullptr; }

std::optional<bool> flag(Evaluator& ev, const Bound& b, const char* name, bool otherwise) {
  if (is_none(b)) return otherwise;
  if (const bool* v = b.value.get<bool>()) return *v;
  ev.report(Diag::bad_argument, b.span,
            fmt::format("`{}` is true or false, this is {}", name, describe(b.value)));
  return std::nullopt;
}

std::optional<std::vector<std::int64_t>> axes_of(Evaluator& ev, const Bound& b, int rank) {
  std::vector<std::int64_t> axes;
  if (is_none(b)) {
    axes.resize(static_cast<std::size_t>(rank));
    std::iota(axes.begin(), axes.end(), 0);
    return axes;
  }
  std::vector<Val> items{b.value};
  if (const List* l = b.value.list()) items = l->items;
  for (const Val& item : items) {
    const auto axis = ev.axis_of(item, rank, b.span);
    if (!axis) return std::nullopt;
    axes.push_back(*axis);
  }
  std::sort(axes.begin(), axes.end());
  if (std::adjacent_find(axes.begin(), axes.end()) != axes.end()) {
    ev.report(Diag::bad_axis, b.span, "an axis is named twice");
    return std::nullopt;
  }
  return axes;
}

const std::vector<Builtin>& builtins() {
  static const std::vector<Builtin> all = [] {
    std::vector<Builtin> list;
    for (const auto& part : {math_builtins(), shape_builtins(), conv_builtins(), data_builtins()})
      list.insert(list.end(), part.begin(), part.end());
    std::sort(list.begin(), list.end(), [](const Builtin& a, const Builtin& b) {
      return std::string_view(a.name) < std::string_view(b.name);
    });
    return list;
  }();
  return all;
}

const Builtin* find_builtin(const std::string& name) {
  for (const Builtin& b : builtins())
    if (name == b.name) return &b;
  return nullptr;
}

}  // namespace dlc::sema
