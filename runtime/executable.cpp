#include "runtime/executable.h"

#include <algorithm>
#include <cstring>

#include "ir/support/check.h"

namespace dlc {

namespace {

std::int64_t evaluate(const dlc_dim& d, const std::vector<std::int64_t>& symbols) {
  std::int64_t sum = d.constant;
  for (int t = 0; t < d.num_terms; ++t) {
    std::int64_t product = d.terms[t].coefficient;
    for (const std::int32_t s : d.terms[t].symbols)
      if (s >= 0) product *= symbols[static_cast<std::size_t>(s)];
    sum += product;
  }
  return sum;
}

/// Compiled code above it cannot be unwound. What is more than some pages is written in many places
/// at a time, and a core remembers where few pages are: it is in a huge one.
void* scratch(std::int64_t bytes) noexcept {
  constexpr std::int64_t kSomePages = 16 << 12, kHuge = Tensor::kHugePage;
  thread_local Tensor memory;
  if (memory.data() == nullptr || static_cast<std::int64_t>(memory.bytes()) < bytes)
    memory = Tensor(DLC_U8, {bytes > kSomePages ? std::max(bytes, kHuge) : bytes});
  return memory.data();
}

}  // namespace

int lone_symbol(const dlc_dim& d) {
  if (d.constant != 0 || d.num_terms != 1 || d.terms[0].coefficient != 1 ||
      d.terms[0].symbols[1] >= 0)
    return -1;
  return d.terms[0].symbols[0];
}

Executable::Executable(const dlc_program* program, ThreadPool* pool)
    : program_(program), pool_(pool) {
  if (program->abi_version != DLC_ABI_VERSION)
    throw UserError(fmt::format(
        "program {} was compiled for version {} of the runtime interface, this is version {}",
        program->name, program->abi_version, DLC_ABI_VERSION));
  pointers_.assign(static_cast<std::size_t>(program->num_buffers), nullptr);
  tables_.assign(static_cast<std::size_t>(program->table_entries), nullptr);
  symbols_.assign(static_cast<std::size_t>(program->num_symbols), 0);
  call_ = {pointers_.data(),         symbols_.data(), tables_.data(), pool_,
           ThreadPool::parallel_for, scratch,         nullptr,        nullptr};
  for (int b = 0; b < program->num_buffers; ++b)
    if (program->buffers[b].kind == DLC_CONSTANT)
      pointers_[static_cast<std::size_t>(b)] = const_cast<void*>(program->buffers[b].data);
}

int Executable::find(std::string_view buffer) const {
  for (int b = 0; b < program_->num_buffers; ++b)
    if (buffer == program_->buffers[b].name) return b;
  return -1;
}

void Executable::bind(int buffer, void* data) {
  pointers_.at(static_cast<std::size_t>(buffer)) = data;
  const std::int32_t kind = program_->buffers[buffer].kind;
  if (kind != DLC_PARAM && kind != DLC_STATE) return;  // nothing else is updated in place
  for (int b = 0; b < program_->num_buffers; ++b)
    if (program_->buffers[b].alias == buffer) pointers_[static_cast<std::size_t>(b)] = data;
}

void Executable::set_symbol(std::string_view name, std::int64_t value) {
  for (int s = 0; s < program_->num_symbols; ++s)
    if (name == program_->symbols[s]) symbols_[static_cast<std::size_t>(s)] = value;
}

void Executable::set_symbol(int symbol, std::int64_t value) {
  symbols_.at(static_cast<std::size_t>(symbol)) = value;
}

std::vector<std::int64_t> Executable::shape(int buffer) const {
  const dlc_buffer& b = program_->buffers[buffer];
  std::vector<std::int64_t> shape;
  for (int k = 0; k < b.rank; ++k) shape.push_back(evaluate(b.shape[k], symbols_));
  return shape;
}

std::int64_t Executable::bytes(int buffer) const {
  auto n = static_cast<std::int64_t>(
      dtype_size(static_cast<dlc_dtype>(program_->buffers[buffer].dtype)));
  for (const std::int64_t d : shape(buffer)) n *= d;
  return n;
}

std::int64_t Executable::arena_bytes() const { return evaluate(program_->arena_bytes, symbols_); }

void Executable::prepare() {
  const std::int64_t needed = arena_bytes();
  if (arena_.data() == nullptr || needed > static_cast<std::int64_t>(arena_.bytes()))
    arena_ = Tensor(DLC_U8, {needed});
  for (int b = 0; b < program_->num_buffers; ++b) {
    if (program_->buffers[b].kind != DLC_TEMP) continue;
    const std::int64_t offset = evaluate(program_->buffers[b].arena_offset, symbols_);
    const std::int64_t lines = (offset + DLC_ARENA_ALIGNMENT - 1) / DLC_ARENA_ALIGNMENT;
    pointers_[static_cast<std::size_t>(b)] = arena_.as<char>() + lines * DLC_ARENA_ALIGNMENT;
  }
}

void Executable::run() { program_->run(&call_); }

void Executable::run_steps(dlc_steps& steps) { program_->run_steps(&call_, &steps); }

bool is_carry(const dlc_buffer& b) {
  bool symbolic = false;
  for (int k = 0; k < b.rank; ++k) symbolic = symbolic || b.shape[k].num_terms > 0;
  return b.kind == DLC_STATE && symbolic;
}

TensorMap run_once(const dlc_program* program, ThreadPool& pool,
                   const std::map<std::string, Tensor*, std::less<>>& inputs) {
  Executable e(program, &pool);
  std::vector<bool> known(static_cast<std::size_t>(program->num_symbols), false);
  const auto is_input = [&](int b) { return program->buffers[b].kind <= DLC_SCALAR; };
  for (int b = 0; b < program->num_buffers; ++b) {
    if (!is_input(b)) continue;
    const dlc_buffer& buffer = program->buffers[b];
    const auto at = inputs.find(buffer.name);
    if (at == inputs.end() && is_carry(buffer)) continue;
    if (at == inputs.end()) throw UserError(fmt::format("input `{}` has no value", buffer.name));
    Tensor& t = *at->second;
    if (t.dtype() != static_cast<dlc_dtype>(buffer.dtype) ||
        static_cast<int>(t.shape().size()) != buffer.rank)
      throw UserError(fmt::format("input `{}` is {} of rank {}, the value given is {}", buffer.name,
                                  dtype_name(static_cast<dlc_dtype>(buffer.dtype)), buffer.rank,
                                  t.type_str()));
    for (int k = 0; k < buffer.rank; ++k) {
      const int s = lone_symbol(buffer.shape[k]);
      if (s < 0) continue;
      e.set_symbol(program->symbols[s], t.shape()[static_cast<std::size_t>(k)]);
      known[static_cast<std::size_t>(s)] = true;
    }
    e.bind(b, t.data());
  }
  for (int s = 0; s < program->num_symbols; ++s)
    if (!known[static_cast<std::size_t>(s)])
      throw UserError(
          fmt::format("no input gives a value to the dimension {}", program->symbols[s]));
  TensorMap outputs, carries;
  for (int b = 0; b < program->num_buffers; ++b) {
    const dlc_buffer& buffer = program->buffers[b];
    if (!is_carry(buffer) || inputs.contains(buffer.name)) continue;
    Tensor& t = carries[buffer.name] = Tensor(static_cast<dlc_dtype>(buffer.dtype), e.shape(b));
    std::memset(t.data(), 0, t.bytes());
    e.bind(b, t.data());
  }
  for (int b = 0; b < program->num_buffers; ++b) {
    const dlc_buffer& buffer = program->buffers[b];
    if (is_input(b) && inputs.contains(buffer.name) &&
        e.shape(b) != inputs.find(buffer.name)->second->shape())
      throw UserError(fmt::format("input `{}` has another shape than declared: {}", buffer.name,
                                  inputs.find(buffer.name)->second->type_str()));
    if (buffer.kind != DLC_OUTPUT || buffer.alias >= 0) continue;
    Tensor& t = outputs[buffer.name] = Tensor(static_cast<dlc_dtype>(buffer.dtype), e.shape(b));
    e.bind(b, t.data());
  }
  e.prepare();
  e.run();
  return outputs;
}

}  // namespace dlc
