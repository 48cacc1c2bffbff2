// The norms' arithmetic: the references of ops and of kernels and the primitives call it.
#pragma once

#include <cmath>
#include <span>

namespace incipit {

/// What a norm does to each element of a row, before gain and bias: (x − mean) · factor.
struct RowNorm {
  double mean = 0, factor = 0;
  double operator()(double x) const { return (x - mean) * factor; }
};

/// 1/√(mean((x − mean)²) + epsilon).
template <typename T>
RowNorm norm_around(double mean, std::span<const T> row, double epsilon) {
  double squares = 0;
  for (const T x : row) {
    const double distance = static_cast<double>(x) - mean;
    squares += distance * distance;
  }
  return {mean, 1 / std::sqrt(squares / static_cast<double>(row.size()) + epsilon)};
}

/// Root mean square norm (Zhang, Sennrich, 2019).
template <typename T>
RowNorm rms_norm_of(std::span<const T> row, double epsilon) {
  return norm_around(0.0, row, epsilon);
}

/// Layer norm (Ba, Kiros, Hinton, 2016).
template <typename T>
RowNorm layer_norm_of(std::span<const T> row, double epsilon) {
  double sum = 0;
  for (const T x : row) sum += static_cast<double>(x);
  return norm_around(sum / static_cast<double>(row.size()), row, epsilon);
}

}  // namespace incipit
