// Rows of an int8 product's input as codes with a scale each: what QuantizeRows computes (families.h), bit for bit.
#pragma once

#include "base/codes.h"
#include "kernels/cuda/prelude.cuh"

namespace incipit {

/// Four neighbouring values.
inline float4 load_four(const float* from) { return *reinterpret_cast<const float4*>(from); }
inline float4 load_four(const bf16* from) {
  const uint2 words = *reinterpret_cast<const uint2*>(from);
  return {__uint_as_float(words.x << 16), __uint_as_float(words.x & 0xffff0000U), __uint_as_float(words.y << 16),
          __uint_as_float(words.y & 0xffff0000U)};
}

/// The bits of the largest magnitude of 16 bytes of values, and of what was seen before. Without their signs floats are
/// ordered as their bits are, NaNs last.
inline uint32_t largest_bits(uint32_t seen, const float* from) {
  const uint4 x = *reinterpret_cast<const uint4*>(from);
  constexpr uint32_t magnitude = 0x7fffffffU;
  return max(max(max(seen, x.x & magnitude), max(x.y & magnitude, x.z & magnitude)), x.w & magnitude);
}
inline uint32_t largest_bits(uint32_t seen, const bf16* from) {
  const uint4 x = *reinterpret_cast<const uint4*>(from);
  const auto pair = [](uint32_t word) { return max(word << 16 & 0x7fff0000U, word & 0x7fff0000U); };
  return max(max(max(seen, pair(x.x)), max(pair(x.y), pair(x.z))), pair(x.w));
}
template <typename Input>
constexpr int values_of_16 = 16 / sizeof(Input);

/// What makes codes of a row's values.
struct RowQuantizer {
  float scale = 1;
  float reciprocal = 0;  // 0: a row of NaNs, infinities or magnitudes at the ends of the exponents

  RowQuantizer() = default;
  /// `bits`: of the largest magnitude of the row's `k` values. A warp makes it together.
  template <typename Input>
  RowQuantizer(uint32_t bits, const Input* row, int32_t k) {
    float largest = __uint_as_float(bits);
    if (bits > infinity) {  // a NaN counts for nothing
      largest = 0;
      for (int32_t i = static_cast<int32_t>(threadIdx.x % warp_size); i < k; i += warp_size) {
        largest = fmaxf(largest, fabsf(to_float(row[i])));
      }
      largest = warp_max(largest);
    }
    scale = code_scale(largest);
    if (bits < infinity && scale > 0x1p-90f && scale < 0x1p90f) reciprocal = 1.0f / scale;
  }

  /// The codes of four values, side by side. x / scale is rounded as a division rounds it, without dividing: one
  /// correction leaves less than a unit in the last place, a second none (Markstein, 1990). Adding 1.5·2^23 rounds to
  /// the nearest integer, to even between two, which then stands in the low bits.
  uint32_t codes(const float4& x) const {
    if (reciprocal == 0.0f) {
      return byte(code_of(x.x, scale)) | byte(code_of(x.y, scale)) << 8 | byte(code_of(x.z, scale)) << 16 |
             byte(code_of(x.w, scale)) << 24;
    }
    const uint32_t low = __byte_perm(rounded(x.x), rounded(x.y), 0x0040),
                   high = __byte_perm(rounded(x.z), rounded(x.w), 0x0040);
    return __byte_perm(low, high, 0x5410);
  }

 private:
  static constexpr uint32_t infinity = 0x7f800000U;
  static uint32_t byte(int8_t code) { return static_cast<uint8_t>(code); }
  uint32_t rounded(float x) const {
    float quotient = __fmul_rn(x, reciprocal);
    quotient = __fmaf_rn(__fmaf_rn(-quotient, scale, x), reciprocal, quotient);
    quotient = __fmaf_rn(__fmaf_rn(-quotient, scale, x), reciprocal, quotient);
    return __float_as_uint(__fadd_rn(quotient, 12582912.0f));
  }
};

/// A warp finds a row's together. Behind its `k` values zeros fill the last 16 bytes.
template <typename Input>
RowQuantizer quantizer_by_warp(const Input* row, int32_t k) {
  uint32_t bits = 0;
#pragma unroll 8
  for (int32_t at = static_cast<int32_t>(threadIdx.x % warp_size) * values_of_16<Input>; at < k;
       at += warp_size * values_of_16<Input>) {
    bits = largest_bits(bits, row + at);
  }
  return {__reduce_max_sync(all_lanes, bits), row, k};
}

}  // namespace incipit
