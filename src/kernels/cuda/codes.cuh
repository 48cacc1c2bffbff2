// Codes of eight bits, by the rule of base/codes.h.
#pragma once

#include "kernels/cuda/prelude.cuh"

namespace incipit {

constexpr float largest_code = 127.0f;

/// The f32 scale of numbers whose largest magnitude is `largest`.
inline float code_scale(float largest) {
  const float scale = largest / largest_code;
  return scale < 0x1p-126f ? 1.0f : scale;
}

inline int8_t code_of(float value, float scale) {
  const float quotient = value / scale;
  if (quotient != quotient) return 0;
  return static_cast<int8_t>(__float2int_rn(fminf(fmaxf(quotient, -largest_code), largest_code)));
}

}  // namespace incipit
