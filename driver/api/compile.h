#pragma once
// The straight line from a model file to machine code. Every verb and the public API go through
// here.
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "codegen/native/compiled_program.h"
#include "driver/api/compile_times.h"
#include "driver/api/memory_limit.h"
#include "frontend/frontend.h"
#include "ir/loop/loop.h"
#include "passes/graph/fuse.h"
#include "passes/pass_manager.h"
#include "runtime/tensor.h"

namespace dlc {

/// The rendered diagnostics of a model file.
struct SourceError : UserError {
  using UserError::UserError;
};

struct CompileOptions {
  std::map<std::string, std::string> sets;
  std::string model, precision;
  /// bf16 or f16 where the module's training step multiplies in 16 bits; from the module, not the
  /// user.
  std::optional<ElementType> mixed;
  std::vector<std::string> data_dirs;
  std::vector<std::string> disabled_passes;
  bool verify = false;
  /// The training step reads its batch as rows of the whole data set; otherwise its inputs are
  /// batches.
  bool gather_rows = true;
  bool color = false;
  /// The programs tell a hook of each kernel that is done (Executable::set_hook).
  bool profile = false;
  /// Whether compiled code is looked up and kept on the disk.
  bool cache = true;
  /// Times schedules of contractions before compiling; what is found is kept in the cache.
  bool autotune = false;
  /// What every symbolic size is taken for then: the rows of a batch.
  std::int64_t typical_extent = 0;
  /// How large the arena of a program may be.
  std::optional<MemoryLimit> memory_limit;
  /// Where the stages' times go, if anywhere.
  std::shared_ptr<CompileTimes> times;
  std::function<void(std::string_view pass, const Graph& after)> after_each;
};

class Compilation {
 public:
  /// Reads and checks a model file; a SourceError holds what is wrong with it.
  static Compilation from_file(const std::string& path, const CompileOptions& options);
  /// The same from text; `name` stands for the file in messages.
  static Compilation from_text(const std::string& name, std::string text,
                               const CompileOptions& options);

  const Module& module() const { return module_; }
  const Sources& sources() const { return *sources_; }
  const CompileOptions& options() const { return options_; }
  /// Where the reader finds a data block's file, and the further ones of a table.
  std::string locate(const FileSource& file) const;
  std::vector<std::string> locate_further(const FileSource& file) const;
  /// Where the vocabulary of a text is found: in itself, or in the documents that it is like.
  std::string locate_vocabulary(const FileSource& text) const;

  /// One program's graph by name: "train_step", "evaluate", "predict", "init", "data" (the first
  /// split's).
  const Graph& graph(const std::string& name) const;

 private:
  CompileOptions options_;
  std::unique_ptr<Sources> sources_;
  std::string dir_;
  Module module_;
};

Graph run_pipeline(const Graph& g, PipelineEnd end, const CompileOptions& options);
/// Lowered and planned.
loop::Program kernels_of(const Graph& g, const CompileOptions& options);
/// What kept those kernels apart.
std::vector<FusionBarrier> barriers_of(const Graph& g, const CompileOptions& options);
std::unique_ptr<CompiledProgram> compile_kernels(const loop::Program& kernels,
                                                 const CompileOptions& options);
std::unique_ptr<CompiledProgram> compile_graph(const Graph& g, const CompileOptions& options);

dlc_dtype to_dtype(ElementType t);
ElementType to_element(dlc_dtype t);

}  // namespace dlc
