// Elementwise arithmetic is done in four types only: halves are computed as float, all signed integers as int64_t, all
// unsigned ones and bool as uint64_t. Narrowing the results back gives what arithmetic modulo 2^bits gives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/dtype.h"
#include "base/error.h"
#include "primitives/element_types.h"

namespace incipit::primitives {

/// float, double, int64_t or uint64_t.
enum class Carrier : uint8_t { f32, f64, i64, u64 };
Carrier carrier_of(DType dtype);
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
    case Carrier::f32: return call(ElementTag<float>{});
    case Carrier::f64: return call(ElementTag<double>{});
    case Carrier::i64: return call(ElementTag<int64_t>{});
    case Carrier::u64: return call(ElementTag<uint64_t>{});
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

/// Elements that are worked on at a time: what lies between loading, computing and storing stays in the cache.
constexpr size_t chunk_elements = 1024;

}  // namespace incipit::primitives
