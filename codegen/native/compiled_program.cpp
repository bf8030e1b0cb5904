#include "codegen/native/compiled_program.h"

#include "codegen/native/abi_tables.h"
#include "codegen/native/elf_loader.h"

namespace dlc {

namespace {

using Run = void (*)(const dlc_call*);

class LoadedProgram : public CompiledProgram {
 public:
  LoadedProgram(std::unique_ptr<LoadedCode> code, const loop::Program& p, Run run)
      : code_(std::move(code)), tables_(p, run) {}
  const dlc_program* program() const override { return tables_.program(); }

 private:
  std::unique_ptr<LoadedCode> code_;
  AbiTables tables_;
};

}  // namespace

std::unique_ptr<CompiledProgram> load_program(const loop::Program& p,
                                              const std::vector<std::string>& objects) {
  std::string why;
  std::unique_ptr<LoadedCode> code = LoadedCode::load(objects, why);
  void* run = code ? code->find(kRunSymbol) : nullptr;
  if (!run) return nullptr;
  return std::make_unique<LoadedProgram>(std::move(code), p, reinterpret_cast<Run>(run));
}

}  // namespace dlc
