// Consecutive elements of a row in registers: one access of up to 16 bytes where rows are aligned (aligned_rows() of
// row_launch.h), else one an element.
#pragma once

#include "kernels/cuda/prelude.cuh"

namespace incipit {

template <int bytes>
struct WordsOf;
template <>
struct WordsOf<4> {
  using type = uint32_t;
};
template <>
struct WordsOf<8> {
  using type = uint2;
};
template <>
struct WordsOf<16> {
  using type = uint4;
};

/// As many elements as one access moves, of `count` that lie side by side.
template <typename T, int count>
struct Access {
  static constexpr int elements = count * sizeof(T) > 16 ? 16 / sizeof(T) : count;
  using Words = typename WordsOf<elements * sizeof(T)>::type;
  union Value {
    Words words;
    T elements[Access::elements];
  };
};

/// Elements [column, column + count), which one access moves, as they are; zeros from `width` on. `column` is a multiple
/// of `count`.
template <typename T, typename Value>
inline void load_elements(const T* row, int32_t column, int32_t width, bool aligned, Value& to) {
  constexpr int count = sizeof(Value) / sizeof(T);
  if (aligned && column + count <= width) {
    to.words = *reinterpret_cast<const decltype(to.words)*>(row + column);
    return;
  }
#pragma unroll
  for (int i = 0; i < count; ++i) to.elements[i] = column + i < width ? row[column + i] : T{};
}

/// Elements [column, column + count) as floats; zeros from `width` on. `column` is a multiple of `count`.
template <int count, typename T>
inline void load_columns(const T* row, int32_t column, int32_t width, bool aligned, float (&to)[count]) {
  if (aligned && column + count <= width) {
    using Move = Access<T, count>;
#pragma unroll
    for (int first = 0; first < count; first += Move::elements) {
      typename Move::Value value;
      value.words = *reinterpret_cast<const typename Move::Words*>(row + column + first);
#pragma unroll
      for (int i = 0; i < Move::elements; ++i) to[first + i] = to_float(value.elements[i]);
    }
    return;
  }
#pragma unroll
  for (int i = 0; i < count; ++i) to[i] = column + i < width ? to_float(row[column + i]) : 0;
}

/// Stores elements [column, column + count) as far as they are within the width, and zeros from there to
/// `padded_width`.
template <int count, typename T>
inline void store_columns(T* row, int32_t column, int32_t width, int32_t padded_width, bool aligned,
                          const T (&from)[count]) {
  if (aligned && column + count <= width) {
    using Move = Access<T, count>;
#pragma unroll
    for (int first = 0; first < count; first += Move::elements) {
      typename Move::Value value;
#pragma unroll
      for (int i = 0; i < Move::elements; ++i) value.elements[i] = from[first + i];
      *reinterpret_cast<typename Move::Words*>(row + column + first) = value.words;
    }
    return;
  }
#pragma unroll
  for (int i = 0; i < count; ++i) {
    if (column + i < padded_width) row[column + i] = column + i < width ? from[i] : T{};
  }
}

/// Rounded to the elements of T.
template <int count, typename T>
inline void store_floats(T* row, int32_t column, int32_t width, int32_t padded_width, bool aligned,
                         const float (&from)[count]) {
  T rounded[count];
#pragma unroll
  for (int i = 0; i < count; ++i) rounded[i] = from_float<T>(from[i]);
  store_columns(row, column, width, padded_width, aligned, rounded);
}

}  // namespace incipit
