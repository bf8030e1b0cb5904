#include "driver/options.h"

#include <unistd.h>

#include <cstdlib>

#include "driver/api/vocabulary.h"
#include "runtime/checkpoint.h"

namespace dlc {

void ModelOptions::add_to(CLI::App& verb) {
  verb.add_option("file", file, "the model file (.dl)")->required();
  verb.add_option("--set", sets, "NAME=VALUE: a const or a setting of the train block");
  verb.add_option("--data", data_dirs, "a directory to look for data files in");
  verb.add_option("--model", model, "which model, when the file has several");
  verb.add_option("--precision", precision,
                  "the train block's setting `precision`: f32, f64, or bf16 or f16 in training")
      ->check(CLI::IsMember({"f32", "f64", "bf16", "f16"}));
  verb.add_option("--disable-pass", disabled, "leave a graph pass out")->group("Debugging");
  verb.add_flag("--verify", verify, "verify the graph after every pass")->group("Debugging");
  verb.add_flag("--time-passes", time_passes, "print what each stage of compiling took")
      ->group("Debugging");
  verb.add_flag("--autotune", autotune,
                "time the best few schedules of each matrix product and keep the fastest");
  verb.add_flag("--no-cache", no_cache, "compile anew and keep nothing (also: DLC_CACHE=0)")
      ->group("Debugging");
  // An option is repeated for several values; it never takes the file name after it.
  for (CLI::Option* o : verb.get_options())
    if (o->get_name() == "--set" || o->get_name() == "--data" || o->get_name() == "--disable-pass")
      o->expected(1)->take_all();
}

CompileOptions ModelOptions::compile_options() const {
  CompileOptions o;
  o.sets = split_assignments(sets, "--set");
  if (const auto set = o.sets.find("precision");
      set != o.sets.end() && !precision.empty() && set->second != precision)
    throw UserError(fmt::format(
        "--precision {} and --set precision={} are the same setting with two values; give one",
        precision, set->second));
  o.model = model;
  o.precision = precision;
  o.data_dirs = data_dirs;
  for (const std::string& name : disabled) {
    if (!find_graph_pass(name)) {
      std::string names;
      for (const GraphPass& p : graph_passes()) names += fmt::format(" {}", p.name);
      throw UserError(
          fmt::format("--disable-pass {}: there is no such pass; the passes are{}", name, names));
    }
    o.disabled_passes.push_back(name);
  }
  o.verify = verify;
  o.cache = !no_cache;
  if (autotune && no_cache)
    throw UserError("--autotune keeps what it finds in the cache; leave --no-cache out");
  o.autotune = autotune;
  // Printed when the verb is through with its compilation, whatever the outcome.
  if (time_passes)
    o.times = std::shared_ptr<CompileTimes>(new CompileTimes, [](CompileTimes* times) {
      fmt::print(stderr, "{}", times->table());
      delete times;
    });
  o.color = stderr_takes_color();
  return o;
}

void RunOptions::add_to(CLI::App& verb) {
  verb.add_option("--threads", threads, "worker threads (default: all cores, or DLC_THREADS)")
      ->check(CLI::Range(1, 1024));
  verb.add_option("--seed", seed, "the seed of initialisation, data and shuffling");
  auto* whole = verb.add_option("--load", load, "parameters to start from (.safetensors)");
  verb.add_option(
          "--load-only", load_only,
          "PATTERN: of --load only parameters of such names (`conv2d_*`), which may be given "
          "several times; the others start anew")
      ->expected(1)
      ->take_all()
      ->needs(whole);
}

TensorMap RunOptions::parameters(const Compilation& c, ThreadPool& pool) const {
  TensorMap tensors = initialise(c, seed_of(c.module()), pool);
  if (!load.empty()) {
    check_vocabulary(c, load);
    load_parameters(tensors, load, load_only);
  }
  return tensors;
}

TensorMap RunOptions::parameters_to_use(const Compilation& c, ThreadPool& pool) const {
  if (load.empty() || !load_only.empty()) return parameters(c, pool);
  TensorMap tensors = initialise(c, seed_of(c.module()), pool);
  check_vocabulary(c, load);
  std::vector<std::string> used;
  for (const Graph* g : {&c.module().evaluate, &c.module().predict, &c.module().generate})
    for (const GraphInput& in : g->inputs)
      if (tensors.contains(in.name)) used.push_back(in.name);
  if (!used.empty()) load_part(tensors, load_safetensors(load), load, used);
  return tensors;
}

void LimitOptions::add_to(CLI::App& verb) {
  verb.add_option("--mem-limit", mem_limit,
                  "SIZE (64MiB, 1.5GiB, bytes): at most that for a step's intermediates, beside "
                  "parameters and data; cheap ones are computed again to fit");
}

CompileOptions LimitOptions::apply_to(CompileOptions options, const Graph& g,
                                      const DataSplit* split, std::int64_t batch) const {
  if (!mem_limit.empty()) options.memory_limit = memory_limit(mem_limit, g, split, batch);
  return options;
}

std::map<std::string, std::string> split_assignments(const std::vector<std::string>& items,
                                                     const std::string& option) {
  std::map<std::string, std::string> result;
  for (const std::string& item : items) {
    const std::size_t at = item.find('=');
    if (at == std::string::npos || at == 0)
      throw UserError(fmt::format("{} {}: NAME=VALUE is expected", option, item));
    if (!result.emplace(item.substr(0, at), item.substr(at + 1)).second)
      throw UserError(fmt::format("{} {}: given twice", option, item.substr(0, at)));
  }
  return result;
}

bool stderr_takes_color() { return isatty(STDERR_FILENO) && !std::getenv("NO_COLOR"); }

}  // namespace dlc
