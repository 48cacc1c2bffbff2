// The rule of per-row quantisation, shared by the references that produce i8 rows.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace incipit {

/// The scale of a row whose largest magnitude is `largest`: 1 for a zero row (or one too small for a scale).
inline float quantization_scale(float largest) {
  const float scale = largest / 127.0f;
  return scale == 0 ? 1.0f : scale;
}

/// round-half-even(value / scale) in [-127, 127]; 0 for a NaN.
inline int8_t quantize(float value, float scale) {
  const float quotient = value / scale;
  if (std::isnan(quotient)) return 0;
  return static_cast<int8_t>(std::nearbyint(std::clamp(quotient, -127.0f, 127.0f)));
}

}  // namespace incipit
