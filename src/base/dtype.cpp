#include "base/dtype.h"

#include <cmath>
#include <limits>

#include "base/error.h"

namespace incipit {
namespace {

constexpr std::array<size_t, dtype_names.size()> sizes{4, 2, 2, 1, 1, 2, 2, 4, 4, 8, 8, 8, 1};

}  // namespace

size_t size_of(DType dtype) { return sizes.at(static_cast<size_t>(dtype)); }

DType dtype_from_name(std::string_view name) {
  if (const std::optional<DType> found = find_value<DType>(name)) return *found;
  throw Error("dtype", "unknown element type '" + std::string(name) + "'");
}

float to_float(f16 x) {
  const uint32_t sign = static_cast<uint32_t>(x.bits & 0x8000u) << 16;
  const uint32_t exponent = (x.bits >> 10) & 0x1fu;
  const uint32_t mantissa = x.bits & 0x3ffu;
  if (exponent == 0x1f) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent == 0) {
    const float magnitude = std::ldexp(static_cast<float>(mantissa), -24);
    return sign != 0 ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

f16 to_f16(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return {static_cast<uint16_t>(sign | 0x7e00u)};
  if (magnitude >= 0x477ff000u) return {static_cast<uint16_t>(sign | 0x7c00u)};  // rounds past 65504
  if (magnitude < 0x38800000u) {  // subnormal in half: let the float adder round it
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return {static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000u))};
  }
  const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  return {static_cast<uint16_t>(sign | ((rounded - 0x38000000u) >> 13))};
}

float to_float(f8_e4m3 x) {
  const int exponent = x.bits >> 3 & 15, mantissa = x.bits & 7;
  float magnitude = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), -9)
                                  : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
  if (exponent == 15 && mantissa == 7) magnitude = std::numeric_limits<float>::quiet_NaN();
  return (x.bits & 0x80) != 0 ? -magnitude : magnitude;
}

f8_e4m3 to_f8_e4m3(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  const auto sign = static_cast<uint8_t>(bits >> 24 & 0x80u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x43e80000u) return {static_cast<uint8_t>(sign | 0x7fu)};  // beyond 464, which is even with 448
  if (magnitude < 0x3c800000u) {  // below 2^-6 steps are 2^-9: let the float adder round to them
    const float shifted = std::bit_cast<float>(magnitude) + 0x1p14f;
    return {static_cast<uint8_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x46800000u))};
  }
  const uint32_t rounded = magnitude + 0x7ffffu + (magnitude >> 20 & 1u);
  return {static_cast<uint8_t>(sign | ((rounded - 0x3c000000u) >> 20))};
}

}  // namespace incipit
