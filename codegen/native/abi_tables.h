#pragma once
// A loop::Program's buffers and sizes as the plain C tables of codegen/abi/program.h.
#include <deque>
#include <vector>

#include "codegen/abi/program.h"
#include "codegen/native/compiled_program.h"
#include "codegen/native/step_buffers.h"
#include "ir/loop/loop.h"

namespace dlc {

/// The functions of a compiled program; `run_steps` where is_step(program).
struct EntryPoints {
  void (*run)(const dlc_call*) = nullptr;
  void (*run_steps)(const dlc_call*, dlc_steps*) = nullptr;
};
/// Where `find` sees the symbols of the program's entry points.
template <class Find>
EntryPoints entry_points(const loop::Program& p, const Find& find) {
  EntryPoints e{reinterpret_cast<decltype(EntryPoints::run)>(find(kRunSymbol)), nullptr};
  if (is_step(p))
    e.run_steps = reinterpret_cast<decltype(EntryPoints::run_steps)>(find(kRunStepsSymbol));
  return e;
}

/// Owns every table that `program` points into.
class AbiTables {
 public:
  AbiTables(const loop::Program& p, const EntryPoints& entries);
  AbiTables(const AbiTables&) = delete;
  const dlc_program* program() const { return &program_; }

 private:
  const char* text(const std::string& s);
  dlc_dim dim(const Dim& d, const std::vector<std::string>& symbols);

  std::deque<std::string> texts_;
  std::deque<std::vector<dlc_term>> terms_;
  std::deque<std::vector<dlc_dim>> shapes_;
  std::deque<std::vector<std::uint8_t>> constants_;
  std::vector<dlc_buffer> buffers_;
  std::vector<const char*> symbols_;
  std::vector<std::int32_t> metrics_;
  dlc_program program_{};
};

}  // namespace dlc
