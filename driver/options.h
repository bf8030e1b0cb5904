#pragma once
// Options that several verbs share.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "driver/api/compile.h"
#include "driver/api/workspace.h"

namespace dlc {

/// What every verb on a model file takes.
struct ModelOptions {
  std::string file;
  std::vector<std::string> sets, data_dirs, disabled;
  std::string model, precision;
  bool verify = false, no_cache = false, time_passes = false, autotune = false;

  void add_to(CLI::App& verb);
  CompileOptions compile_options() const;
  Compilation compile() const { return Compilation::from_file(file, compile_options()); }
};

/// What every verb that runs programs takes.
struct RunOptions {
  int threads = 0;  // 0: default_threads()
  std::optional<std::int64_t> seed;
  std::string load;  // a safetensors file, or empty: fresh parameters from the seed
  std::vector<std::string> load_only;  // patterns: what to take of it; empty: all

  void add_to(CLI::App& verb);
  int thread_count() const { return threads > 0 ? threads : default_threads(); }
  std::int64_t seed_of(const Module& m) const { return seed.value_or(m.train.seed); }
  /// Parameters and states: fresh, then replaced by those of --load.
  TensorMap parameters(const Compilation& c, ThreadPool& pool) const;
  /// The same for what does not train: of the file only what the model computes with counts, not
  /// the states of an optimizer, which may have been another one.
  TensorMap parameters_to_use(const Compilation& c, ThreadPool& pool) const;
};

/// --mem-limit, of the verbs that compile training steps.
struct LimitOptions {
  std::string mem_limit;

  void add_to(CLI::App& verb);
  /// `options`, with the limit for program `g` where one was given; see memory_limit().
  CompileOptions apply_to(CompileOptions options, const Graph& g, const DataSplit* split,
                          std::int64_t batch) const;
};

/// "name=value" options to a map; a UserError for one without `=` or a name given twice.
std::map<std::string, std::string> split_assignments(const std::vector<std::string>& items,
                                                     const std::string& option);
/// Whether messages on stderr may be coloured (a terminal, and NO_COLOR is not set).
bool stderr_takes_color();

}  // namespace dlc
