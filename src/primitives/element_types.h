// Calling generic code with the type of a tensor's elements.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>

#include "base/dtype.h"
#include "base/error.h"

namespace incipit::primitives {

/// How arithmetic on elements is done: halves are widened to float, everything else is computed as it is.
template <typename T>
struct Arithmetic {
  using Type = T;
};
template <>
struct Arithmetic<f16> {
  using Type = float;
};
template <>
struct Arithmetic<bf16> {
  using Type = float;
};
template <typename T>
using arithmetic_t = typename Arithmetic<T>::Type;

template <typename T>
arithmetic_t<T> load(T element) {
  if constexpr (std::is_same_v<T, f16> || std::is_same_v<T, bf16>) {
    return to_float(element);
  } else {
    return element;
  }
}
/// Rounds (to nearest even) where T is a half.
template <typename T>
T round_to(arithmetic_t<T> value) {
  if constexpr (std::is_same_v<T, f16>) {
    return to_f16(value);
  } else if constexpr (std::is_same_v<T, bf16>) {
    return to_bf16(value);
  } else {
    return value;
  }
}

template <typename T>
constexpr bool is_floating_element = std::is_floating_point_v<arithmetic_t<T>>;

template <typename T>
struct ElementTag {
  using Type = T;
};

/// `call(ElementTag<T>{})` with T the element type: float, double, f16, bf16, the integers, or bool.
template <typename F>
decltype(auto) with_element_type(DType dtype, F&& call) {
  switch (dtype) {
    case DType::f32: return call(ElementTag<float>{});
    case DType::f64: return call(ElementTag<double>{});
    case DType::f16: return call(ElementTag<f16>{});
    case DType::bf16: return call(ElementTag<bf16>{});
    case DType::i8: return call(ElementTag<int8_t>{});
    case DType::u8: return call(ElementTag<uint8_t>{});
    case DType::i16: return call(ElementTag<int16_t>{});
    case DType::u16: return call(ElementTag<uint16_t>{});
    case DType::i32: return call(ElementTag<int32_t>{});
    case DType::u32: return call(ElementTag<uint32_t>{});
    case DType::i64: return call(ElementTag<int64_t>{});
    case DType::u64: return call(ElementTag<uint64_t>{});
    case DType::boolean: return call(ElementTag<bool>{});
  }
  INCIPIT_ASSERT(!"dtype");
  __builtin_unreachable();
}

[[noreturn]] inline void refuse_dtype(std::string_view op, DType dtype) {
  throw Error(op, "does not take elements of type " + std::string(name_of(dtype)));
}
/// The same for the floating types; throws Error naming the operator for others.
template <typename F>
decltype(auto) with_float_type(std::string_view op, DType dtype, F&& call) {
  switch (dtype) {
    case DType::f32: return call(ElementTag<float>{});
    case DType::f64: return call(ElementTag<double>{});
    case DType::f16: return call(ElementTag<f16>{});
    case DType::bf16: return call(ElementTag<bf16>{});
    default: refuse_dtype(op, dtype);
  }
}

}  // namespace incipit::primitives
