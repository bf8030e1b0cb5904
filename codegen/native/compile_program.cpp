#include "codegen/native/compile_program.h"

#include <optional>

#include "codegen/native/autotune.h"
#include "codegen/native/code_cache.h"
#include "codegen/native/llvm_module.h"

namespace dlc {

namespace {

/// The code of an earlier run, loaded; nullptr when there is none.
std::unique_ptr<CompiledProgram> from_cache(const loop::Program& p, const CodeCache& cache,
                                            const Digest& key) {
  const std::optional<ObjectCode> code = cache.find(key);
  return code ? load_program(p, code->objects) : nullptr;
}

std::unique_ptr<CompiledProgram> compile(const loop::Program& p, std::optional<CodeCache> cache,
                                         const CodegenOptions& options) {
  Digest key{};
  if (cache) {
    const StageClock clock;
    key = cache_key(p, options.vector_bits, options.profile);
    auto known = from_cache(p, *cache, key);
    options.report(known ? "cache hit" : "cache miss", clock.ms());
    if (known) return known;
  }
  const ObjectCode code = llvm_compile(p, options);
  StageClock clock;
  auto program = load_program(p, code.objects);
  // What the small loader does not know is linked by LLVM each time.
  if (!program) program = llvm_link(p, code), cache.reset();
  options.report("linking", clock.ms());
  if (cache) {
    clock = {};
    cache->store(key, code);
    options.report("cache store", clock.ms());
  }
  return program;
}

}  // namespace

std::unique_ptr<CompiledProgram> compile_program(const loop::Program& p,
                                                 const CodegenOptions& options) {
  std::optional<CodeCache> cache;
  if (options.cache) cache = CodeCache::from_environment();
  if (!cache) return compile(p, cache, options);
  const std::optional<loop::Program> tuned = with_tuned_schedules(p, *cache, options.vector_bits);
  return compile(tuned ? *tuned : p, cache, options);
}

}  // namespace dlc
