#include <fmt/format.h>

#include <cmath>
#include <set>

#include "ir/graph/text.h"

namespace dlc {

namespace {

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char ch : text) {
    if (ch == '"' || ch == '\\') out += '\\';
    if (ch == '\n')
      out += "\\n";
    else
      out += ch;
  }
  return out + '"';
}

std::string number(double v, ElementType element = ElementType::F64) {
  const auto f = static_cast<float>(v);
  const bool single = element == ElementType::F32 || is_16_bit_float(element);
  if (std::isnan(v)) return "nan";
  if (std::isinf(single ? f : v)) return v > 0 ? "inf" : "-inf";
  // The shortest text that reads back as v.
  const std::string text = single ? fmt::format("{}", f) : fmt::format("{}", v);
  return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

/// Elements in row-major order; one number for a scalar, `splat 0.5` where all are equal.
std::string elements(const Literal& l) {
  const auto element = [&](std::int64_t k) {
    return is_float(l.element) ? number(l.f[static_cast<std::size_t>(k)], l.element)
                               : std::to_string(l.i[static_cast<std::size_t>(k)]);
  };
  if (l.shape.empty()) return element(0);
  bool uniform = l.size() > 1;
  for (std::int64_t k = 1; uniform && k < l.size(); ++k) uniform = element(k) == element(0);
  if (uniform) return "splat " + element(0);
  std::string out = "[";
  for (std::int64_t k = 0; k < l.size(); ++k) out += (k ? ", " : "") + element(k);
  return out + "]";
}

std::string attr_text(const Attr& a) {
  if (const auto* v = std::get_if<std::int64_t>(&a)) return std::to_string(*v);
  if (const auto* v = std::get_if<double>(&a)) return number(*v);
  if (const auto* v = std::get_if<std::string>(&a)) return quoted(*v);
  if (const auto* v = std::get_if<std::vector<std::int64_t>>(&a))
    return fmt::format("[{}]", fmt::join(*v, ", "));
  if (const auto* v = std::get_if<Shape>(&a)) {
    std::string out = "(";
    for (std::size_t k = 0; k < v->size(); ++k) out += (k ? ", " : "") + (*v)[k].str();
    return out + ")";
  }
  if (const auto* v = std::get_if<std::shared_ptr<const Graph>>(&a)) {
    // As deep as the node that it belongs to; `print` ends with a newline.
    std::string text = print(**v);
    text.pop_back();
    for (std::size_t at = text.find('\n'); at != std::string::npos; at = text.find('\n', at + 3))
      text.insert(at + 1, "  ");
    return text;
  }
  const Literal& l = *std::get<std::shared_ptr<const Literal>>(a);
  return fmt::format("{} {}", l.type().str(), elements(l));
}

bool is_plain_name(std::string_view name) {
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) return false;
  for (const char ch : name)
    if (!std::isalnum(static_cast<unsigned char>(ch)) && ch != '_' && ch != '.') return false;
  return true;
}

/// `%logits`, or `%logits~2` for the second node of that name, or `%12` for a node without one.
std::vector<std::string> value_names(const Graph& g) {
  std::vector<std::string> names;
  std::map<std::string, int> seen;
  for (std::uint32_t id = 0; id < g.nodes.size(); ++id) {
    const std::string& name = g.nodes[id].name;
    if (name.empty()) {
      names.push_back(fmt::format("%{}", id));
      continue;
    }
    std::string text = "%" + (is_plain_name(name) ? name : quoted(name));
    if (const int count = ++seen[name]; count > 1) text += fmt::format("~{}", count);
    names.push_back(std::move(text));
  }
  return names;
}

std::string node_text(const Graph& g, std::uint32_t id, const std::vector<std::string>& names,
                      const GraphInput* input) {
  const Node& n = g.nodes[id];
  std::string out = fmt::format("{}: {} = {}", names[id], n.type.str(), op_name(n.op));
  if (input) {
    out += fmt::format(" {}", name(input->kind));
    if (input->name != n.name) out += " " + quoted(input->name);
  }
  for (std::size_t k = 0; k < n.operands.size(); ++k)
    out += (k ? ", " : " ") + names[n.operands[k].id];
  const auto value = n.attrs.find("value");
  if (n.op == Op::constant && n.attrs.size() == 1 && value != n.attrs.end() &&
      n.literal_attr("value").type() == n.type) {
    out += " " + elements(n.literal_attr("value"));
  } else if (!n.attrs.empty()) {
    out += " {";
    bool first = true;
    for (const auto& [key, a] : n.attrs) {
      out += fmt::format("{}{} = {}", first ? "" : ", ", key, attr_text(a));
      first = false;
    }
    out += "}";
  }
  if (n.kernel >= 0) out += fmt::format(" kernel {}", n.kernel);
  return out;
}

}  // namespace

std::string print(const Graph& g,
                  const std::map<std::uint32_t, std::vector<std::string>>& comments) {
  const std::vector<std::string> names = value_names(g);
  std::vector<const GraphInput*> input_of(g.nodes.size(), nullptr);
  for (const GraphInput& in : g.inputs) input_of[in.value.id] = &in;
  std::string out = fmt::format("graph {} {{\n", is_plain_name(g.name) ? g.name : quoted(g.name));
  for (std::uint32_t id = 0; id < g.nodes.size(); ++id) {
    if (const auto above = comments.find(id); above != comments.end())
      for (const std::string& line : above->second) out += fmt::format("  # {}\n", line);
    const Loc& loc = g.nodes[id].loc;
    const std::string text = node_text(g, id, names, input_of[id]);
    if (loc.known())
      out += fmt::format("  {:<72}  @ {}:{}:{}\n", text, quoted(loc.file()), loc.line, loc.column);
    else
      out += fmt::format("  {}\n", text);
  }
  for (const GraphOutput& o : g.outputs)
    out += fmt::format("  output {} {} = {}\n", name(o.kind), quoted(o.name), names[o.value.id]);
  return out + "}\n";
}

}  // namespace dlc
