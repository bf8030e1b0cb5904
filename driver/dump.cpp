// dlc dump: any stage of the compiler as text or picture.
#include <fmt/format.h>

#include "codegen/native/llvm_module.h"
#include "driver/api/files.h"
#include "driver/comments.h"
#include "driver/options.h"
#include "driver/render.h"
#include "driver/verbs.h"
#include "frontend/parser.h"
#include "ir/graph/text.h"

namespace dlc {

namespace {

struct DumpOptions {
  ModelOptions model;
  LimitOptions limit;
  std::string stage = "graph", of, format = "text";
  bool each = false, why = false;
};

std::string dump_ast(const DumpOptions& o) {
  Sources sources;
  Diagnostics diagnostics;
  const int source = sources.add(o.model.file, read_text(o.model.file));
  const ast::File file = parse(sources, source, diagnostics);
  if (!diagnostics.empty()) throw SourceError(diagnostics.render(sources, stderr_takes_color()));
  return print(file);
}

/// `sources` where the graph is still in the order of the model file.
std::string render_graph(const Graph& g, const std::string& format, const Sources* sources) {
  if (format == "dot") return to_dot(g);
  if (format == "svg") return to_svg(g);
  if (format == "json") return to_json(g);
  return sources ? print(g, comments(g, *sources)) : print(g);
}

/// Which neighbours among the kernels did not become one, and why.
std::string render_barriers(const loop::Program& p, const std::vector<FusionBarrier>& barriers) {
  const auto name_of = [&](int number) -> std::string {
    const std::string start = fmt::format("k{}_", number);
    for (const loop::Kernel& k : p.kernels)
      if (k.name.starts_with(start)) return k.name;
    return fmt::format("k{}", number);
  };
  std::string text = "\nwhy kernels stayed apart (->: reads its result; |: only comes next)\n";
  for (const FusionBarrier& b : barriers)
    text += fmt::format(
        "  {} {} {}{}\n    {}\n", name_of(b.from), b.reads ? "->" : "|", name_of(b.to),
        b.loc.known() ? fmt::format("  @ {}:{}", b.loc.file(), b.loc.line) : "", b.reason);
  return text;
}

/// The program that shows most: the training step where there is one.
std::string default_program(const Module& m) {
  if (m.has_train) return "train_step";
  return m.has_model ? "evaluate" : "data";
}

std::string dump(const DumpOptions& o) {
  const bool is_graph = o.stage == "graph" || o.stage == "backward" || o.stage == "optimized";
  if (!is_graph && o.format != "text")
    throw UserError(fmt::format("--format {}: stage {} has a text form only", o.format, o.stage));
  if ((is_graph || o.stage == "ast") && !o.limit.mem_limit.empty())
    throw UserError(fmt::format(
        "--mem-limit {}: memory is planned after stage {}; use --stage kernels, llvm or asm",
        o.limit.mem_limit, o.stage));
  if (o.why && o.stage != "kernels")
    throw UserError(
        fmt::format("--why: stage {} has no kernels yet; use --stage kernels", o.stage));
  if (o.stage == "ast") return dump_ast(o);
  const Compilation c = o.model.compile();
  CompileOptions options = c.options();
  if (o.each)
    options.after_each = [&](std::string_view pass, const Graph& g) {
      fmt::print("# after {}\n{}\n", pass, print(g));
    };
  const Graph& g = c.graph(o.of.empty() ? default_program(c.module()) : o.of);
  if (o.stage == "graph") return render_graph(g, o.format, &c.sources());
  if (o.stage == "backward")
    return render_graph(run_pipeline(g, PipelineEnd::Backward, options), o.format, &c.sources());
  if (o.stage == "optimized")
    return render_graph(run_pipeline(g, PipelineEnd::Optimized, options), o.format, nullptr);
  const Module& m = c.module();
  const loop::Program kernels =
      kernels_of(g, o.limit.apply_to(options, g, train_split(m), m.train.batch));
  if (o.stage == "kernels")
    return loop::print(kernels) + (o.why ? render_barriers(kernels, barriers_of(g, options)) : "");
  return llvm_text(kernels, o.stage == "llvm" ? LlvmText::Optimized : LlvmText::Assembly);
}

}  // namespace

void add_dump(CLI::App& app) {
  auto* verb = app.add_subcommand("dump", "print any stage of the compiler");
  auto o = std::make_shared<DumpOptions>();
  o->model.add_to(*verb);
  o->limit.add_to(*verb);
  verb->add_option("--stage", o->stage, "ast, graph, backward, optimized, kernels, llvm or asm")
      ->check(CLI::IsMember({"ast", "graph", "backward", "optimized", "kernels", "llvm", "asm"}))
      ->capture_default_str();
  verb->add_option("--of", o->of,
                   "train_step, predict, evaluate, init or data (default: the training step)");
  verb->add_option("--format", o->format, "text, dot, svg or json")
      ->check(CLI::IsMember({"text", "dot", "svg", "json"}))
      ->capture_default_str();
  verb->add_flag("--why", o->why,
                 "with stage kernels: for neighbours that are two, what kept them apart");
  verb->add_flag("--after-each-pass", o->each, "print the graph after every pass as well");
  verb->callback([o] { fmt::print("{}", dump(*o)); });
}

}  // namespace dlc
