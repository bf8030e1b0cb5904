#include "runtime/tensor.h"

#include <sys/mman.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "ir/support/check.h"
#include "ir/support/float16.h"

namespace dlc {

namespace {

struct DtypeInfo {
  std::string_view name;
  std::size_t bytes;
};
constexpr DtypeInfo kDtypes[] = {{"f32", 4}, {"f64", 8}, {"bf16", 2}, {"f16", 2},
                                 {"i32", 4}, {"i64", 8}, {"u8", 1},   {"bool", 1}};
constexpr std::size_t kAlignment = 64;

const DtypeInfo& info(dlc_dtype t) { return kDtypes[static_cast<std::size_t>(t)]; }

/// Float to integer truncates and saturates; NaN is 0.
template <class T>
T to_integer(double v) {
  if (std::isnan(v)) return 0;
  if (v <= static_cast<double>(std::numeric_limits<T>::min())) return std::numeric_limits<T>::min();
  if (v >= static_cast<double>(std::numeric_limits<T>::max())) return std::numeric_limits<T>::max();
  return static_cast<T>(v);
}

}  // namespace

std::size_t dtype_size(dlc_dtype t) { return info(t).bytes; }
std::string_view dtype_name(dlc_dtype t) { return info(t).name; }

void Tensor::Free::operator()(void* p) const { std::free(p); }

Tensor::Tensor(dlc_dtype dtype, std::vector<std::int64_t> shape)
    : dtype_(dtype), shape_(std::move(shape)) {
  std::size_t bytes = dtype_size(dtype);
  for (const std::int64_t d : shape_) {
    const auto extent = static_cast<std::size_t>(d);
    if (d < 0 || (extent > 0 && bytes > (std::size_t{1} << 46) / extent))
      throw UserError(fmt::format("a tensor {} is too large", type_str()));
    bytes *= extent;
  }
  // Vectors may read a little past the end of what they need, never past the allocation.
  const std::size_t rounded = (bytes / kAlignment + 1) * kAlignment;
  const bool huge = rounded >= kHugePage;
  // Unlike std::aligned_alloc it takes sizes that are no multiple of the alignment.
  void* memory = nullptr;
  if (posix_memalign(&memory, huge ? kHugePage : kAlignment, rounded) != 0)
    throw UserError(fmt::format("there is not enough memory for a tensor {}", type_str()));
  data_.reset(memory);
#ifdef MADV_HUGEPAGE
  // Rows in random order, or columns of a large matrix: a page each, and a processor remembers the
  // places of few thousand pages. A system that has no large ones refuses, which is no loss.
  if (huge) madvise(data_.get(), rounded / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
  std::memset(data_.get(), 0, rounded);
}

Tensor Tensor::copy_of(dlc_dtype dtype, std::vector<std::int64_t> shape, const void* data) {
  Tensor t(dtype, std::move(shape));
  if (t.bytes() > 0) std::memcpy(t.data(), data, t.bytes());
  return t;
}

std::int64_t Tensor::size() const {
  std::int64_t n = 1;
  for (const std::int64_t d : shape_) n *= d;
  return n;
}

std::size_t Tensor::row_bytes() const {
  std::size_t bytes = dtype_size(dtype_);
  for (std::size_t k = 1; k < shape_.size(); ++k) bytes *= static_cast<std::size_t>(shape_[k]);
  return bytes;
}

double Tensor::at(std::int64_t k) const {
  switch (dtype_) {
    case DLC_F32:
      return as<float>()[k];
    case DLC_F64:
      return as<double>()[k];
    case DLC_I32:
      return as<std::int32_t>()[k];
    case DLC_I64:
      return static_cast<double>(as<std::int64_t>()[k]);
    case DLC_U8:
      return as<std::uint8_t>()[k];
    case DLC_BOOL:
      return as<std::uint8_t>()[k] != 0;
    case DLC_BF16:
      return bf16_to_f32(as<std::uint16_t>()[k]);
    case DLC_F16:
      return f16_to_f32(as<std::uint16_t>()[k]);
  }
  throw InternalError("a tensor without an element type");
}

void Tensor::set(std::int64_t k, double v) {
  switch (dtype_) {
    case DLC_F32:
      as<float>()[k] = static_cast<float>(v);
      break;
    case DLC_F64:
      as<double>()[k] = v;
      break;
    case DLC_I32:
      as<std::int32_t>()[k] = to_integer<std::int32_t>(v);
      break;
    case DLC_I64:
      as<std::int64_t>()[k] = to_integer<std::int64_t>(v);
      break;
    case DLC_U8:
      as<std::uint8_t>()[k] = to_integer<std::uint8_t>(v);
      break;
    case DLC_BOOL:
      as<std::uint8_t>()[k] = v != 0;
      break;
    case DLC_BF16:
      as<std::uint16_t>()[k] = f32_to_bf16(static_cast<float>(v));
      break;
    case DLC_F16:
      as<std::uint16_t>()[k] = f32_to_f16(static_cast<float>(v));
      break;
  }
}

Tensor Tensor::convert(dlc_dtype to) const {
  if (to == dtype_) return copy_of(dtype_, shape_, data());
  Tensor t(to, shape_);
  const std::int64_t n = size();
  for (std::int64_t k = 0; k < n; ++k) t.set(k, at(k));
  return t;
}

Tensor Tensor::rows(std::int64_t first, std::int64_t count) const {
  std::vector<std::int64_t> shape = shape_;
  DLC_CHECK(!shape.empty() && first >= 0 && count >= 0 && first + count <= shape[0],
            "rows {} to {} of a tensor {}", first, first + count, type_str());
  shape[0] = count;
  return copy_of(dtype_, std::move(shape),
                 static_cast<const char*>(data()) + static_cast<std::size_t>(first) * row_bytes());
}

std::string Tensor::type_str() const {
  return fmt::format("{}[{}]", dtype_name(dtype_), fmt::join(shape_, ", "));
}

}  // namespace dlc
