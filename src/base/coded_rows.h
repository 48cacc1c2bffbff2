// Rows of codes (codes.h) with a scale each, which f32, bf16 or f16 holds.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>

#include "base/codes.h"
#include "base/dtype.h"

namespace incipit {

/// `value` as f32, bf16 or f16 holds it: rounded to nearest even.
inline float rounded_to(DType dtype, float value) {
  return dtype == DType::bf16 ? to_float(to_bf16(value)) : dtype == DType::f16 ? to_float(to_f16(value)) : value;
}

/// The scale of numbers whose largest magnitude is `largest`, as `stored` holds it.
inline float code_scale(float largest, DType stored) {
  return usable_scale(rounded_to(stored, largest / largest_code));
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
