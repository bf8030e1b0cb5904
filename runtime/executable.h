#pragma once
// A compiled program ready to run: its buffers bound to memory, its symbols to sizes, its arena
// allocated.
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "codegen/abi/program.h"
#include "runtime/tensor.h"
#include "runtime/thread_pool.h"

namespace dlc {

/// The symbol that a dimension is, or -1 for a constant or an expression.
int lone_symbol(const dlc_dim& d);
/// A state with the rows of a batch, which no checkpoint holds: it begins as zeros.
bool is_carry(const dlc_buffer& b);

class Executable {
 public:
  /// `program` must outlive this. UserError when its ABI version is not ours.
  Executable(const dlc_program* program, ThreadPool* pool);

  const dlc_program* program() const { return program_; }
  int find(std::string_view buffer) const;  // -1 when there is none

  /// Points a buffer at memory that holds at least its size when run. An aliased output is bound
  /// with the parameter or state that it updates.
  void bind(int buffer, void* data);
  void* bound(int buffer) const { return pointers_.at(static_cast<std::size_t>(buffer)); }
  void set_symbol(std::string_view name, std::int64_t value);
  void set_symbol(int symbol, std::int64_t value);
  /// Bytes that a buffer needs under the symbols as they are set.
  std::int64_t bytes(int buffer) const;
  std::vector<std::int64_t> shape(int buffer) const;
  std::int64_t arena_bytes() const;

  /// Grows the arena when the symbols ask for more than ever before; allocates nothing otherwise.
  void prepare();
  /// One call of the program. Every buffer is bound and prepare() has been called for these
  /// symbols.
  void run();
  /// dlc_program.run_steps, of a program that has it.
  void run_steps(dlc_steps& steps);
  /// A program compiled with profiling calls this after each kernel of a run.
  void set_hook(dlc_kernel_hook hook, void* data) {
    call_.on_kernel = hook, call_.hook_data = data;
  }

 private:
  const dlc_program* program_;
  ThreadPool* pool_;
  std::vector<void*> pointers_, tables_;
  std::vector<std::int64_t> symbols_;
  dlc_call call_;  // points to the above
  Tensor arena_;
};

/// The convenient way: binds `inputs` by name (checking dtype and shape and deriving the symbols; a
/// UserError names the input otherwise), allocates the outputs, runs, returns the outputs by name.
/// Parameters and states that the program updates in place are updated in `inputs`.
TensorMap run_once(const dlc_program* program, ThreadPool& pool,
                   const std::map<std::string, Tensor*, std::less<>>& inputs);

}  // namespace dlc
