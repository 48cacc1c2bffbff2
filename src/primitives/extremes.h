// Minima and maxima as ONNX and numpy have them: a NaN wins.
#pragma once

namespace incipit::primitives {

template <typename T>
constexpr T smaller(T a, T b) {
  return a < b || a != a ? a : b;  // a NaN is not equal to itself
}
template <typename T>
constexpr T larger(T a, T b) {
  return a > b || a != a ? a : b;
}
/// The upper limit counts where it is below the lower one.
template <typename T>
constexpr T clipped(T x, T low, T high) {
  return smaller(larger(x, low), high);
}

}  // namespace incipit::primitives
