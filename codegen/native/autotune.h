#pragma once
// Schedules of contractions by the clock: the cost model's few best are timed on this machine, and
// the fastest is kept in the code cache, where later compilations find it. A schedule changes no
// bit of a result of f32 or f64 (the order of a sum is k's alone).
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "codegen/native/code_cache.h"
#include "codegen/native/contract_schedule.h"

namespace dlc {

struct TimedSchedule {
  loop::ContractSchedule schedule;
  double seconds;
};
/// What was found for one contraction; the first of `timed` is the cost model's choice.
struct TuningReport {
  std::string kernel, source, shape;  // "k1_contract", "std/layers.dl:7", "256x784x256"
  std::vector<TimedSchedule> timed;
  std::size_t best;
  bool stored;  // in the cache
};

/// Times the contractions of a planned program, with its symbols at these extents. Equal ones are
/// timed once. Loads LLVM.
void autotune(const loop::Program& p, const std::map<std::string, std::int64_t>& extents,
              const CodegenOptions& options,
              const std::function<void(const TuningReport&)>& report);

/// The program with the schedules that were found for its contractions; nullopt when none was.
std::optional<loop::Program> with_tuned_schedules(const loop::Program& p, const CodeCache& cache,
                                                  int vector_bits);

/// "6x4 by 512 packed": rows and vectors of a tile, the block of k.
std::string str(const loop::ContractSchedule& s);

}  // namespace dlc
