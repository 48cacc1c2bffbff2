// Element types and their conversions.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/enumeration.h"

namespace incipit {

enum class DType : uint8_t { f32, f16, bf16, i8, u8, i16, u16, i32, u32, i64, u64, f64, boolean };
constexpr std::array<std::string_view, 13> dtype_names{"f32", "f16", "bf16", "i8",  "u8",  "i16", "u16",
                                                       "i32", "u32", "i64",  "u64", "f64", "bool"};
constexpr const auto& enumeration_names(DType) { return dtype_names; }

/// Bytes of one element.
size_t size_of(DType dtype);
/// Whether it has a fraction: f32, f16, bf16, f64.
constexpr bool is_floating(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16 || dtype == DType::f64;
}
/// The inverse of name_of ("f32", "bf16", "i8" …); throws Error for an unknown name.
DType dtype_from_name(std::string_view name);

/// bfloat16 as stored. Arithmetic is done in float.
struct bf16 {
  uint16_t bits = 0;
};
/// IEEE half as stored.
struct f16 {
  uint16_t bits = 0;
};

/// Eight bits with four of exponent and three of mantissa, without infinities, as stored (Micikevicius and others,
/// "FP8 formats for deep learning", 2022): up to 448 in magnitude, 0x7f is a NaN. Where it lies in files it is u8:
/// nothing computes with it, so it is no DType.
struct f8_e4m3 {
  uint8_t bits = 0;
};

inline float to_float(bf16 x) { return std::bit_cast<float>(static_cast<uint32_t>(x.bits) << 16); }

/// Round to nearest even; NaN stays NaN (quiet), as the processors' own instructions do.
inline bf16 to_bf16(float x) {
  uint32_t bits = std::bit_cast<uint32_t>(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>((bits >> 16) | 0x40u)};
  bits += 0x7fffu + ((bits >> 16) & 1u);
  return {static_cast<uint16_t>(bits >> 16)};
}

float to_float(f16 x);
f16 to_f16(float x);
float to_float(f8_e4m3 x);
/// Round to nearest even; what rounds beyond 448, infinities and NaNs become a NaN, as PyTorch's float8_e4m3fn has it.
f8_e4m3 to_f8_e4m3(float x);

}  // namespace incipit
