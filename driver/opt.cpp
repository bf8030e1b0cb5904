// dlc opt: runs passes on a dumped graph.
#include <fmt/format.h>

#include "driver/api/files.h"
#include "driver/verbs.h"
#include "ir/graph/text.h"
#include "passes/lower/lower.h"

namespace dlc {

void add_opt(CLI::App& app) {
  auto* verb = app.add_subcommand("opt", "run passes on a dumped graph");
  struct Options {
    std::string file;
    std::vector<std::string> passes;
    bool each = false, list = false;
  };
  auto o = std::make_shared<Options>();
  verb->add_option("file", o->file, "a graph as `dlc dump` prints it; - is standard input");
  verb->add_option("--passes", o->passes, "pass names in order")->delimiter(',');
  verb->add_flag("--after-each-pass", o->each, "print the graph after every pass");
  verb->add_flag("--list", o->list, "list the passes");
  verb->callback([o] {
    if (o->list) {
      for (const GraphPass& p : graph_passes()) fmt::print("{:<14} {}\n", p.name, p.doc);
      for (const LoopPass& p : loop_passes()) fmt::print("{:<14} {}\n", p.name, p.doc);
      return;
    }
    if (o->file.empty()) throw UserError("dlc opt: a graph file is expected (or --list)");
    PassOptions passes;
    passes.verify = true;
    if (o->each)
      passes.after_each = [](std::string_view pass, const Graph& g) {
        fmt::print("# after {}\n{}\n", pass, print(g));
      };
    for (const Graph& g : parse_graphs(read_text(o->file), o->file)) {
      verify(g);
      const std::string result = run_passes_to_text(g, o->passes, passes);
      const bool on_kernels = !o->passes.empty() && find_loop_pass(o->passes.back());
      if (!o->each || on_kernels) fmt::print("{}", result);
    }
  });
}

}  // namespace dlc
