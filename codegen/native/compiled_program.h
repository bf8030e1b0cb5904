#pragma once
// What code generation gives: object code, and a program that runs.
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "codegen/abi/program.h"
#include "ir/loop/loop.h"
#include "ir/support/stage_clock.h"

namespace dlc {

/// The symbols of a program's entry points in its object code; the second one of steps only.
inline constexpr const char* kRunSymbol = "dlc_run";
inline constexpr const char* kRunStepsSymbol = "dlc_run_steps";

/// Owns the machine code and the tables that `program()` points into; keep it alive while it runs.
class CompiledProgram {
 public:
  virtual ~CompiledProgram() = default;
  virtual const dlc_program* program() const = 0;
};

struct CodegenOptions {
  // 128, 256 or 512: vectors of at most that, and no matrices (for tests of other machines)
  int vector_bits = 0;
  int threads = 0;       // that compile at most; 0: one a core, up to four
  bool profile = false;  // the program tells dlc_call.on_kernel when a kernel is done
  bool cache = true;     // whether compile_program looks on the disk and stores there
  /// Told what each stage took, in milliseconds; for what threads share, their processor time.
  std::function<void(std::string_view stage, double ms)> on_time;

  void report(std::string_view stage, double ms) const {
    if (on_time) on_time(stage, ms);
  }
};

/// Object files that together define the entry points.
struct ObjectCode {
  std::vector<std::string> objects;
  std::string made_by;  // the file that LLVM was loaded from
};

/// Puts object code into this process; nullptr when it holds what the small loader does not know.
std::unique_ptr<CompiledProgram> load_program(const loop::Program& p,
                                              const std::vector<std::string>& objects);

}  // namespace dlc
