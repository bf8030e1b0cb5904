#include "codegen/native/autotune.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>

#include "codegen/native/host.h"
#include "codegen/native/llvm_module.h"
#include "codegen/native/unique_kernels.h"
#include "ir/loop/fingerprint.h"

namespace dlc {

namespace {

using Extents = std::map<std::string, std::int64_t>;

constexpr std::size_t kCandidates = 6;
constexpr double kHopeless = 2;  // times the cheapest by the cost model
constexpr int kRounds = 7;
constexpr double kRoundSeconds = 2e-3;

/// What a schedule is kept under: the kernel but for its schedule, whatever the numbers of its
/// buffers in the program; the machine and this build.
Digest tuning_key(const loop::Program& p, const loop::Kernel& kernel, int vector_bits) {
  loop::Program one;
  one.symbols = p.all_symbols();
  for (const loop::Buffer& b : p.buffers)
    one.buffers.push_back({{}, loop::BufferKind::Temp, {b.type.element, {}}, {}, {}});
  one.kernels.push_back(kernel);
  one.kernels[0].contraction[0].schedule = {};
  const loop::Program alone = std::move(unique_kernels(one).kernels[0]);
  std::string all =
      fmt::format("schedule\n{}\n{}\n{}\n", build_id(), vector_bits, host_fingerprint());
  for (const loop::Buffer& b : alone.buffers) all += static_cast<char>(b.type.element);
  return sha256(all + loop::fingerprint(alone.kernels[0]));
}

std::string encode(const loop::ContractSchedule& s) {
  return fmt::format("{} {} {} {}", s.rows, s.vectors, s.k_block, s.packed ? 1 : 0);
}

std::optional<loop::ContractSchedule> decode(const ObjectCode& stored) {
  loop::ContractSchedule s;
  int packed = 0;
  if (stored.objects.size() != 1 || std::sscanf(stored.objects[0].c_str(), "%d %d %d %d", &s.rows,
                                                &s.vectors, &s.k_block, &packed) != 4)
    return std::nullopt;
  s.packed = packed != 0;
  return s;
}

/// All of it in one piece, as a pool gives one to each thread.
void run_here(void*, dlc_kernel_fn fn, void* const* buffers, const std::int64_t* dims,
              std::int64_t count, std::int64_t) {
  fn(buffers, dims, 0, count);
}

void* scratch(std::int64_t bytes) {
  thread_local std::unique_ptr<void, void (*)(void*)> memory(nullptr, std::free);
  thread_local std::int64_t size = 0;
  if (bytes > size) {
    size = (bytes + 63) / 64 * 64;
    memory.reset(std::aligned_alloc(64, static_cast<std::size_t>(size)));
  }
  return memory.get();
}

/// A program of one kernel, compiled, on memory of its own.
class Trial {
 public:
  Trial(const loop::Program& p, const Extents& extents, std::unique_ptr<CompiledProgram> code)
      : code_(std::move(code)), pointers_(p.buffers.size(), nullptr) {
    // A kernel of a loop runs as in its turn 0.
    for (const std::string& s : p.symbols) dims_.push_back(extents.contains(s) ? extents.at(s) : 0);
    tables_.resize(static_cast<std::size_t>(code_->program()->table_entries));
    for (const loop::BufferId b : buffers_of(p.kernels[0])) bind(p, b, extents);
    call_ = {pointers_.data(), dims_.data(), tables_.data(), nullptr,
             run_here,         scratch,      nullptr,        nullptr};
  }

  /// Of one call: a mean over about kRoundSeconds.
  double seconds() {
    using Clock = std::chrono::steady_clock;
    const auto start = Clock::now();
    std::int64_t calls = 0;
    double spent = 0;
    for (std::int64_t more = 1; spent < kRoundSeconds; more *= 2) {
      for (std::int64_t k = 0; k < more; ++k) code_->program()->run(&call_);
      calls += more;
      spent = std::chrono::duration<double>(Clock::now() - start).count();
    }
    return spent / static_cast<double>(calls);
  }

 private:
  void bind(const loop::Program& p, loop::BufferId b, const Extents& extents) {
    const loop::Buffer& buffer = p.buffers[static_cast<std::size_t>(b)];
    void*& to = pointers_[static_cast<std::size_t>(b)];
    if (buffer.alias >= 0) {  // an update is written over its parameter
      void*& parameter = pointers_[static_cast<std::size_t>(buffer.alias)];
      if (!parameter) parameter = allocate(buffer.type, extents);
      to = parameter;
    } else if (!to) {
      to = allocate(buffer.type, extents);
    }
  }

  void* allocate(const Type& type, const Extents& extents) {
    // As the runtime's tensors: in huge pages where it has some, else far rows cost more than
    // there.
    constexpr std::size_t kHugePage = std::size_t{1} << 21;
    const auto bytes = static_cast<std::size_t>(element_count(type.shape).evaluate(extents) *
                                                size_in_bytes(type.element));
    const std::size_t alignment = bytes >= kHugePage ? kHugePage : 64;
    const std::size_t whole = (bytes / alignment + 2) * alignment;
    memory_.emplace_back(std::aligned_alloc(alignment, whole), std::free);
    if (alignment == kHugePage) madvise(memory_.back().get(), whole, MADV_HUGEPAGE);
    // Small numbers, of every float type: 0.0117 in f32 for all four bytes alike.
    constexpr int kByte = 0x3C;
    std::memset(memory_.back().get(), is_float(type.element) ? kByte : 0, bytes);
    return memory_.back().get();
  }

  std::unique_ptr<CompiledProgram> code_;
  std::vector<void*> pointers_, tables_;
  std::vector<std::int64_t> dims_;
  std::vector<std::unique_ptr<void, void (*)(void*)>> memory_;
  dlc_call call_{};
};

/// `p` with kernel `k` alone, in that schedule.
loop::Program alone(const loop::Program& p, const loop::Kernel& k,
                    const loop::ContractSchedule& schedule) {
  loop::Program one;
  one.name = k.name;
  one.symbols = p.all_symbols();
  one.buffers = p.buffers;
  one.kernels.push_back(k);
  one.kernels[0].contraction[0].schedule = schedule;
  return one;
}

std::string shape_of(const loop::Contraction& c) {
  std::string shape;
  for (const loop::ContractIndex& i : c.indices)
    shape += (shape.empty() ? "" : "x") + i.extent.str();
  return shape;
}

}  // namespace

std::string str(const loop::ContractSchedule& s) {
  return fmt::format("{}x{}{}{}", s.rows, s.vectors,
                     s.k_block > 0 ? fmt::format(" by {}", s.k_block) : "",
                     s.packed ? " packed" : "");
}

void autotune(const loop::Program& p, const Extents& extents, const CodegenOptions& options,
              const std::function<void(const TuningReport&)>& report) {
  const VectorUnit unit = llvm_vector_unit(options.vector_bits);
  std::optional<CodeCache> cache;
  if (options.cache) cache = CodeCache::from_environment();
  CodegenOptions plain = options;
  plain.profile = false;
  plain.on_time = {};
  std::set<Digest> known;
  for (const loop::Kernel& k : p.kernels) {
    if (k.contraction.empty() || k.contraction[0].folded) continue;
    const ContractRoles roles = contract_roles(p, k, unit);
    if (!roles.n || roles.matrices || !k.contraction[0].copied.empty())
      continue;  // there is one way
    const Digest key = tuning_key(p, k, options.vector_bits);
    if (!known.insert(key).second) continue;
    std::vector<ScheduleCost> candidates = contract_schedules(p, k, unit);
    const double hopeless = kHopeless * candidates[0].cycles;
    std::erase_if(candidates, [&](const ScheduleCost& c) { return c.cycles > hopeless; });
    if (candidates.size() > kCandidates) candidates.resize(kCandidates);

    TuningReport r{k.name, loop::source_lines(k), shape_of(k.contraction[0]), {}, 0, false};
    std::vector<Trial> trials;
    ObjectCode code;
    for (const ScheduleCost& c : candidates) {
      const loop::Program one = alone(p, k, c.schedule);
      code = llvm_compile(one, plain);
      auto program = load_program(one, code.objects);
      if (!program) program = llvm_link(one, code);
      trials.emplace_back(one, extents, std::move(program));
      r.timed.push_back({c.schedule, trials.back().seconds()});  // the first time for warming up
    }
    // The minimum: other work on the machine only adds. Turn by turn, so that all see the same.
    for (int round = 0; round < kRounds; ++round)
      for (std::size_t t = 0; t < trials.size(); ++t)
        r.timed[t].seconds = std::min(r.timed[t].seconds, trials[t].seconds());
    // What is not clearly faster than the model's choice is noise.
    constexpr double kClearly = 0.98;
    for (std::size_t t = 1; t < trials.size(); ++t)
      if (r.timed[t].seconds < r.timed[r.best].seconds * (r.best == 0 ? kClearly : 1)) r.best = t;
    if (cache) {
      const std::string chosen = encode(r.timed[r.best].schedule);
      r.stored = cache->store(key, {{chosen}, code.made_by});
    }
    report(r);
  }
}

std::optional<loop::Program> with_tuned_schedules(const loop::Program& p, const CodeCache& cache,
                                                  int vector_bits) {
  std::optional<loop::Program> tuned;
  for (std::size_t k = 0; k < p.kernels.size(); ++k) {
    const loop::Kernel& kernel = p.kernels[k];
    if (kernel.contraction.empty() || kernel.contraction[0].schedule.rows > 0) continue;
    const auto stored = cache.find(tuning_key(p, kernel, vector_bits));
    if (!stored) continue;
    const auto schedule = decode(*stored);
    if (!schedule) continue;
    if (!tuned) tuned = p;
    tuned->kernels[k].contraction[0].schedule = *schedule;
  }
  return tuned;
}

}  // namespace dlc
