// The SVG is a layered drawing (Sugiyama's method in its simplest form): a node's layer is the
// longest path to it, the order inside a layer follows the mean position of the operands
// (barycentres, a few sweeps), coordinates come from the order.
#include "driver/render.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "ir/graph/text.h"

namespace dlc {

namespace {

std::string label(const Graph& g, std::uint32_t id) {
  const Node& n = g.nodes[id];
  return n.name.empty() ? std::string(op_name(n.op))
                        : fmt::format("{} = {}", n.name, op_name(n.op));
}

/// Constants and their broadcasts say little in a picture: drawn small.
bool is_minor(const Node& n) {
  return n.op == Op::constant || n.op == Op::broadcast || n.op == Op::dim;
}

std::string colour(const Graph& g, std::uint32_t id) {
  for (const GraphInput& in : g.inputs)
    if (in.value.id == id)
      return in.kind == InputKind::Param || in.kind == InputKind::State ? "#cfe8cf" : "#cfe0f5";
  for (const GraphOutput& out : g.outputs)
    if (out.value.id == id) return "#f8d9c0";
  return is_minor(g.nodes[id]) ? "#f0f0f0" : "#ffffff";
}

std::string escape(std::string_view text, bool dot) {
  std::string out;
  for (const char ch : text) {
    if (dot && (ch == '"' || ch == '\\')) out += '\\';
    if (!dot && ch == '<')
      out += "&lt;";
    else if (!dot && ch == '>')
      out += "&gt;";
    else if (!dot && ch == '&')
      out += "&amp;";
    else if (!dot && ch == '"')
      out += "&quot;";
    else
      out += ch;
  }
  return out;
}

nlohmann::ordered_json attr_json(const Attr& a) {
  if (const auto* v = std::get_if<std::int64_t>(&a)) return *v;
  if (const auto* v = std::get_if<double>(&a)) return *v;
  if (const auto* v = std::get_if<std::string>(&a)) return *v;
  if (const auto* v = std::get_if<std::vector<std::int64_t>>(&a)) return *v;
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  if (const auto* v = std::get_if<Shape>(&a)) {
    for (const Dim& d : *v) list.push_back(d.str());
    return list;
  }
  if (const auto* v = std::get_if<std::shared_ptr<const Graph>>(&a)) return print(**v);
  const Literal& literal = *std::get<std::shared_ptr<const Literal>>(a);
  for (std::int64_t k = 0; k < literal.size(); ++k) list.push_back(literal.at(k));
  return list;
}

/// Node positions: x[id], y[id] in drawing units.
struct Layout {
  std::vector<double> x;
  std::vector<int> layer;
  double width = 0;
  int layers = 0;
};

constexpr double kColumn = 190, kRow = 78, kBoxWidth = 170, kBoxHeight = 44, kMargin = 20;

Layout lay_out(const Graph& g) {
  const std::size_t count = g.nodes.size();
  Layout l{std::vector<double>(count, 0.0), std::vector<int>(count, 0)};
  for (std::size_t id = 0; id < count; ++id)
    for (const Value v : g.nodes[id].operands)
      l.layer[id] = std::max(l.layer[id], l.layer[v.id] + 1);
  std::vector<std::vector<std::uint32_t>> users(count);
  for (std::uint32_t id = 0; id < count; ++id)
    for (const Value v : g.nodes[id].operands) users[v.id].push_back(id);
  // A source sits just above its first user, not at the top.
  for (std::size_t id = 0; id < count; ++id) {
    if (!g.nodes[id].operands.empty() || users[id].empty()) continue;
    int first = l.layer[users[id][0]];
    for (const std::uint32_t user : users[id]) first = std::min(first, l.layer[user]);
    l.layer[id] = first - 1;
  }
  std::vector<std::vector<std::uint32_t>> rows;
  for (std::uint32_t id = 0; id < count; ++id) {
    if (rows.size() <= static_cast<std::size_t>(l.layer[id])) rows.resize(l.layer[id] + 1);
    rows[l.layer[id]].push_back(id);
  }
  std::size_t widest = 1;
  for (const auto& row : rows) widest = std::max(widest, row.size());
  const auto place = [&](const std::vector<std::uint32_t>& row) {
    const double start = (static_cast<double>(widest) - static_cast<double>(row.size())) / 2;
    for (std::size_t k = 0; k < row.size(); ++k) l.x[row[k]] = start + static_cast<double>(k);
  };
  for (const auto& row : rows) place(row);
  for (int sweep = 0; sweep < 8; ++sweep) {
    for (auto& row : rows) {
      std::vector<double> centre(count, 0.0);
      for (const std::uint32_t id : row) {
        double sum = 0;
        int n = 0;
        for (const Value v : g.nodes[id].operands) sum += l.x[v.id], ++n;
        for (const std::uint32_t user : users[id]) sum += l.x[user], ++n;
        centre[id] = n ? sum / n : l.x[id];
      }
      std::stable_sort(row.begin(), row.end(),
                       [&](auto a, auto b) { return centre[a] < centre[b]; });
      place(row);
    }
  }
  l.width = static_cast<double>(widest);
  l.layers = static_cast<int>(rows.size());
  return l;
}

}  // namespace

std::string to_json(const Graph& g) {
  using json = nlohmann::ordered_json;
  json nodes = json::array();
  for (std::size_t id = 0; id < g.nodes.size(); ++id) {
    const Node& n = g.nodes[id];
    json operands = json::array(), shape = json::array(), attrs = json::object();
    for (const Value v : n.operands) operands.push_back(v.id);
    for (const Dim& d : n.type.shape) shape.push_back(d.str());
    for (const auto& [key, value] : n.attrs) attrs[key] = attr_json(value);
    json node{{"id", id},       {"op", op_name(n.op)},          {"operands", operands},
              {"attrs", attrs}, {"type", name(n.type.element)}, {"shape", shape}};
    if (!n.name.empty()) node["name"] = n.name;
    if (n.loc.known())
      node["loc"] = fmt::format("{}:{}:{}", n.loc.file(), n.loc.line, n.loc.column);
    if (n.kernel >= 0) node["kernel"] = n.kernel;
    nodes.push_back(std::move(node));
  }
  json inputs = json::array(), outputs = json::array();
  for (const GraphInput& in : g.inputs)
    inputs.push_back({{"name", in.name}, {"kind", name(in.kind)}, {"node", in.value.id}});
  for (const GraphOutput& out : g.outputs)
    outputs.push_back({{"name", out.name}, {"kind", name(out.kind)}, {"node", out.value.id}});
  return json{{"name", g.name}, {"nodes", nodes}, {"inputs", inputs}, {"outputs", outputs}}.dump(
             1) +
         "\n";
}

std::string to_dot(const Graph& g) {
  std::string out =
      fmt::format("digraph \"{}\" {{\n  node [shape=box, style=filled, fontname=Helvetica];\n",
                  escape(g.name, true));
  for (std::uint32_t id = 0; id < g.nodes.size(); ++id)
    out += fmt::format("  n{} [label=\"{}\\n{}\", fillcolor=\"{}\"];\n", id,
                       escape(label(g, id), true), g.nodes[id].type.str(), colour(g, id));
  for (std::uint32_t id = 0; id < g.nodes.size(); ++id)
    for (const Value v : g.nodes[id].operands) out += fmt::format("  n{} -> n{};\n", v.id, id);
  return out + "}\n";
}

std::string to_svg(const Graph& g) {
  const Layout l = lay_out(g);
  const auto left = [&](std::uint32_t id) { return kMargin + l.x[id] * kColumn; };
  const auto top = [&](std::uint32_t id) { return kMargin + l.layer[id] * kRow; };
  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{:.0f}\" height=\"{:.0f}\" "
      "font-family=\"Helvetica, sans-serif\" font-size=\"12\">\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
      2 * kMargin + l.width * kColumn, 2 * kMargin + l.layers * kRow);
  for (std::uint32_t id = 0; id < g.nodes.size(); ++id)
    for (const Value v : g.nodes[id].operands)
      out += fmt::format(
          "<path d=\"M{0:.0f} {1:.0f} C{0:.0f} {2:.0f} {3:.0f} {4:.0f} {3:.0f} {5:.0f}\" "
          "fill=\"none\" "
          "stroke=\"#999\"/>\n",
          left(v.id) + kBoxWidth / 2, top(v.id) + kBoxHeight, top(v.id) + kBoxHeight + 20,
          left(id) + kBoxWidth / 2, top(id) - 20, top(id));
  for (std::uint32_t id = 0; id < g.nodes.size(); ++id) {
    const Node& n = g.nodes[id];
    out += fmt::format(
        "<g><title>{}</title><rect x=\"{:.0f}\" y=\"{:.0f}\" width=\"{:.0f}\" height=\"{:.0f}\" "
        "rx=\"5\" "
        "fill=\"{}\" stroke=\"#555\"/><text x=\"{:.0f}\" y=\"{:.0f}\" "
        "text-anchor=\"middle\">{}</text>"
        "<text x=\"{:.0f}\" y=\"{:.0f}\" text-anchor=\"middle\" fill=\"#666\">{}</text></g>\n",
        escape(n.loc.known() ? fmt::format("{}:{}", n.loc.file(), n.loc.line) : label(g, id),
               false),
        left(id), top(id), kBoxWidth, kBoxHeight, colour(g, id), left(id) + kBoxWidth / 2,
        top(id) + 18, escape(label(g, id).substr(0, 26), false), left(id) + kBoxWidth / 2,
        top(id) + 35, escape(n.type.str(), false));
  }
  return out + "</svg>\n";
}

}  // namespace dlc
