// Arithmetic on elements is done in four types only, so that its code is made for four: halves are computed as float,
// all signed integers as int64_t, all unsigned ones and bool as uint64_t. Narrowing the results back gives what
// arithmetic modulo 2^bits gives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/error.h"
#include "base/tensor.h"
#include "primitives/element_types.h"

namespace incipit::primitives {

/// f32, f64, i64 or u64.
DType carrier_of(DType dtype);
/// The dtype that a carrier itself is.
template <typename T>
constexpr DType dtype_of_carrier = std::is_same_v<T, float>     ? DType::f32
                                   : std::is_same_v<T, double>  ? DType::f64
                                   : std::is_same_v<T, int64_t> ? DType::i64
                                                                : DType::u64;

/// `call(ElementTag<T>{})` with T the carrier of `dtype`.
template <typename F>
decltype(auto) with_carrier(DType dtype, F&& call) {
  switch (carrier_of(dtype)) {
    case DType::f32: return call(ElementTag<float>{});
    case DType::f64: return call(ElementTag<double>{});
    case DType::i64: return call(ElementTag<int64_t>{});
    case DType::u64: return call(ElementTag<uint64_t>{});
    default: break;
  }
  INCIPIT_ASSERT(!"carrier");
  __builtin_unreachable();
}

/// Widens `count` elements of `dtype`, whose carrier is T. A bool is 0 or 1 whatever its byte is.
template <typename T>
void load_elements(DType dtype, const std::byte* from, T* to, size_t count);
/// Converts to any dtype as ONNX's Cast: between integers modulo 2^bits; floats to integers truncated, out of range to
/// the nearest that there is, NaN to 0; to bool whether the value is other than 0; to halves rounded to nearest even.
template <typename T>
void store_elements(const T* from, DType dtype, std::byte* to, size_t count);

/// The tensor itself where its dtype is a carrier, else `storage`, which gets its elements in theirs.
const Tensor& widened(const Tensor& tensor, Tensor& storage);
/// The elements of a tensor of a carrier as store_elements converts them.
Tensor narrowed(Tensor wide, DType dtype);

/// Elements that are worked on at a time: what lies between loading, computing and storing stays in the cache.
constexpr size_t chunk_elements = 1024;

}  // namespace incipit::primitives
