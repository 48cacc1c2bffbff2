// Codes of eight bits: the one rule by which numbers that share a scale become int8, a row of activations at run time
// or a row or block of a weight in the build. CUDA kernels are compiled from it too; vector code is compared with it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace incipit {

constexpr float largest_code = 127.0f;

/// A scale, as it is stored. Numbers that are zero, or so small that their scale would be zero or a subnormal f32, get
/// 1: their codes are zero, and dividing by the scale overflows nowhere. (f16 has subnormals that are none of f32's:
/// those are scales.)
inline float usable_scale(float scale) { return scale < std::numeric_limits<float>::min() ? 1.0f : scale; }

/// The f32 scale of numbers whose largest magnitude is `largest`: the largest code stands for it.
inline float code_scale(float largest) { return usable_scale(largest / largest_code); }

/// round-half-even(value / scale), at most the largest code in magnitude; 0 for a NaN.
inline int8_t code_of(float value, float scale) {
  const float quotient = value / scale;
  if (quotient != quotient) return 0;
  return static_cast<int8_t>(std::lrint(std::clamp(quotient, -largest_code, largest_code)));
}

}  // namespace incipit
