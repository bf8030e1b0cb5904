#pragma once
// Between the runtime's tensors and the reference interpreter's literals.
#include "ir/literal.h"
#include "runtime/tensor.h"

namespace dlc {

Literal to_literal(const Tensor& t);
Tensor to_tensor(const Literal& l);

}  // namespace dlc
