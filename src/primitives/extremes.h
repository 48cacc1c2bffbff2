// Minima and maxima as ONNX and numpy have them: a NaN wins.
#pragma once

#include <cmath>
#include <type_traits>

namespace incipit::primitives {

template <typename T>
bool is_nan(T x) {
  if constexpr (std::is_floating_point_v<T>) return std::isnan(x);
  return false;
}
template <typename T>
T smaller(T a, T b) {
  return a < b || is_nan(a) ? a : b;
}
template <typename T>
T larger(T a, T b) {
  return a > b || is_nan(a) ? a : b;
}
/// The upper limit counts where it is below the lower one.
template <typename T>
T clipped(T x, T low, T high) {
  return smaller(larger(x, low), high);
}

}  // namespace incipit::primitives
