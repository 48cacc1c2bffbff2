// Rows of an int8 product's input as codes with a scale each: what QuantizeRows computes (families.h), bit for bit.
#pragma once

#include "kernels/cuda/row_codes.cuh"

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
struct RowQuantizer : RowCodes {
  RowQuantizer() = default;
  /// `bits`: of the largest magnitude of the row's `k` values. A warp makes it together.
  template <typename Input>
  RowQuantizer(uint32_t bits, const Input* row, int32_t k) : RowCodes(scale_of(bits, row, k), bits < infinity_bits) {}

 private:
  template <typename Input>
  static float scale_of(uint32_t bits, const Input* row, int32_t k) {
    if (bits <= infinity_bits) return code_scale(__uint_as_float(bits));
    float largest = 0;  // a NaN counts for nothing
    for (int32_t i = static_cast<int32_t>(threadIdx.x % warp_size); i < k; i += warp_size) {
      largest = fmaxf(largest, fabsf(to_float(row[i])));
    }
    return code_scale(warp_max(largest));
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
