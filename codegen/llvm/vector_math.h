#pragma once
// Elementary functions as vector polynomials. Each takes and gives a scalar or vector of f32 or f64
// and is exact to a few units in the last place over the whole range; NaN stays NaN.
#include <llvm/IR/IRBuilder.h>

namespace dlc {

class VectorMath {
 public:
  explicit VectorMath(llvm::IRBuilder<>& b) : b_(b) {}

  llvm::Value* exp(llvm::Value* x);
  llvm::Value* log(llvm::Value* x);
  llvm::Value* tanh(llvm::Value* x);
  llvm::Value* sigmoid(llvm::Value* x);                    // 1 / (1 + e^-x)
  llvm::Value* remainder(llvm::Value* x, llvm::Value* y);  // with the sign of y, exact
  /// Functions that are rarely hot: the C library's, lane by lane. `name` is its f64 name ("erf").
  llvm::Value* library(const char* name, llvm::ArrayRef<llvm::Value*> arguments);

 private:
  llvm::Value* constant(llvm::Value* like, double v);
  llvm::Value* fma(llvm::Value* x, llvm::Value* y, llvm::Value* z);
  /// c[0] + x (c[1] + x (c[2] + ...))
  llvm::Value* polynomial(llvm::Value* x, llvm::ArrayRef<double> c);
  llvm::Value* power_of_two(llvm::Value* exponent_bits_in_low_mantissa, llvm::Value* like);
  bool is_f32(llvm::Value* x) const { return x->getType()->getScalarType()->isFloatTy(); }
  llvm::Type* integer_like(llvm::Value* x);

  llvm::IRBuilder<>& b_;
};

}  // namespace dlc
