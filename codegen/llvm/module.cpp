// What libdlc_llvm.so offers to codegen/native/llvm_module.h.
#include <new>

#include "codegen/llvm/jit.h"
#include "codegen/native/host.h"
#include "codegen/native/llvm_module.h"
#include "ir/support/check.h"

namespace dlc {

namespace {

template <class F>
LlvmOutcome guarded(const F& f) {
  try {
    f();
    return {};
  } catch (const UserError& e) {
    return {LlvmOutcome::UserMistake, e.what()};
  } catch (const std::bad_alloc&) {
    return {LlvmOutcome::NoMemory, {}};
  } catch (const std::exception& e) {
    return {LlvmOutcome::Bug, e.what()};
  }
}

constexpr auto kCompile = [](const loop::Program& p, const CodegenOptions& options,
                             ObjectCode& out) {
  return guarded([&] { out = compile_objects(p, options); });
};
constexpr auto kLink = [](const loop::Program& p, const ObjectCode& code,
                          std::unique_ptr<CompiledProgram>& out) {
  return guarded([&] { out = link_with_llvm(p, code); });
};
constexpr auto kText = [](const loop::Program& p, LlvmText stage, std::string& out) {
  return guarded([&] {
    out = stage == LlvmText::Assembly ? assembly_text(p)
                                      : llvm_ir_text(p, stage == LlvmText::Optimized);
  });
};

constexpr auto kVectorUnit = [](int vector_bits, VectorUnit& out) {
  return guarded([&] { out = host_vector_unit(vector_bits); });
};

}  // namespace

}  // namespace dlc

const dlc::LlvmModule* dlc_llvm_module() {
  static const dlc::LlvmModule module{dlc::build_id(), dlc::kCompile, dlc::kLink, dlc::kText,
                                      dlc::kVectorUnit};
  return &module;
}
