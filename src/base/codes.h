// Codes of eight bits: the one rule by which numbers that share a scale become int8, a row of activations at run time
// or a row or block of a weight in the build.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>

#include "base/dtype.h"

namespace incipit {

constexpr float largest_code = 127.0f;

/// `value` as f32, bf16 or f16 holds it: rounded to nearest even.
inline float rounded_to(DType dtype, float value) {
  return dtype == DType::bf16 ? to_float(to_bf16(value)) : dtype == DType::f16 ? to_float(to_f16(value)) : value;
}

/// The scale of numbers whose largest magnitude is `largest`, as `stored` holds it: the largest code stands for it.
/// Numbers that are zero, or so small that their scale would be zero or a subnormal f32, get 1: their codes are zero,
/// and dividing by the scale overflows nowhere. (f16 has subnormals that are none of f32's: those are scales.)
inline float code_scale(float largest, DType stored = DType::f32) {
  const float scale = rounded_to(stored, largest / largest_code);
  return scale < std::numeric_limits<float>::min() ? 1.0f : scale;
}

/// round-half-even(value / scale), at most the largest code in magnitude; 0 for a NaN.
inline int8_t code_of(float value, float scale) {
  const float quotient = value / scale;
  if (std::isnan(quotient)) return 0;
  return static_cast<int8_t>(std::nearbyint(std::clamp(quotient, -largest_code, largest_code)));
}

/// The scale that numbers share. A NaN counts for nothing.
inline float scale_of_row(std::span<const float> row, DType stored = DType::f32) {
  float largest = 0;
  for (const float x : row) largest = std::fmax(largest, std::fabs(x));
  return code_scale(largest, stored);
}

/// Writes the codes of numbers that share a scale and returns it.
inline float quantize_row(std::span<const float> row, int8_t* codes, DType stored = DType::f32) {
  const float scale = scale_of_row(row, stored);
  for (size_t i = 0; i < row.size(); ++i) codes[i] = code_of(row[i], scale);
  return scale;
}

}  // namespace incipit
