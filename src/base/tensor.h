// Shapes, views of typed memory, and small owned tensors on the host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/dtype.h"
#include "base/error.h"

namespace incipit {

using Shape = std::vector<int64_t>;

/// Product of the extents; 1 for a scalar. Throws Error on a negative extent or an overflow.
int64_t element_count(std::span<const int64_t> shape);

/// A dense, row-major view of memory that somebody else owns.
struct TensorView {
  DType dtype = DType::f32;
  Shape shape;
  const std::byte* data = nullptr;

  int64_t elements() const { return element_count(shape); }
  size_t bytes() const { return static_cast<size_t>(elements()) * size_of(dtype); }
  template <typename T>
  std::span<const T> as() const {
    INCIPIT_ASSERT(sizeof(T) == size_of(dtype));
    return {reinterpret_cast<const T*>(data), static_cast<size_t>(elements())};
  }
};

/// A dense, row-major tensor that owns its memory (64-byte aligned), or borrows it. References, tests and plain graphs
/// use it; what runs a decoder does not.
class Tensor {
 public:
  Tensor() = default;
  Tensor(DType dtype, Shape shape);
  /// A constant over memory that somebody else keeps alive and aligned to the dtype; it may not be written to.
  static Tensor borrowed(const TensorView& view);

  static Tensor of(Shape shape, std::span<const float> values);
  static Tensor of(Shape shape, std::span<const int32_t> values);
  static Tensor of(Shape shape, std::span<const int64_t> values);

  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int64_t elements() const { return element_count(shape_); }
  size_t bytes() const { return static_cast<size_t>(elements()) * size_of(dtype_); }
  std::byte* data() { return data_.get(); }
  const std::byte* data() const { return data_.get(); }
  TensorView view() const { return {dtype_, shape_, data_.get()}; }

  template <typename T>
  std::span<T> as() {
    INCIPIT_ASSERT(sizeof(T) == size_of(dtype_));
    return {reinterpret_cast<T*>(data_.get()), static_cast<size_t>(elements())};
  }
  template <typename T>
  std::span<const T> as() const {
    INCIPIT_ASSERT(sizeof(T) == size_of(dtype_));
    return {reinterpret_cast<const T*>(data_.get()), static_cast<size_t>(elements())};
  }

 private:
  struct Free {
    bool owned;
    explicit Free(bool is_owned) : owned(is_owned) {}
    Free() : Free(true) {}
    void operator()(std::byte* p) const;
  };
  DType dtype_ = DType::f32;
  Shape shape_{0};
  std::unique_ptr<std::byte[], Free> data_;
};

/// Converts `count` elements of a floating or integer dtype to float; the source need not be aligned.
void convert_to_float(DType dtype, const std::byte* source, float* target, size_t count);
/// Converts floats to f32, f16 or bf16 (round to nearest even); other dtypes assert.
void convert_from_float(const float* source, DType dtype, std::byte* target, size_t count);

}  // namespace incipit
