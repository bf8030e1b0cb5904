#include "codegen/native/compiled_program.h"

#include "codegen/native/abi_tables.h"
#include "codegen/native/elf_loader.h"

namespace dlc {

namespace {

class LoadedProgram : public CompiledProgram {
 public:
  LoadedProgram(std::unique_ptr<LoadedCode> code, const loop::Program& p,
                const EntryPoints& entries)
      : code_(std::move(code)), tables_(p, entries) {}
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
  if (!code) return nullptr;
  const EntryPoints entries =
      entry_points(p, [&](const char* symbol) { return code->find(symbol); });
  if (!entries.run || (is_step(p) && !entries.run_steps)) return nullptr;
  return std::make_unique<LoadedProgram>(std::move(code), p, entries);
}

}  // namespace dlc
