#include "base/tensor.h"

#include <cstdlib>
#include <new>
#include <string>

namespace incipit {

int64_t element_count(std::span<const int64_t> shape) {
  int64_t count = 1;
  for (int64_t extent : shape) {
    if (extent < 0) throw Error("shape", "extent " + std::to_string(extent) + " is negative");
    if (__builtin_mul_overflow(count, extent, &count)) throw Error("shape", "element count overflows 64 bits");
  }
  return count;
}

void Tensor::Free::operator()(std::byte* p) const {
  if (owned) std::free(p);
}

Tensor::Tensor(DType dtype, Shape shape) : dtype_(dtype), shape_(std::move(shape)) {
  // Whatever a model claims, no tensor is that large; and allocators differ in what they do when asked for it.
  constexpr uint64_t most_bytes = (uint64_t{1} << 40) - 4096;
  if (static_cast<uint64_t>(elements()) > most_bytes / size_of(dtype))
    throw Error("shape", "it has more bytes than 1 TiB");
  const size_t padded = (bytes() + 127) / 64 * 64;
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(64, padded));
  if (memory == nullptr) throw std::bad_alloc();
  std::memset(memory, 0, padded);
  data_.reset(memory);
}

Tensor Tensor::borrowed(const TensorView& view) {
  Tensor tensor;
  tensor.dtype_ = view.dtype;
  tensor.shape_ = view.shape;
  tensor.data_ = std::unique_ptr<std::byte[], Free>(const_cast<std::byte*>(view.data), Free{false});
  return tensor;
}

namespace {
template <typename T>
Tensor copy_of(DType dtype, Shape shape, std::span<const T> values) {
  Tensor tensor(dtype, std::move(shape));
  INCIPIT_ASSERT(static_cast<size_t>(tensor.elements()) == values.size());
  if (!values.empty()) std::memcpy(tensor.data(), values.data(), values.size_bytes());
  return tensor;
}
}  // namespace

Tensor Tensor::of(Shape shape, std::span<const float> values) { return copy_of(DType::f32, std::move(shape), values); }
Tensor Tensor::of(Shape shape, std::span<const int32_t> values) {
  return copy_of(DType::i32, std::move(shape), values);
}
Tensor Tensor::of(Shape shape, std::span<const int64_t> values) {
  return copy_of(DType::i64, std::move(shape), values);
}

namespace {
template <typename T>
void widen(const std::byte* source, float* target, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, source + i * sizeof(T), sizeof(T));  // mapped files need not be aligned
    if constexpr (requires { to_float(value); } && !std::is_arithmetic_v<T>) {
      target[i] = to_float(value);
    } else {
      target[i] = static_cast<float>(value);
    }
  }
}
}  // namespace

void convert_to_float(DType dtype, const std::byte* source, float* target, size_t count) {
  if (count == 0) return;  // then the pointers may be null, which memcpy forbids
  switch (dtype) {
    case DType::f32: std::memcpy(target, source, count * sizeof(float)); return;
    case DType::f16: widen<f16>(source, target, count); return;
    case DType::bf16: widen<bf16>(source, target, count); return;
    case DType::i8: widen<int8_t>(source, target, count); return;
    case DType::boolean:
    case DType::u8: widen<uint8_t>(source, target, count); return;
    case DType::i16: widen<int16_t>(source, target, count); return;
    case DType::u16: widen<uint16_t>(source, target, count); return;
    case DType::i32: widen<int32_t>(source, target, count); return;
    case DType::u32: widen<uint32_t>(source, target, count); return;
    case DType::i64: widen<int64_t>(source, target, count); return;
    case DType::u64: widen<uint64_t>(source, target, count); return;
    case DType::f64: widen<double>(source, target, count); return;
  }
  INCIPIT_ASSERT(!"dtype");
}

void convert_from_float(const float* source, DType dtype, std::byte* target, size_t count) {
  if (count == 0) return;
  switch (dtype) {
    case DType::f32: std::memcpy(target, source, count * sizeof(float)); return;
    case DType::f16:
      for (size_t i = 0; i < count; ++i) {
        const f16 value = to_f16(source[i]);
        std::memcpy(target + 2 * i, &value, 2);
      }
      return;
    case DType::bf16:
      for (size_t i = 0; i < count; ++i) {
        const bf16 value = to_bf16(source[i]);
        std::memcpy(target + 2 * i, &value, 2);
      }
      return;
    default: INCIPIT_ASSERT(!"only floating targets");
  }
}

}  // namespace incipit
