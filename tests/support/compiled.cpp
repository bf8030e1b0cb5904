#include "tests/support/compiled.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "codegen/reference/interpreter.h"
#include "ir/support/float16.h"
#include "passes/lower/lower.h"
#include "passes/pass_manager.h"
#include "runtime/executable.h"

using namespace dlc;

namespace {

/// Memory whose last byte is followed by a page that must not be touched: code that reads or writes
/// beyond the end of a buffer does not get away with it.
class GuardedMemory {
 public:
  explicit GuardedMemory(std::size_t bytes) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t used = (bytes + page - 1) / page * page;
    mapped_ = used + page;
    start_ = static_cast<char*>(
        mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    DLC_CHECK(start_ != MAP_FAILED, "no memory for a test");
    DLC_CHECK(mprotect(start_ + used, page, PROT_NONE) == 0, "no guard page for a test");
    data_ = start_ + used - bytes;
  }
  GuardedMemory(GuardedMemory&& o) noexcept
      : start_(std::exchange(o.start_, nullptr)), data_(o.data_), mapped_(o.mapped_) {}
  ~GuardedMemory() {
    if (start_) munmap(start_, mapped_);
  }
  void* data() const { return data_; }

 private:
  char *start_, *data_;
  std::size_t mapped_;
};

template <class T>
void fill(void* to, const Literal& l) {
  for (std::int64_t k = 0; k < l.size(); ++k) {
    const auto at = static_cast<std::size_t>(k);
    static_cast<T*>(to)[k] =
        is_float(l.element) ? static_cast<T>(l.f[at]) : static_cast<T>(l.i[at]);
  }
}

void fill(void* to, const Literal& l) {
  for (std::int64_t k = 0; is_16_bit_float(l.element) && k < l.size(); ++k) {
    const auto v = static_cast<float>(l.f[static_cast<std::size_t>(k)]);
    static_cast<std::uint16_t*>(to)[k] =
        l.element == ElementType::BF16 ? f32_to_bf16(v) : f32_to_f16(v);
  }
  switch (l.element) {
    case ElementType::BF16:
    case ElementType::F16:
      return;
    case ElementType::F32:
      return fill<float>(to, l);
    case ElementType::F64:
      return fill<double>(to, l);
    case ElementType::I32:
      return fill<std::int32_t>(to, l);
    case ElementType::I64:
      return fill<std::int64_t>(to, l);
    default:
      return fill<std::uint8_t>(to, l);
  }
}

void bind_symbols(Executable& e, const Graph& g, const std::map<std::string, Literal>& inputs) {
  for (const GraphInput& in : g.inputs) {
    const Shape& shape = g.type(in.value).shape;
    for (std::size_t k = 0; k < shape.size(); ++k)
      for (const std::string& s : shape[k].symbols())
        if (shape[k] == Dim::symbol(s)) e.set_symbol(s, inputs.at(in.name).shape[k]);
  }
}

/// Element k as the literal holds it: i64 beyond 2^53 too.
bool same(const Tensor& got, const Literal& want, std::int64_t k) {
  if (want.element == ElementType::I64)
    return got.as<std::int64_t>()[k] == want.i[static_cast<std::size_t>(k)];
  return got.at(k) == want.at(k) || (std::isnan(got.at(k)) && std::isnan(want.at(k)));
}

}  // namespace

Compiled::Compiled(const Graph& g, int vector_bits,
                   const std::function<void(loop::Program&)>& change)
    : graph_(run_passes(g, default_pipeline(PipelineEnd::Backward, false), {.verify = true})) {
  loop::Program program =
      lower(run_passes(g, default_pipeline(PipelineEnd::Fused, false), {.verify = true}));
  run_loop_passes(program, true);
  if (change) change(program);
  code_ = jit_compile(program, vector_bits);
}

std::vector<Tensor> Compiled::run(const std::map<std::string, Literal>& inputs, int threads) const {
  ThreadPool pool(threads);
  const dlc_program* program = code_->program();
  Executable e(program, &pool);
  bind_symbols(e, graph_, inputs);
  std::vector<GuardedMemory> memory;
  std::map<std::string, int> buffers;
  std::map<int, void*> places;
  for (int b = 0; b < program->num_buffers; ++b) {
    const dlc_buffer& buffer = program->buffers[b];
    buffers.emplace(buffer.name, b);  // of an input and an output of one name the input
    if (buffer.kind == DLC_TEMP || buffer.kind == DLC_CONSTANT || buffer.alias >= 0) continue;
    memory.emplace_back(static_cast<std::size_t>(e.bytes(b)));
    e.bind(b, memory.back().data());
    if (buffer.kind <= DLC_SCALAR) fill(memory.back().data(), inputs.at(buffer.name));
    if (buffer.kind == DLC_OUTPUT) buffers[std::string("output ") + buffer.name] = b;
    places[b] = memory.back().data();
  }
  e.prepare();
  e.run();
  std::vector<Tensor> result;
  for (const GraphOutput& out : graph_.outputs) {
    const int b = out.kind == OutputKind::Update  ? buffers.at(out.name)
                  : out.kind == OutputKind::Watch ? buffers.at("output watch." + out.name)
                                                  : buffers.at("output " + out.name);
    result.push_back(Tensor::copy_of(static_cast<dlc_dtype>(program->buffers[b].dtype), e.shape(b),
                                     places.at(b)));
  }
  return result;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.bytes() <= b.bytes() && std::memcmp(a.data(), b.data(), a.bytes()) == 0;
}

bool same_on_threads(const Compiled& c, const std::map<std::string, Literal>& inputs) {
  const std::vector<Tensor> one = c.run(inputs), three = c.run(inputs, 3);
  return std::equal(one.begin(), one.end(), three.begin(), three.end(), same_bits);
}

double distance(const Tensor& got, const Literal& want) {
  if (got.shape() != want.shape) return HUGE_VAL;
  double scale = 1, worst = 0;
  for (std::int64_t k = 0; k < want.size(); ++k)
    if (std::isfinite(want.at(k))) scale = std::max(scale, std::abs(want.at(k)));
  for (std::int64_t k = 0; k < want.size(); ++k) {
    if (same(got, want, k)) continue;
    const double difference = std::abs(got.at(k) - want.at(k));
    worst = std::max(worst, std::isfinite(difference) ? difference / scale : HUGE_VAL);
    // Equal as doubles, but not the same i64.
    if (difference == 0) worst = HUGE_VAL;
  }
  return worst;
}

double compiled_distance(const Compiled& c, const std::map<std::string, Literal>& inputs,
                         int threads) {
  const Evaluation expected = interpret(c.graph(), inputs, Precision::Declared);
  const std::vector<Tensor> got = c.run(inputs, threads);
  double worst = 0;
  for (std::size_t k = 0; k < got.size(); ++k)
    worst = std::max(worst, distance(got[k], expected.values[c.graph().outputs[k].value.id]));
  return worst;
}

double compiled_distance(const Graph& g, const std::map<std::string, Literal>& inputs, int threads,
                         int vector_bits) {
  return compiled_distance(Compiled(g, vector_bits), inputs, threads);
}
