#include "driver/tensor_literal.h"

#include "driver/api/compile.h"

namespace dlc {

Literal to_literal(const Tensor& t) {
  Literal l = Literal::zeros(to_element(t.dtype()), t.shape());
  for (std::int64_t k = 0; k < t.size(); ++k) {
    if (t.dtype() == DLC_I64)
      l.i[k] = t.as<std::int64_t>()[k];  // a double does not hold every i64
    else
      l.set(k, t.at(k));
  }
  return l;
}

Tensor to_tensor(const Literal& l) {
  Tensor t(to_dtype(l.element), l.shape);
  for (std::int64_t k = 0; k < l.size(); ++k) {
    if (t.dtype() == DLC_I64)
      t.as<std::int64_t>()[k] = l.i[k];
    else
      t.set(k, l.at(k));
  }
  return t;
}

}  // namespace dlc
