#include "tests/support/text.h"

#include "ir/graph/text.h"

using namespace dlc;

Graph graph_of(std::string_view text) {
  std::vector<Graph> graphs = parse_graphs(text, "test.ir");
  DLC_CHECK(graphs.size() == 1, "{} graphs in the text", graphs.size());
  return std::move(graphs[0]);
}

std::string round_trip_error(const Graph& g) {
  const std::string text = print(g);
  try {
    const Graph back = graph_of(text);
    verify(back);
    if (const std::string again = print(back); again != text)
      return "printed:\n" + text + "printed again:\n" + again;
    return {};
  } catch (const std::exception& e) {
    return e.what() + ("\n" + text);
  }
}
