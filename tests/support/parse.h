#pragma once
// A text of the language through the parser.
#include <string>
#include <vector>

#include "frontend/parser.h"

struct Parse {
  std::string tree, errors;  // the messages, empty when there are none
  std::vector<dlc::Diag> kinds;
  std::vector<std::string> spans;  // the text that each message points at
};

inline Parse parse_text(const std::string& text) {
  using namespace dlc;
  Sources sources;
  Diagnostics diagnostics;
  const int source = sources.add("t.dl", text);
  const ast::File file = parse(sources, source, diagnostics);
  Parse p{print(file), diagnostics.empty() ? "" : diagnostics.render(sources, false), {}, {}};
  for (const Diagnostic& d : diagnostics.all()) {
    p.kinds.push_back(d.kind);
    p.spans.emplace_back(sources.text(d.span));
  }
  return p;
}
