#pragma once
// A dense, row-major tensor value on the host: the payload of `constant` nodes, the values of the
// reference evaluation, and what the interpreter computes with.
#include <cstdint>
#include <vector>

#include "ir/types.h"

namespace dlc {

/// Float types are held as f64 and integer types as i64 in `f` or `i`; `element` says how results
/// are rounded. Evaluating "in the declared types" rounds after every node (see round()); a 16-bit
/// float is what f32 gives, rounded once more.
struct Literal {
  ElementType element = ElementType::F32;
  std::vector<std::int64_t> shape;
  std::vector<double> f;        // used when is_float(element)
  std::vector<std::int64_t> i;  // otherwise (bool is 0 or 1)

  static Literal zeros(ElementType element, std::vector<std::int64_t> shape);
  static Literal scalar(ElementType element, double value);
  std::int64_t size() const;  // number of elements
  double at(std::int64_t k) const { return is_float(element) ? f[k] : static_cast<double>(i[k]); }
  void set(std::int64_t k, double v);  // converts, wrapping integers; does not round floats
  void round();                        // rounds each value to what `element` can hold
  void wrap();                         // the integers' part of round(): floats keep f64
  Type type() const;
  /// Bit by bit: 0 and -0 differ, a NaN equals itself.
  bool operator==(const Literal& o) const;
  /// Whether there are elements, all equal in this sense.
  bool is_uniform() const;
};

}  // namespace dlc
