#include "codegen/reference/interpreter.h"

#include <algorithm>

#include "ir/graph/scan.h"
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
  result.attrs.change_each([&](const std::string&, Attr& attr) {
    if (auto* shape = std::get_if<Shape>(&attr))
      for (Dim& d : *shape) d = d.evaluate(symbols);
  });
  return result;
}

using Symbols = std::map<std::string, std::int64_t>;
using Values = std::vector<Literal>;

Values run_scan(const Node& n, const Values& operands, const Symbols& symbols, Precision precision);

/// Computes all nodes but the inputs, whose values are there.
void run_nodes(const Graph& g, const Symbols& symbols, Precision precision, Values& values) {
  std::map<std::uint32_t, Values> parts;
  for (std::uint32_t id = 0; id < g.nodes.size(); ++id) {
    const Node& n = g.nodes[id];
    if (n.op == Op::input) continue;
    if (n.op == Op::part) {
      values[id] = parts.at(n.operands[0].id).at(static_cast<std::size_t>(n.int_attr("index")));
      continue;
    }
    Values operands;
    operands.reserve(n.operands.size());
    for (const Value v : n.operands) operands.push_back(values[v.id]);
    if (n.op == Op::scan) {
      parts[id] = run_scan(n, operands, symbols, precision);
      continue;
    }
    for (const Dim& d : n.type.shape)
      for (const std::string& s : d.symbols())
        if (!symbols.contains(s))
          throw UserError(fmt::format("no input gives a value to the dimension {} of node {}: {}",
                                      s, id, n.type.str()));
    Type result{n.type.element, {}};
    for (const Dim& d : n.type.shape) result.shape.emplace_back(d.evaluate(symbols));
    values[id] = op_def(n.op).evaluate(concrete(n, symbols), operands, result);
    if (precision == Precision::Declared)
      values[id].round();
    else
      values[id].wrap();
  }
}

/// Elements [from * part.size(), ...) of `whole` from or to `part`.
void copy_slice(Literal& whole, std::int64_t at, Literal& part, bool to_part) {
  const auto size = static_cast<std::ptrdiff_t>(part.size());
  const auto copy = [&](auto& w, auto& p) {
    const auto begin = w.begin() + at * size;
    if (to_part)
      std::copy(begin, begin + size, p.begin());
    else
      std::copy(p.begin(), p.end(), begin);
  };
  if (is_float(part.element))
    copy(whole.f, part.f);
  else
    copy(whole.i, part.i);
}

Values run_scan(const Node& n, const Values& operands, const Symbols& symbols,
                Precision precision) {
  const Scan scan(n);
  const bool runs = !scan.conditional || operands.back().i[0] != 0;
  const std::int64_t length = scan.length.evaluate(symbols);
  Values carried(operands.begin(), operands.begin() + static_cast<std::ptrdiff_t>(scan.carried));
  Values whole = operands;
  Values yielded;
  for (std::size_t k = 0; k < scan.yields; ++k) {
    std::vector<std::int64_t> shape{length};
    for (const std::int64_t d : concrete(scan.body.type(scan.yield(k)).shape, symbols))
      shape.push_back(d);
    yielded.push_back(Literal::zeros(scan.body.type(scan.yield(k)).element, shape));
  }
  for (std::int64_t turn = 0; runs && turn < length; ++turn) {
    const std::int64_t at = scan.reverse ? length - 1 - turn : turn;
    Values values(scan.body.nodes.size());
    for (std::size_t k = 0; k < operands.size(); ++k) {
      Literal& value = values[scan.input(k).id];
      if (k < scan.carried || k >= scan.carried + scan.scanned) {
        value = k < scan.carried ? carried[k] : operands[k];
        continue;
      }
      value = Literal::zeros(whole[k].element, {whole[k].shape.begin() + 1, whole[k].shape.end()});
      copy_slice(whole[k], at, value, true);
    }
    run_nodes(scan.body, symbols, precision, values);
    for (std::size_t k = 0; k < scan.carried; ++k) carried[k] = values[scan.carry(k).id];
    for (std::size_t k = 0; k < scan.yields; ++k)
      copy_slice(yielded[k], at, values[scan.yield(k).id], false);
  }
  carried.insert(carried.end(), yielded.begin(), yielded.end());
  return carried;
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
  run_nodes(g, e.symbols, precision, e.values);
  return e;
}

}  // namespace dlc
