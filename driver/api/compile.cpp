#include "driver/api/compile.h"

#include <filesystem>

#include "codegen/native/autotune.h"
#include "codegen/native/compile_program.h"
#include "driver/api/files.h"
#include "passes/lower/lower.h"
#include "runtime/data/readers.h"
#include "runtime/data/text.h"

namespace dlc {

dlc_dtype to_dtype(ElementType t) { return static_cast<dlc_dtype>(t); }
ElementType to_element(dlc_dtype t) { return static_cast<ElementType>(t); }

Compilation Compilation::from_file(const std::string& path, const CompileOptions& options) {
  return from_text(path, read_text(path), options);
}

Compilation Compilation::from_text(const std::string& name, std::string text,
                                   const CompileOptions& options) {
  Compilation c;
  c.options_ = options;
  c.sources_ = std::make_unique<Sources>();
  c.dir_ = std::filesystem::path(name).parent_path().string();
  FrontendOptions frontend;
  frontend.sets = options.sets;
  frontend.model = options.model;
  frontend.precision = options.precision;
  // Several splits, and sizes in the model, ask for the same files.
  std::map<std::vector<std::string>, Type> probed;
  frontend.probe = [&](const FileSource& file) {
    std::vector<std::string> key{file.reader, file.path};
    key.insert(key.end(), file.further.begin(), file.further.end());
    key.emplace_back();  // what follows are options
    key.insert(key.end(), file.options.begin(), file.options.end());
    if (const auto known = probed.find(key); known != probed.end()) return known->second;
    const FileHeader header =
        probe_file(file.reader, c.locate(file), file.options, c.locate_further(file));
    Type type{to_element(header.dtype), {}};
    for (const std::int64_t d : header.shape) type.shape.emplace_back(d);
    return probed[std::move(key)] = type;
  };
  frontend.count_tokens = [&c](const FileSource& text) {
    return static_cast<std::int64_t>(
        read_vocabulary(text.reader, c.locate_vocabulary(text), text.options).tokens.size());
  };
  const StageClock clock;
  Diagnostics diagnostics;
  const int source = c.sources_->add(name, std::move(text));
  c.module_ = compile_source(*c.sources_, source, frontend, diagnostics);
  if (!diagnostics.empty()) throw SourceError(diagnostics.render(*c.sources_, options.color));
  c.options_.typical_extent = c.module_.train.batch;
  if (is_16_bit_float(c.module_.train.precision)) c.options_.mixed = c.module_.train.precision;
  if (options.times) {
    options.times->add("", "parse and sema", clock.ms());
    options.times->add_total("", clock.ms());
  }
  return c;
}

std::string Compilation::locate(const FileSource& file) const {
  return find_data_file(file.path, dir_, options_.data_dirs);
}

std::string Compilation::locate_vocabulary(const FileSource& text) const {
  return text.further.empty() ? locate(text) : locate_further(text)[0];
}

std::vector<std::string> Compilation::locate_further(const FileSource& file) const {
  std::vector<std::string> result;
  for (const std::string& path : file.further)
    result.push_back(find_data_file(path, dir_, options_.data_dirs));
  return result;
}

const Graph& Compilation::graph(const std::string& name) const {
  const Module& m = module_;
  if (name == "data") {
    if (m.data.splits.empty()) throw UserError(fmt::format("{}: there is no data block", m.file));
    return m.data.splits.front().graph;
  }
  if (!m.has_model) throw UserError(fmt::format("{}: there is no model", m.file));
  if (name == "train_step") {
    if (!m.has_train) throw UserError(fmt::format("{}: there is no train block", m.file));
    return m.train_step;
  }
  if (name == "evaluate") return m.evaluate;
  if (name == "predict") return m.predict;
  if (name == "init") return m.init;
  throw UserError(fmt::format(
      "there is no program `{}`; the programs are train_step, evaluate, predict, init and data",
      name));
}

Graph run_pipeline(const Graph& g, PipelineEnd end, const CompileOptions& options) {
  PassOptions passes;
  passes.verify = options.verify;
  passes.disabled = options.disabled_passes;
  passes.after_each = options.after_each;
  std::vector<PassTiming> timings;
  if (options.times) passes.timings = &timings;
  const bool trains = g.name == "train_step";
  Graph result = run_passes(
      g,
      default_pipeline(end, trains && options.gather_rows, trains ? options.mixed : std::nullopt),
      passes);
  for (const PassTiming& t : timings) options.times->add(g.name, t.pass, t.milliseconds);
  return result;
}

namespace {

/// kernels_of, which leaves the total to its caller.
loop::Program lowered(const Graph& g, const CompileOptions& options) {
  const Graph fused = run_pipeline(g, PipelineEnd::Fused, options);
  StageClock clock;
  loop::Program program = lower(fused);
  if (options.times) options.times->add(g.name, "lower", clock.ms());
  clock = {};
  run_loop_passes(program, options.verify);
  if (options.times) options.times->add(g.name, "plan", clock.ms());
  if (options.memory_limit) {
    clock = {};
    const int again = apply_memory_limit(program, *options.memory_limit);
    if (options.times) {
      options.times->add(g.name, "fit", clock.ms());
      options.times->note(fmt::format("{}: {} kernel{} computed again to fit {}", g.name, again,
                                      again == 1 ? "" : "s", options.memory_limit->text));
    }
  }
  return program;
}

}  // namespace

loop::Program kernels_of(const Graph& g, const CompileOptions& options) {
  const StageClock clock;
  loop::Program program = lowered(g, options);
  if (options.times) options.times->add_total(g.name, clock.ms());
  return program;
}

std::vector<FusionBarrier> barriers_of(const Graph& g, const CompileOptions& options) {
  CompileOptions before_fuse = options;
  before_fuse.disabled_passes.push_back("fuse");
  return fusion_barriers(run_pipeline(g, PipelineEnd::Fused, before_fuse));
}

namespace {

void tune(const loop::Program& kernels, const CodegenOptions& codegen, std::int64_t extent) {
  std::map<std::string, std::int64_t> extents;
  for (const std::string& s : kernels.symbols) extents[s] = extent;
  for (const loop::Loop& l : kernels.loops)
    extents[l.index] = extents[l.odd] = 0;  // the first turn
  autotune(kernels, extents, codegen, [&](const TuningReport& r) {
    std::string times;
    for (const TimedSchedule& t : r.timed)
      times += fmt::format("{}{} {:.4g} us", times.empty() ? "" : ", ", str(t.schedule),
                           t.seconds * 1e6);
    fmt::print(stderr, "autotune: {} {} ({}): {}; {}{}\n", r.kernel, r.shape, r.source, times,
               str(r.timed[r.best].schedule), r.best == 0 ? ", the cost model's choice" : "");
    if (!r.stored)
      fmt::print(stderr, "autotune: there is no cache to keep this in; it is not used\n");
  });
}

}  // namespace

std::unique_ptr<CompiledProgram> compile_kernels(const loop::Program& kernels,
                                                 const CompileOptions& options) {
  CodegenOptions codegen;
  codegen.cache = options.cache;
  codegen.profile = options.profile;
  if (options.times)
    codegen.on_time = [&](std::string_view stage, double ms) {
      options.times->add(kernels.name, stage, ms);
    };
  if (options.autotune) tune(kernels, codegen, options.typical_extent);
  return compile_program(kernels, codegen);
}

std::unique_ptr<CompiledProgram> compile_graph(const Graph& g, const CompileOptions& options) {
  const StageClock clock;
  auto program = compile_kernels(lowered(g, options), options);
  if (options.times) options.times->add_total(g.name, clock.ms());
  return program;
}

}  // namespace dlc
