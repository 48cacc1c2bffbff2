#include "primitives/widened.h"

#include <utility>

namespace incipit::primitives {

DType wide_dtype(DType dtype) {
  switch (dtype) {
    case DType::f32:
    case DType::f16:
    case DType::bf16: return DType::f32;
    case DType::f64:
    case DType::u64: return dtype;
    default: return DType::i64;
  }
}

const Tensor& widened(const Tensor& tensor, Tensor& storage) {
  const DType wide = wide_dtype(tensor.dtype());
  if (wide == tensor.dtype()) return tensor;
  storage = Tensor(wide, tensor.shape());
  if (wide == DType::f32) {
    convert_to_float(tensor.dtype(), tensor.data(), storage.as<float>().data(), storage.as<float>().size());
  } else {
    with_element_type(tensor.dtype(), [&]<typename T>(ElementTag<T>) {
      if constexpr (std::is_integral_v<T>) {
        const std::span<const T> from = tensor.as<T>();
        const std::span<int64_t> to = storage.as<int64_t>();
        for (size_t i = 0; i < from.size(); ++i) to[i] = static_cast<int64_t>(from[i]);
      }
    });
  }
  return storage;
}

Tensor narrowed(Tensor wide, DType dtype) {
  if (wide.dtype() == dtype) return wide;
  Tensor narrow(dtype, wide.shape());
  if (wide.dtype() == DType::f32) {
    convert_from_float(wide.as<float>().data(), dtype, narrow.data(), wide.as<float>().size());
  } else {
    with_element_type(dtype, [&]<typename T>(ElementTag<T>) {
      if constexpr (std::is_integral_v<T>) {
        const std::span<const int64_t> from = std::as_const(wide).as<int64_t>();
        const std::span<T> to = narrow.as<T>();
        for (size_t i = 0; i < to.size(); ++i) to[i] = static_cast<T>(from[i]);
      }
    });
  }
  return narrow;
}

}  // namespace incipit::primitives
