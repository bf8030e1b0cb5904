#include "codegen/reference/interpreter.h"

#include "ir/op_def.h"
#include "ir/support/check.h"

namespace dlc {

namespace {

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string out = "[";
  for (std::size_t k = 0; k < shape.size(); ++k) out += (k ? ", " : "") + std::to_string(shape[k]);
  return out + "]";
}

/// Checks a value against the declared type. A dimension that is a lone symbol binds it; others are
/// checked by the caller when every symbol is known.
void bind(const std::string& name, const Type& declared, const Literal& value,
          std::map<std::string, std::int64_t>& symbols) {
  if (value.element != declared.element || value.shape.size() != declared.shape.size())
    throw UserError(fmt::format("input `{}` is {}, the value given is {}", name, declared.str(),
                                value.type().str()));
  for (std::size_t k = 0; k < value.shape.size(); ++k) {
    const std::vector<std::string> names = declared.shape[k].symbols();
    if (names.size() == 1 && declared.shape[k] == Dim::symbol(names[0]))
      symbols.emplace(names[0], value.shape[k]);
  }
}

std::vector<std::int64_t> concrete(const Shape& shape,
                                   const std::map<std::string, std::int64_t>& symbols) {
  std::vector<std::int64_t> result;
  for (const Dim& d : shape) result.push_back(d.evaluate(symbols));
  return result;
}

/// The node with numbers for the symbols in its attributes.
Node concrete(const Node& n, const std::map<std::string, std::int64_t>& symbols) {
  Node result = n;
  for (auto& [key, attr] : result.attrs)
    if (auto* shape = std::get_if<Shape>(&attr))
      for (Dim& d : *shape) d = d.evaluate(symbols);
  return result;
}

}  // namespace

Evaluation interpret(const Graph& g, const std::map<std::string, Literal>& inputs,
                     Precision precision) {
  Evaluation e;
  for (const GraphInput& in : g.inputs) {
    const auto at = inputs.find(in.name);
    if (at == inputs.end())
      throw UserError(fmt::format("input `{}`: {} has no value", in.name, g.type(in.value).str()));
    bind(in.name, g.type(in.value), at->second, e.symbols);
  }
  for (const GraphInput& in : g.inputs) {
    const Literal& value = inputs.at(in.name);
    for (const Dim& d : g.type(in.value).shape)
      for (const std::string& s : d.symbols())
        if (!e.symbols.contains(s))
          throw UserError(
              fmt::format("nothing gives a value to the dimension {} of input `{}`", s, in.name));
    if (concrete(g.type(in.value).shape, e.symbols) != value.shape)
      throw UserError(fmt::format("input `{}` is {}, the value given has shape {}", in.name,
                                  g.type(in.value).str(), shape_text(value.shape)));
  }
  e.values.resize(g.nodes.size());
  for (const GraphInput& in : g.inputs) e.values[in.value.id] = inputs.at(in.name);
  for (std::uint32_t id = 0; id < g.nodes.size(); ++id) {
    const Node& n = g.nodes[id];
    if (n.op == Op::input) continue;
    std::vector<Literal> operands;
    operands.reserve(n.operands.size());
    for (const Value v : n.operands) operands.push_back(e.values[v.id]);
    for (const Dim& d : n.type.shape)
      for (const std::string& s : d.symbols())
        if (!e.symbols.contains(s))
          throw UserError(fmt::format("no input gives a value to the dimension {} of node {}: {}",
                                      s, id, n.type.str()));
    Type result{n.type.element, {}};
    for (const Dim& d : n.type.shape) result.shape.emplace_back(d.evaluate(e.symbols));
    e.values[id] = op_def(n.op).evaluate(concrete(n, e.symbols), operands, result);
    if (precision == Precision::Declared)
      e.values[id].round();
    else
      e.values[id].wrap();
  }
  return e;
}

}  // namespace dlc
