// Rows of an int8 product's input as codes with a scale each, by the rule of base/codes.h.
#pragma once

#include "kernels/cuda/codes.cuh"
#include "kernels/cuda/prelude.cuh"

namespace incipit {

/// Four neighbouring values.
inline float4 load_four(const float* from) { return *reinterpret_cast<const float4*>(from); }
inline float4 load_four(const bf16* from) {
  const uint2 words = *reinterpret_cast<const uint2*>(from);
  return {__uint_as_float(words.x << 16), __uint_as_float(words.x & 0xffff0000U), __uint_as_float(words.y << 16),
          __uint_as_float(words.y & 0xffff0000U)};
}

inline float largest_of(float largest, const float4& x) {  // a NaN counts for nothing
  return fmaxf(fmaxf(fmaxf(largest, fabsf(x.x)), fmaxf(fabsf(x.y), fabsf(x.z))), fabsf(x.w));
}

/// Their codes, side by side.
inline uint32_t codes_of(const float4& x, float scale) {
  const auto byte = [&](float value) { return static_cast<uint32_t>(static_cast<uint8_t>(code_of(value, scale))); };
  return byte(x.x) | byte(x.y) << 8 | byte(x.z) << 16 | byte(x.w) << 24;
}

/// The scale of a row of `k` values, which a warp finds together; the row is padded with zeros.
template <typename Input>
float row_scale_by_warp(const Input* row, int32_t k) {
  float largest = 0;
#pragma unroll 4
  for (int32_t at = static_cast<int32_t>(threadIdx.x % warp_size) * 4; at < k; at += 4 * warp_size) {
    largest = largest_of(largest, load_four(row + at));
  }
  return code_scale(warp_max(largest));
}

}  // namespace incipit
