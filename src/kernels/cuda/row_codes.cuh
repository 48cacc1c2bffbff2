// Codes of numbers that share a scale, four at a time: what code_of() of base/codes.h makes of each, bit for bit.
#pragma once

#include "base/codes.h"
#include "kernels/cuda/prelude.cuh"

namespace incipit {

constexpr uint32_t infinity_bits = 0x7f800000U;  // NaNs have more, without their signs

struct RowCodes {
  float scale = 1;
  float reciprocal = 0;  // 0: of NaNs, infinities or magnitudes at the ends of the exponents

  RowCodes() = default;
  /// `finite`: all of the numbers are.
  RowCodes(float of_scale, bool finite) : scale(of_scale) {
    if (finite && scale > 0x1p-90f && scale < 0x1p90f) reciprocal = 1.0f / scale;
  }

  /// The codes of four numbers, side by side. x / scale is rounded as a division rounds it, without dividing: one
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

}  // namespace incipit
