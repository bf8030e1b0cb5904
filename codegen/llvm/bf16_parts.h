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

/// Of two vectors of f32 the parts, the largest first: lanes of i32 with a number of `x` in the
/// lower half and one of `y` in the upper.
std::array<llvm::Value*, kPartsOfF32> emit_pairs_of_parts(llvm::IRBuilder<>& b, llvm::Value* x,
                                                          llvm::Value* y, llvm::Value* upper);
/// `upper` for that: a mask of upper halves whose value LLVM does not know, as it would make a
/// shuffle of and-ing and shifting, which takes longer.
llvm::Value* emit_upper_mask(llvm::IRBuilder<>& b, llvm::Type* lanes);

/// Two vectors of bf16 in the same way.
llvm::Value* emit_pairs(llvm::IRBuilder<>& b, llvm::Value* x, llvm::Value* y);

}  // namespace dlc
