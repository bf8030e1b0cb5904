#pragma once
// A kernel without stage axes that reads along one outer axis and writes along another goes in
// square blocks that are turned over in registers.
#include <vector>

#include "codegen/llvm/expression_emitter.h"

namespace dlc {

class TransposeEmitter {
 public:
  /// `begin` and `end`: of the first outer axis. Vectors of so many lanes.
  TransposeEmitter(const loop::Kernel& k, llvm::IRBuilder<>& b, ExpressionEmitter& e,
                   llvm::Value* begin, llvm::Value* end, int lanes);

  /// Whether the kernel is elementwise, writes along its last outer axis and has loads that are
  /// contiguous along one other outer axis.
  bool applies() const { return read_ >= 0; }
  void emit() { outer(0); }

 private:
  const loop::Axis& axis(loop::AxisId a) const { return k_.axes[static_cast<std::size_t>(a)]; }
  llvm::Value* from(loop::AxisId a);
  llvm::Value* to(loop::AxisId a);
  /// The end of the last whole block.
  llvm::Value* whole(loop::AxisId a);
  void outer(std::size_t at);
  void blocks();
  void block(llvm::Value* p, llvm::Value* q, llvm::Value* mask);
  void go_to_row(llvm::Value* p, llvm::Value* q, llvm::Value* mask);
  std::vector<llvm::Value*> turned_block(loop::ExprId load, llvm::Value* p, llvm::Value* q,
                                         llvm::Value* mask);

  const loop::Kernel& k_;
  llvm::IRBuilder<>& b_;
  ExpressionEmitter& e_;
  llvm::Value *begin_, *end_;
  int lanes_;
  loop::AxisId read_ = -1, write_ = -1;  // along which memory is contiguous
  std::vector<loop::ExprId> loads_;      // contiguous along `read_`, not along `write_`
};

}  // namespace dlc
