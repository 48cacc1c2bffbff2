// Rows of an int8 product's input as codes with a scale each: what QuantizeRows computes (families.h), bit for bit.
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

/// The largest magnitudes that were seen: of numbers, and as bits, whose order is that of floats with NaNs last.
struct Largest {
  float number = 0;
  uint32_t bits = 0;
  void see(float x) {
    number = fmaxf(number, fabsf(x));  // a NaN counts for nothing
    bits = max(bits, __float_as_uint(x) & 0x7fffffffU);
  }
  void see(const float4& x) { see(x.x), see(x.y), see(x.z), see(x.w); }
  void see(const Largest& other) {
    number = fmaxf(number, other.number);
    bits = max(bits, other.bits);
  }
  /// Of all lanes.
  Largest of_warp() const {
    Largest all = *this;
    for (int distance = 16; distance > 0; distance /= 2) {
      all.see(
          Largest{__shfl_xor_sync(all_lanes, all.number, distance), __shfl_xor_sync(all_lanes, all.bits, distance)});
    }
    return all;
  }
};

/// What makes codes of a row's values.
struct RowQuantizer {
  float scale = 1;
  float reciprocal = 0;  // 0: a row of NaNs, infinities or magnitudes at the ends of the exponents

  RowQuantizer() = default;
  explicit RowQuantizer(const Largest& largest) : scale(code_scale(largest.number)) {
    const bool usual = largest.bits < 0x7f800000U && scale > 0x1p-90f && scale < 0x1p90f;
    reciprocal = usual ? 1.0f / scale : 0.0f;
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
  static uint32_t byte(int8_t code) { return static_cast<uint8_t>(code); }
  uint32_t rounded(float x) const {
    float quotient = __fmul_rn(x, reciprocal);
    quotient = __fmaf_rn(__fmaf_rn(-quotient, scale, x), reciprocal, quotient);
    quotient = __fmaf_rn(__fmaf_rn(-quotient, scale, x), reciprocal, quotient);
    return __float_as_uint(__fadd_rn(quotient, 12582912.0f));
  }
};

/// A warp finds a row's together. `k` values, behind which zeros fill the last four.
template <typename Input>
RowQuantizer quantizer_by_warp(const Input* row, int32_t k) {
  Largest largest;
#pragma unroll 4
  for (int32_t at = static_cast<int32_t>(threadIdx.x % warp_size) * 4; at < k; at += 4 * warp_size) {
    largest.see(load_four(row + at));
  }
  return RowQuantizer(largest.of_warp());
}

}  // namespace incipit
