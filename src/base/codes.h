// Codes of eight bits: the one rule by which a row of numbers becomes int8, for weights in the build and for
// activations at run time.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>

namespace incipit {

constexpr float largest_code = 127.0f;

/// The scale of a row whose largest magnitude is `largest`: the largest code stands for it. A row that is zero, or so
/// small that its scale would be subnormal, gets 1: its codes are zero, and dividing by its scale overflows nowhere.
inline float code_scale(float largest) {
  const float scale = largest / largest_code;
  return scale < std::numeric_limits<float>::min() ? 1.0f : scale;
}

/// round-half-even(value / scale), at most the largest code in magnitude; 0 for a NaN.
inline int8_t code_of(float value, float scale) {
  const float quotient = value / scale;
  if (std::isnan(quotient)) return 0;
  return static_cast<int8_t>(std::nearbyint(std::clamp(quotient, -largest_code, largest_code)));
}

/// Writes a row's codes and returns its scale. A NaN counts for nothing.
inline float quantize_row(std::span<const float> row, int8_t* codes) {
  float largest = 0;
  for (const float x : row) largest = std::fmax(largest, std::fabs(x));
  const float scale = code_scale(largest);
  for (size_t i = 0; i < row.size(); ++i) codes[i] = code_of(row[i], scale);
  return scale;
}

}  // namespace incipit
