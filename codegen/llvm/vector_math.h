#pragma once
// Elementary functions as straight code over a scalar or vector of f32 or f64. Each lane's result
// depends on that lane's operand alone, bit for bit: not on the width, the neighbours or the
// target. Products and sums are fused by `llvm.fma`, which a target without it takes from the C
// library: slow, but the same bits.
//
// Bounds of the error in units of the last place of the exact result, infinities, NaN and denormals
// included, which tests/codegen/vector_math.cpp checks; below them the largest errors found, in f32
// (but for pow) over every operand that there is, in f64 over five million:
//
//        2: exp  exp2 expm1 log  log2 log1p sin  cos  rsqrt cbrt
//   f32     0.89 1.01 1.40  0.95 1.13 1.51  1.17 1.17 1.49  0.50
//   f64     0.85 0.88 1.36  0.83 0.95 1.21  1.15 1.11 1.49  0.50
//
//        4: tanh sigmoid erf  pow   erfc
//   f32     1.36 2.40    1.21 0.50  0.50 (bound 2)
//   f64     1.34 2.28    1.10 1.30  3.32
//
// sin and cos call a function for the lanes beyond 2^16 (f32) or 2^30 (f64) when there are any.
// `remainder` is the C library's, lane by lane.
#include <llvm/IR/IRBuilder.h>

namespace dlc {

class VectorMath {
 public:
  explicit VectorMath(llvm::IRBuilder<>& b) : b_(b) {}

  llvm::Value* exp(llvm::Value* x);
  llvm::Value* exp2(llvm::Value* x);
  llvm::Value* expm1(llvm::Value* x);
  llvm::Value* log(llvm::Value* x);
  llvm::Value* log2(llvm::Value* x);
  llvm::Value* log1p(llvm::Value* x);
  llvm::Value* pow(llvm::Value* x, llvm::Value* y);  // the special cases are C's
  llvm::Value* tanh(llvm::Value* x);
  llvm::Value* sigmoid(llvm::Value* x);  // 1 / (1 + e^-x)
  llvm::Value* erf(llvm::Value* x);
  llvm::Value* erfc(llvm::Value* x);  // 1 - erf(x)
  llvm::Value* sin(llvm::Value* x);
  llvm::Value* cos(llvm::Value* x);
  llvm::Value* rsqrt(llvm::Value* x);  // 1 / sqrt(x)
  llvm::Value* cbrt(llvm::Value* x);
  llvm::Value* remainder(llvm::Value* x, llvm::Value* y);  // with the sign of y, exact

 private:
  /// mantissa * 2^exponent, the exponent an integer vector.
  struct Scaled {
    llvm::Value *mantissa, *exponent;
  };
  /// A sum of two, the second below a unit of the first.
  struct Double {
    llvm::Value *high, *low;
  };
  /// x as quadrant * pi/2 + (high + low), the sum within about pi/4 of 0. Of the integer `quadrant`
  /// the two lowest bits count.
  struct Angle {
    llvm::Value *quadrant, *high, *low;
  };
  /// x = 2^exponent (1 + fraction) with 1 + fraction in [sqrt(1/2), sqrt(2)).
  struct Split {
    llvm::Value *exponent, *fraction;  // both floats
  };

  // ---- Pieces (vector_math.cpp) ----
  llvm::Value* constant(llvm::Value* like, double v);
  llvm::Value* whole(llvm::Value* like, std::uint64_t v);  // in integers as wide as `like`'s lanes
  llvm::Value* fma(llvm::Value* x, llvm::Value* y, llvm::Value* z);
  llvm::Value* abs(llvm::Value* x);
  llvm::Value* copysign(llvm::Value* magnitude, llvm::Value* sign);
  /// c[0] + x (c[1] + x (c[2] + ...))
  llvm::Value* polynomial(llvm::Value* x, llvm::ArrayRef<double> c);
  /// x with what is above or below the bound replaced by it; NaN stays.
  llvm::Value* at_most(llvm::Value* x, double bound);
  llvm::Value* at_least(llvm::Value* x, double bound);
  llvm::Value* is_below(llvm::Value* x, double bound);  // |x| < bound
  llvm::Value* bits(llvm::Value* x);
  llvm::Value* power_of_two(llvm::Value* exponent, llvm::Value* like);
  /// The nearest whole number of x * y as a float and an integer; |x * y| is below 2^22 (2^51).
  struct Rounded {
    llvm::Value *number, *integer;
  };
  Rounded round_product(llvm::Value* x, double y);
  /// A small integer as a float.
  llvm::Value* to_float(llvm::Value* integer, llvm::Value* like);
  llvm::Value* widen(llvm::Value* x);   // f32 to f64
  llvm::Value* narrow(llvm::Value* x);  // f64 to f32
  bool is_f32(llvm::Value* x) const { return x->getType()->getScalarType()->isFloatTy(); }
  llvm::Type* integer_like(llvm::Value* x);
  llvm::Value* library(const char* name, llvm::ArrayRef<llvm::Value*> arguments);

  // ---- Exponentials ----
  Scaled exp_parts(llvm::Value* x, llvm::Value* low = nullptr);
  llvm::Value* scale(Scaled s);

  // ---- Logarithms ----
  Split split(llvm::Value* x);
  llvm::Value* log_rest(llvm::Value* fraction);  // log(1 + fraction) - fraction
  llvm::Value* log_of(Split s);
  llvm::Value* log_edges(llvm::Value* x, llvm::Value* result);
  Double log_double(llvm::Value* x);
  llvm::Value* pow_magnitude(llvm::Value* x, llvm::Value* y);  // |x|^y but for |x| = 1 and y = 0
  llvm::Value* pow_magnitude_f32(llvm::Value* x, llvm::Value* y);  // in f64, for results in f32
  llvm::Value* pow_edges(llvm::Value* x, llvm::Value* y, llvm::Value* magnitude);

  // ---- The error function ----
  llvm::Value* erf_near(llvm::Value* x);
  llvm::Value* erfc_far(llvm::Value* x);      // f64, x >= 3/8
  llvm::Value* erfc_for_f32(llvm::Value* x);  // in f64, for results in f32

  // ---- Angles ----
  Angle angle(llvm::Value* x);
  llvm::Function* large_angle_function(llvm::Value* like);
  Angle reduce_large(llvm::Value* x);  // f64
  llvm::Value* sine_of(Angle a);

  llvm::IRBuilder<>& b_;
};

}  // namespace dlc
