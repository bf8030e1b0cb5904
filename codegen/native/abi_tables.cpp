#include "codegen/native/abi_tables.h"

#include <algorithm>

#include "codegen/native/unique_kernels.h"
#include "ir/support/check.h"

namespace dlc {

static_assert(static_cast<int>(ElementType::Bool) == DLC_BOOL &&
                  static_cast<int>(ElementType::I32) == DLC_I32,
              "dlc_dtype has ElementType's order");
static_assert(static_cast<int>(loop::BufferKind::Local) == DLC_LOCAL &&
                  static_cast<int>(loop::BufferKind::Scalar) == DLC_SCALAR,
              "dlc_buffer_kind has BufferKind's order");

const char* AbiTables::text(const std::string& s) {
  texts_.push_back(s);
  return texts_.back().c_str();
}

dlc_dim AbiTables::dim(const Dim& d, const std::vector<std::string>& symbols) {
  dlc_dim result{d.constant(), 0, nullptr};
  if (d.is_constant()) return result;
  std::vector<dlc_term>& terms = terms_.emplace_back();
  for (const auto& [monomial, coefficient] : d.terms()) {
    dlc_term term{coefficient, {-1, -1, -1, -1}};
    DLC_CHECK(monomial.size() <= 4, "the dimension {} has a product of more than four names",
              d.str());
    for (std::size_t k = 0; k < monomial.size(); ++k) {
      const auto at = std::find(symbols.begin(), symbols.end(), monomial[k]);
      DLC_CHECK(at != symbols.end(), "the program has no symbol {}", monomial[k]);
      term.symbols[k] = static_cast<std::int32_t>(at - symbols.begin());
    }
    terms.push_back(term);
  }
  result.num_terms = static_cast<std::int32_t>(terms.size());
  result.terms = terms.data();
  return result;
}

AbiTables::AbiTables(const loop::Program& p, const EntryPoints& entries) {
  for (const std::string& s : p.symbols) symbols_.push_back(text(s));
  for (const loop::Buffer& b : p.buffers) {
    std::vector<dlc_dim>& shape = shapes_.emplace_back();
    for (const Dim& d : b.type.shape) shape.push_back(dim(d, p.symbols));
    dlc_buffer out{};
    out.name = text(b.name);
    out.kind = static_cast<std::int32_t>(b.kind);
    out.dtype = static_cast<std::int32_t>(b.type.element);
    out.rank = b.type.rank();
    out.shape = shape.data();
    out.arena_offset = dim(b.arena_offset, p.symbols);
    if (b.kind == loop::BufferKind::Constant) {
      constants_.push_back(b.data);
      out.data = constants_.back().data();
    }
    out.alias = b.alias;
    buffers_.push_back(out);
  }
  program_.abi_version = DLC_ABI_VERSION;
  program_.name = text(p.name);
  program_.num_buffers = static_cast<std::int32_t>(buffers_.size());
  program_.buffers = buffers_.data();
  program_.num_symbols = static_cast<std::int32_t>(symbols_.size());
  program_.symbols = symbols_.data();
  program_.arena_bytes = dim(p.arena_bytes, p.symbols);
  const StepBuffers step = step_buffers(p);
  metrics_.assign(step.metrics.begin(), step.metrics.end());
  program_.table_entries = table_entries(p);
  program_.rows_buffer = step.rows;
  program_.step_buffer = step.step;
  program_.num_metrics = static_cast<std::int32_t>(metrics_.size());
  program_.metrics = metrics_.data();
  program_.run = entries.run;
  program_.run_steps = entries.run_steps;
}

}  // namespace dlc
