#include "codegen/native/llvm_module.h"

#include <dlfcn.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <new>
#include <vector>

#include "codegen/native/host.h"
#include "ir/support/check.h"

namespace dlc {

namespace {

constexpr const char* kFile = "libdlc_llvm.so";

/// Beside the library or program that this code is in, in the lib folder next to it, and where the
/// build put it.
std::vector<std::string> places() {
  std::vector<std::filesystem::path> homes;
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&llvm_compile), &info) != 0 && info.dli_fname &&
      info.dli_fname[0] == '/')
    homes.emplace_back(std::filesystem::path(info.dli_fname).parent_path());
  std::error_code ignored;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  if (!program.empty()) homes.push_back(program.parent_path());
  std::vector<std::string> result;
  for (const std::filesystem::path& home : homes)
    for (const char* folder : {"", "../lib"}) result.push_back(home / folder / kFile);
  result.push_back(std::filesystem::path(DLC_BUILD_DIR) / kFile);
  return result;
}

/// The module in a library that is open; `why` says why there is none of ours.
const LlvmModule* module_of(void* library, std::string& why) {
  void* entry = dlsym(library, "dlc_llvm_module");
  if (!entry) {
    why = "is not a part of dlc";
    return nullptr;
  }
  const LlvmModule* module = reinterpret_cast<decltype(&dlc_llvm_module)>(entry)();
  if (std::strcmp(module->build_id, build_id()) == 0) return module;
  why = "belongs to another build of dlc; build both anew";
  return nullptr;
}

const LlvmModule& open_module() {
  std::string why;
  for (const std::string& place : places()) {
    if (access(place.c_str(), F_OK) != 0) continue;
    std::string reason;
    // Never closed: the code that it links may run until the end.
    if (void* library = dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL)) {
      if (const LlvmModule* module = module_of(library, reason)) return *module;
    } else {
      const char* text = dlerror();
      reason = fmt::format("cannot be opened: {}", text ? text : "no reason is known");
    }
    if (why.empty()) why = fmt::format("{} {}", place, reason);
  }
  if (why.empty()) why = fmt::format("{} is expected beside the program", kFile);
  throw UserError(fmt::format("nothing can be compiled without LLVM: {}", why));
}

const LlvmModule& llvm_module() {
  static const LlvmModule& module = open_module();
  return module;
}

void check(const LlvmOutcome& outcome) {
  switch (outcome.kind) {
    case LlvmOutcome::Done:
      return;
    case LlvmOutcome::UserMistake:
      throw UserError(outcome.message);
    case LlvmOutcome::NoMemory:
      throw std::bad_alloc();
    case LlvmOutcome::Bug:
      break;
  }
  throw InternalError(outcome.message);
}

}  // namespace

ObjectCode llvm_compile(const loop::Program& p, const CodegenOptions& options) {
  const StageClock loading;
  const LlvmModule& module = llvm_module();
  options.report("load LLVM", loading.ms());
  ObjectCode code;
  check(module.compile(p, options, code));
  return code;
}

std::unique_ptr<CompiledProgram> llvm_link(const loop::Program& p, const ObjectCode& code) {
  std::unique_ptr<CompiledProgram> result;
  check(llvm_module().link(p, code, result));
  return result;
}

VectorUnit llvm_vector_unit(int vector_bits) {
  VectorUnit unit{};
  check(llvm_module().vector_unit(vector_bits, unit));
  return unit;
}

std::string llvm_text(const loop::Program& p, LlvmText stage) {
  std::string result;
  check(llvm_module().text(p, stage, result));
  return result;
}

void release_llvm_pages() {
  const auto release = [](dl_phdr_info* library, std::size_t, void*) {
    const std::string_view name = library->dlpi_name ? library->dlpi_name : "";
    if (name.find("libLLVM") == std::string_view::npos && !name.ends_with(kFile)) return 0;
    const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
    for (int k = 0; k < library->dlpi_phnum; ++k) {
      const ElfW(Phdr)& segment = library->dlpi_phdr[k];
      // Only what nobody can have written is the same in the file: relocated data is not.
      if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
      const std::uintptr_t begin = (library->dlpi_addr + segment.p_vaddr) / page * page;
      const std::uintptr_t end = library->dlpi_addr + segment.p_vaddr + segment.p_memsz;
      madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
    }
    return 0;
  };
  dl_iterate_phdr(release, nullptr);
}

}  // namespace dlc
