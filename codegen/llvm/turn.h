#pragma once
#include <llvm/IR/IRBuilder.h>

#include <vector>

namespace dlc {

/// A square block turned over in registers: `rows` are as many vectors as one has lanes, a power of
/// two; lane r of result c is lane c of row r.
std::vector<llvm::Value*> emit_turned(llvm::IRBuilder<>& b, std::vector<llvm::Value*> rows);

}  // namespace dlc
