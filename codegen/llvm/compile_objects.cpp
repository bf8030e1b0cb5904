// The groups of a program's kernels, each a module with a context of its own, compiled by several
// threads. The groups depend on the program alone, and so does the code.
#include <dlfcn.h>
#include <llvm-c/Core.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <functional>
#include <optional>
#include <system_error>
#include <thread>

#include "codegen/llvm/jit.h"
#include "codegen/llvm/program_emitter.h"
#include "codegen/llvm/target.h"
#include "codegen/native/panels.h"
#include "codegen/native/thread_shares.h"

namespace dlc {

namespace {

// A module costs about 1 ms of its own; the more there are, the more evenly threads share them.
constexpr std::size_t kMaxGroups = 8;

/// Milliseconds of processor time by stage, of all threads.
struct Times {
  double emission = 0, passes = 0, code = 0;
  Times& operator+=(const Times& o) {
    emission += o.emission, passes += o.passes, code += o.code;
    return *this;
  }
};

/// Processor time of this thread: what others do meanwhile does not count.
class ThreadClock {
 public:
  double ms() const { return now() - start_; }

 private:
  static double now() {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return 1e3 * static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_nsec);
  }
  double start_ = now();
};

struct Work {
  loop::Program p;
  UniqueKernels kernels;
  std::vector<std::vector<std::size_t>> groups;
  int vector_bits;
  bool profile;

  std::string compile(std::size_t group, const Target& target, Times& times) const {
    ThreadClock clock;
    llvm::LLVMContext context;
    context.setDiscardValueNames(true);
    const auto module = make_module(p.name, context, target);
    emit_kernels(kernels, groups[group], *module, target.unit);
    if (group == 0) emit_entries(p, kernels, *module, target.unit, profile);
    finish_module(*module, target);
    times.emission += clock.ms();
    clock = {};
    optimise(*module, *target.machine);
    times.passes += clock.ms();
    clock = {};
    std::string object = object_code(*module, *target.machine);
    times.code += clock.ms();
    return object;
  }
};

/// Runs `worker` on some threads at a time, this one among them.
void run_on_threads(std::size_t threads, const std::function<void()>& worker) {
  std::vector<std::thread> helpers;
  for (std::size_t t = 1; t < threads; ++t) {
    try {
      helpers.emplace_back(worker);
    } catch (const std::system_error&) {
      break;  // no more threads in this process: those we have do the work
    }
  }
  worker();
  for (std::thread& h : helpers) h.join();
}

std::string file_of_llvm() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&LLVMContextCreate), &info) == 0 || !info.dli_fname)
    return {};
  return info.dli_fname;
}

}  // namespace

ObjectCode compile_objects(const loop::Program& p, const CodegenOptions& options) {
  const VectorUnit unit = host_vector_unit(options.vector_bits);
  loop::Program shared = with_shares(with_panels(p, unit), unit);
  UniqueKernels kernels = unique_kernels(shared);
  Work work{std::move(shared), std::move(kernels), {}, options.vector_bits, options.profile};
  work.groups = compile_groups(work.kernels, kMaxGroups);
  const std::size_t count = work.groups.size();
  const std::size_t threads = options.threads > 0
                                  ? static_cast<std::size_t>(options.threads)
                                  : std::clamp(std::thread::hardware_concurrency(), 1u, 4u);
  ObjectCode result;
  result.objects.resize(count);
  std::vector<Times> times(count);
  std::vector<std::exception_ptr> errors(count);
  std::atomic<std::size_t> next{0};
  run_on_threads(std::min(threads, count), [&] {
    std::optional<Target> target;  // a target machine serves one thread
    for (std::size_t k = next++; k < count; k = next++) {
      try {
        if (!target) target = host_target(work.vector_bits);
        result.objects[k] = work.compile(k, *target, times[k]);
      } catch (...) {
        errors[k] = std::current_exception();
      }
    }
  });
  for (const std::exception_ptr& e : errors)
    if (e) std::rethrow_exception(e);
  Times sum;
  for (const Times& t : times) sum += t;
  options.report("emission", sum.emission);
  options.report("LLVM passes", sum.passes);
  options.report("code generation", sum.code);
  result.made_by = file_of_llvm();
  return result;
}

}  // namespace dlc
