#pragma once
// An f32 as the exact sum of three numbers of bf16, whose products the unit for matrices takes.
//
// The first is x rounded to the nearest of 8 bits, the second what is left, rounded in the same
// way, the third the rest, which has no more than 8 bits. An infinity leaves NaN, and so do NaN and
// what rounds to infinity (from 3.396e38 on); of numbers under 2^-109 the smallest parts are
// denormals, which the unit takes for zeros.
#include <llvm/IR/IRBuilder.h>

#include <array>

namespace dlc {

constexpr int kPartsOfF32 = 3;

/// Of a vector of f32: lanes of i32 whose upper halves are the parts, the largest first.
std::array<llvm::Value*, kPartsOfF32> emit_parts(llvm::IRBuilder<>& b, llvm::Value* x);
/// A mask of the upper halves of i32, whose value LLVM does not know: it would make a shuffle of two
/// bytes from and-ing and shifting, which takes longer.
llvm::Value* emit_upper_mask(llvm::IRBuilder<>& b, llvm::Type* lanes);
/// Lanes of two halves: the upper ones of `x` below those of `y`.
llvm::Value* emit_pairs(llvm::IRBuilder<>& b, llvm::Value* x, llvm::Value* y, llvm::Value* upper);

}  // namespace dlc
