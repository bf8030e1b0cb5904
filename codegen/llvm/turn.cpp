#include "codegen/llvm/turn.h"

namespace dlc {

using llvm::Value;

/// By swapping ever smaller off-diagonal squares.
std::vector<Value*> emit_turned(llvm::IRBuilder<>& b, std::vector<Value*> rows) {
  const int width = static_cast<int>(rows.size());
  for (int d = width / 2; d >= 1; d /= 2) {
    std::vector<int> low, high;
    for (int lane = 0; lane < width; ++lane) {
      low.push_back((lane & d) == 0 ? lane : width + lane - d);
      high.push_back((lane & d) == 0 ? lane + d : width + lane);
    }
    for (int k = 0; k < width; ++k) {
      if ((k & d) != 0) continue;
      Value *&x = rows[static_cast<std::size_t>(k)], *&y = rows[static_cast<std::size_t>(k + d)];
      Value* upper = b.CreateShuffleVector(x, y, low);
      y = b.CreateShuffleVector(x, y, high);
      x = upper;
    }
  }
  return rows;
}

}  // namespace dlc
