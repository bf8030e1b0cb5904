#include "passes/graph/costly.h"

namespace dlc {

bool is_costly(Op op) {
  switch (op) {
    case Op::exp:
    case Op::exp2:
    case Op::expm1:
    case Op::log:
    case Op::log2:
    case Op::log1p:
    case Op::sin:
    case Op::cos:
    case Op::tanh:
    case Op::sigmoid:
    case Op::erf:
    case Op::erfc:
    case Op::pow:
    case Op::div:
    case Op::sqrt:
    case Op::rsqrt:
    case Op::cbrt:
    case Op::rem:
    case Op::random_uniform:
      return true;
    default:
      return false;
  }
}

}  // namespace dlc
