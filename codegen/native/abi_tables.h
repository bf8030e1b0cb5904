#pragma once
// A loop::Program's buffers and sizes as the plain C tables of codegen/abi/program.h.
#include <deque>
#include <vector>

#include "codegen/abi/program.h"
#include "ir/loop/loop.h"

namespace dlc {

/// Owns every table that `program` points into.
class AbiTables {
 public:
  AbiTables(const loop::Program& p, void (*run)(const dlc_call*));
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
  dlc_program program_{};
};

}  // namespace dlc
