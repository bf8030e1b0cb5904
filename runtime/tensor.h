#pragma once
// A dense row-major array on the host, 64-byte aligned: parameters, data columns, results.
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "codegen/abi/program.h"

namespace dlc {

std::size_t dtype_size(dlc_dtype t);
std::string_view dtype_name(dlc_dtype t);  // "f32"

class Tensor {
 public:
  /// From this size on a tensor lies in pages as large, where the system has them.
  static constexpr std::size_t kHugePage = std::size_t{2} << 20;

  Tensor() = default;
  Tensor(dlc_dtype dtype,
         std::vector<std::int64_t> shape);  // zeros; UserError when memory is short
  static Tensor copy_of(dlc_dtype dtype, std::vector<std::int64_t> shape, const void* data);

  dlc_dtype dtype() const { return dtype_; }
  const std::vector<std::int64_t>& shape() const { return shape_; }
  std::int64_t size() const;  // elements
  std::size_t bytes() const { return static_cast<std::size_t>(size()) * dtype_size(dtype_); }
  std::size_t row_bytes() const;  // of one index of axis 0
  void* data() { return data_.get(); }
  const void* data() const { return data_.get(); }
  template <class T>
  T* as() {
    return static_cast<T*>(data());
  }
  template <class T>
  const T* as() const {
    return static_cast<const T*>(data());
  }
  double at(std::int64_t k) const;  // element k as a double, whatever the dtype
  void set(std::int64_t k, double v);
  /// Each element converted; float to integer truncates.
  Tensor convert(dlc_dtype to) const;
  Tensor rows(std::int64_t first, std::int64_t count) const;  // a copy
  std::string type_str() const;                               // "f32[784, 256]"

 private:
  struct Free {
    void operator()(void* p) const;
  };
  dlc_dtype dtype_ = DLC_F32;
  std::vector<std::int64_t> shape_;
  std::unique_ptr<void, Free> data_;
};

using TensorMap = std::map<std::string, Tensor, std::less<>>;

}  // namespace dlc
