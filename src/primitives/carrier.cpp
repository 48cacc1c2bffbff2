#include "primitives/carrier.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

namespace incipit::primitives {
namespace {

template <typename From, typename To>
To converted(From value) {
  if constexpr (std::is_same_v<To, bf16>) {
    return to_bf16(static_cast<float>(value));
  } else if constexpr (std::is_same_v<To, f16>) {
    return to_f16(static_cast<float>(value));
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    // The limits that are no powers of two round up in From, so that the upper one is compared by >=.
    if (value >= static_cast<From>(std::numeric_limits<To>::max())) return std::numeric_limits<To>::max();
    if (value <= static_cast<From>(std::numeric_limits<To>::min())) return std::numeric_limits<To>::min();
    return std::isnan(value) ? To{0} : static_cast<To>(value);
  } else {
    return static_cast<To>(value);
  }
}

template <typename To, typename From>
void store_as(const From* from, std::byte* to, size_t count) {
  if constexpr (std::is_same_v<To, From>) {
    if (count > 0) std::memcpy(to, from, count * sizeof(To));
  } else {
    auto* const out = reinterpret_cast<To*>(to);
    for (size_t i = 0; i < count; ++i) out[i] = converted<From, To>(from[i]);
  }
}

}  // namespace

DType carrier_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
    case DType::f16:
    case DType::bf16: return DType::f32;
    case DType::f64: return DType::f64;
    case DType::i8:
    case DType::i16:
    case DType::i32:
    case DType::i64: return DType::i64;
    case DType::u8:
    case DType::u16:
    case DType::u32:
    case DType::u64:
    case DType::boolean: return DType::u64;
  }
  INCIPIT_ASSERT(!"dtype");
  __builtin_unreachable();
}

template <typename T>
void load_elements(DType dtype, const std::byte* from, T* to, size_t count) {
  INCIPIT_ASSERT(carrier_of(dtype) == dtype_of_carrier<T>);
  if constexpr (std::is_same_v<T, float>) {
    convert_to_float(dtype, from, to, count);
    return;
  }
  if (dtype == DType::boolean) {
    for (size_t i = 0; i < count; ++i) to[i] = from[i] != std::byte{0} ? T{1} : T{0};
    return;
  }
  with_element_type(dtype, [&]<typename From>(ElementTag<From>) {
    if constexpr (!std::is_same_v<From, bool> &&
                  std::is_floating_point_v<arithmetic_t<From>> == std::is_floating_point_v<T> &&
                  std::is_signed_v<arithmetic_t<From>> == std::is_signed_v<T> && sizeof(From) <= sizeof(T)) {
      const auto* const in = reinterpret_cast<const From*>(from);
      for (size_t i = 0; i < count; ++i) to[i] = load(in[i]);  // NOLINT(bugprone-signed-char-misuse): numbers
    }
  });
}

template <typename T>
void store_elements(const T* from, DType dtype, std::byte* to, size_t count) {
  if (dtype == DType::boolean) {
    for (size_t i = 0; i < count; ++i) to[i] = static_cast<std::byte>(from[i] != T{0});
    return;
  }
  if constexpr (std::is_same_v<T, float>) {
    if (carrier_of(dtype) == DType::f32) return convert_from_float(from, dtype, to, count);
  }
  with_element_type(dtype, [&]<typename To>(ElementTag<To>) {
    if constexpr (!std::is_same_v<To, bool>) store_as<To>(from, to, count);
  });
}

const Tensor& widened(const Tensor& tensor, Tensor& storage) {
  const DType carrier = carrier_of(tensor.dtype());
  if (carrier == tensor.dtype()) return tensor;
  storage = Tensor(carrier, tensor.shape());
  with_carrier(carrier, [&]<typename T>(ElementTag<T>) {
    load_elements(tensor.dtype(), tensor.data(), storage.as<T>().data(), static_cast<size_t>(tensor.elements()));
  });
  return storage;
}

Tensor narrowed(Tensor wide, DType dtype) {
  if (wide.dtype() == dtype) return wide;
  Tensor narrow(dtype, wide.shape());
  with_carrier(wide.dtype(), [&]<typename T>(ElementTag<T>) {
    store_elements(std::as_const(wide).as<T>().data(), dtype, narrow.data(), static_cast<size_t>(wide.elements()));
  });
  return narrow;
}

template void load_elements(DType, const std::byte*, float*, size_t);
template void load_elements(DType, const std::byte*, double*, size_t);
template void load_elements(DType, const std::byte*, int64_t*, size_t);
template void load_elements(DType, const std::byte*, uint64_t*, size_t);
template void store_elements(const float*, DType, std::byte*, size_t);
template void store_elements(const double*, DType, std::byte*, size_t);
template void store_elements(const int64_t*, DType, std::byte*, size_t);
template void store_elements(const uint64_t*, DType, std::byte*, size_t);

}  // namespace incipit::primitives
