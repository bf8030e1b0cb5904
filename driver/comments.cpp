#include "driver/comments.h"

#include "driver/api/graph_parts.h"

namespace dlc {

namespace {

std::string heading(GraphPart part) {
  switch (part) {
    case GraphPart::Forward:
      return "---- forward: from the inputs to the loss";
    case GraphPart::Backward:
      return "---- backward: from the loss to the parameters";
    case GraphPart::Update:
      return "---- update: a step down the gradients";
  }
  return "";
}

}  // namespace

std::map<std::uint32_t, std::vector<std::string>> comments(const Graph& g, const Sources& sources) {
  std::map<std::uint32_t, std::vector<std::string>> result;
  const GraphParts parts(g);
  Loc before;
  for (std::uint32_t id = 0; id < g.nodes.size(); ++id) {
    if (parts.several() && (id == 0 || parts.of(id) != parts.of(id - 1))) {
      result[id].push_back(heading(parts.of(id)));
      before = {};
    }
    const Node& n = g.nodes[id];
    if (n.op == Op::input || !n.loc.known()) continue;
    if (n.loc.file() == before.file() && n.loc.line == before.line) continue;
    before = n.loc;
    if (const std::string_view line = sources.line(n.loc); !line.empty())
      result[id].emplace_back(line);
  }
  return result;
}

}  // namespace dlc
