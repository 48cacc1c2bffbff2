#include "base/dtype.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "base/error.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "base/cpu.h"
#endif

namespace incipit {
namespace {

uint32_t bits_of(float x) { return std::bit_cast<uint32_t>(x); }

TEST(DTypeTest, NamesAndSizes) {
  for (DType dtype : {DType::f32, DType::f16, DType::bf16, DType::i8, DType::u8, DType::i16, DType::u16, DType::i32,
                      DType::u32, DType::i64, DType::u64, DType::f64, DType::boolean}) {
    EXPECT_EQ(dtype_from_name(name_of(dtype)), dtype);
  }
  EXPECT_EQ(size_of(DType::f32), 4u);
  EXPECT_EQ(size_of(DType::bf16), 2u);
  EXPECT_EQ(size_of(DType::i64), 8u);
  EXPECT_EQ(size_of(DType::boolean), 1u);
  EXPECT_THROW(dtype_from_name("f8"), Error);
}

// The value of a half from its definition, IEEE 754-2019 §3.4, in double.
double half_value(uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const double mantissa = bits & 1023;
  const double magnitude = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  return (bits & 0x8000) != 0 ? -magnitude : magnitude;
}

TEST(DTypeTest, EveryHalfWidensAndComesBack) {
  for (uint32_t i = 0; i < 65536; ++i) {
    const f16 half{static_cast<uint16_t>(i)};
    const float wide = to_float(half);
    if ((i & 0x7fffu) > 0x7c00u) {
      EXPECT_TRUE(std::isnan(wide)) << i;
      EXPECT_TRUE(std::isnan(to_float(to_f16(wide)))) << i;
      continue;
    }
    if ((i & 0x7fffu) == 0x7c00u) {
      EXPECT_EQ(wide, (i & 0x8000u) != 0 ? -INFINITY : INFINITY);
    } else {
      ASSERT_EQ(static_cast<double>(wide), half_value(half.bits)) << i;
      ASSERT_EQ(std::signbit(wide), (i & 0x8000u) != 0) << i;
    }
    ASSERT_EQ(to_f16(wide).bits, half.bits) << i;
  }
}

TEST(DTypeTest, EveryBfloatWidensAndComesBack) {
  for (uint32_t i = 0; i < 65536; ++i) {
    const bf16 brain{static_cast<uint16_t>(i)};
    const float wide = to_float(brain);
    ASSERT_EQ(bits_of(wide), i << 16);
    if (std::isnan(wide)) {
      EXPECT_TRUE(std::isnan(to_float(to_bf16(wide)))) << i;
      EXPECT_EQ(to_bf16(wide).bits, i | 0x40u) << i;  // made quiet, payload kept
    } else {
      ASSERT_EQ(to_bf16(wide).bits, brain.bits) << i;
    }
  }
}

// Between every two neighbours: below, at and above the midpoint.
TEST(DTypeTest, HalfRoundsToNearestEven) {
  for (uint32_t i = 0; i < 0x7c00; ++i) {
    const double low = half_value(static_cast<uint16_t>(i));
    const double high = i + 1 < 0x7c00 ? half_value(static_cast<uint16_t>(i + 1)) : 65536.0;
    const auto middle = static_cast<float>((low + high) / 2);  // exact: 12 significant bits
    const auto even = static_cast<uint16_t>((i & 1) == 0 ? i : i + 1);
    for (uint32_t sign : {0u, 0x8000u}) {
      const auto signed_to_f16 = [sign](float x) { return to_f16(sign != 0 ? -x : x).bits ^ sign; };
      ASSERT_EQ(signed_to_f16(middle), even) << i;
      ASSERT_EQ(signed_to_f16(std::nextafter(middle, 0.0f)), i) << i;
      ASSERT_EQ(signed_to_f16(std::nextafter(middle, INFINITY)), i + 1) << i;
    }
  }
}

TEST(DTypeTest, BfloatRoundsToNearestEven) {
  for (uint32_t i = 0; i < 0x7f80; ++i) {
    const uint32_t middle = (i << 16) | 0x8000u;
    const auto even = static_cast<uint16_t>((i & 1) == 0 ? i : i + 1);
    for (uint32_t sign : {0u, 0x80000000u}) {
      const auto round = [sign](uint32_t bits) {
        return to_bf16(std::bit_cast<float>(bits | sign)).bits ^ (sign >> 16);
      };
      ASSERT_EQ(round(middle), even) << i;
      ASSERT_EQ(round(middle - 1), i) << i;
      ASSERT_EQ(round(middle + 1), i + 1) << i;
    }
  }
}

TEST(DTypeTest, HalfLimits) {
  EXPECT_EQ(to_f16(65504.0f).bits, 0x7bff);
  EXPECT_EQ(to_f16(65519.996f).bits, 0x7bff);
  EXPECT_EQ(to_f16(65520.0f).bits, 0x7c00);
  EXPECT_EQ(to_f16(std::numeric_limits<float>::max()).bits, 0x7c00);
  EXPECT_EQ(to_f16(-INFINITY).bits, 0xfc00);
  EXPECT_EQ(to_f16(std::numeric_limits<float>::denorm_min()).bits, 0);
  EXPECT_EQ(to_f16(-0.0f).bits, 0x8000);
}

#if defined(__x86_64__)
__attribute__((target("f16c"))) uint16_t processors_half(float x) {
  return static_cast<uint16_t>(_mm_extract_epi16(_mm_cvtps_ph(_mm_set_ss(x), _MM_FROUND_TO_NEAREST_INT), 0));
}

TEST(DTypeTest, HalfAgreesWithTheProcessor) {
  if (!cpu_features().has(CpuFeature::avx2)) GTEST_SKIP() << "DTypeTest.HalfAgreesWithTheProcessor: no F16C here";
  std::mt19937 random(1);
  for (int i = 0; i < 2'000'000; ++i) {
    uint32_t bits = random();
    if (i % 2 == 0) bits = (bits & 0x8fffffffu) | 0x30000000u;  // exponents around half's range
    const auto x = std::bit_cast<float>(bits);
    if (std::isnan(x)) continue;
    ASSERT_EQ(to_f16(x).bits, processors_half(x)) << std::hex << bits;
  }
}
#endif

// The bf16 numbers, by their bits, from which on float8_e4m3fn of PyTorch 2.11 has the codes 1, 2 … 127: all of them
// but the signs, as codes grow with magnitudes. Made of all 65,536 by x.to(torch.float8_e4m3fn).
constexpr uint16_t first_of_code[127] = {
    0x3a81, 0x3b40, 0x3ba1, 0x3be0, 0x3c11, 0x3c30, 0x3c51, 0x3c70, 0x3c89, 0x3c98, 0x3ca9, 0x3cb8, 0x3cc9,
    0x3cd8, 0x3ce9, 0x3cf8, 0x3d09, 0x3d18, 0x3d29, 0x3d38, 0x3d49, 0x3d58, 0x3d69, 0x3d78, 0x3d89, 0x3d98,
    0x3da9, 0x3db8, 0x3dc9, 0x3dd8, 0x3de9, 0x3df8, 0x3e09, 0x3e18, 0x3e29, 0x3e38, 0x3e49, 0x3e58, 0x3e69,
    0x3e78, 0x3e89, 0x3e98, 0x3ea9, 0x3eb8, 0x3ec9, 0x3ed8, 0x3ee9, 0x3ef8, 0x3f09, 0x3f18, 0x3f29, 0x3f38,
    0x3f49, 0x3f58, 0x3f69, 0x3f78, 0x3f89, 0x3f98, 0x3fa9, 0x3fb8, 0x3fc9, 0x3fd8, 0x3fe9, 0x3ff8, 0x4009,
    0x4018, 0x4029, 0x4038, 0x4049, 0x4058, 0x4069, 0x4078, 0x4089, 0x4098, 0x40a9, 0x40b8, 0x40c9, 0x40d8,
    0x40e9, 0x40f8, 0x4109, 0x4118, 0x4129, 0x4138, 0x4149, 0x4158, 0x4169, 0x4178, 0x4189, 0x4198, 0x41a9,
    0x41b8, 0x41c9, 0x41d8, 0x41e9, 0x41f8, 0x4209, 0x4218, 0x4229, 0x4238, 0x4249, 0x4258, 0x4269, 0x4278,
    0x4289, 0x4298, 0x42a9, 0x42b8, 0x42c9, 0x42d8, 0x42e9, 0x42f8, 0x4309, 0x4318, 0x4329, 0x4338, 0x4349,
    0x4358, 0x4369, 0x4378, 0x4389, 0x4398, 0x43a9, 0x43b8, 0x43c9, 0x43d8, 0x43e9};

TEST(F8E4M3, IsPyTorchsForAllNumbersOfBf16) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto* next = std::ranges::upper_bound(first_of_code, static_cast<uint16_t>(bits & 0x7fffu));
    const auto code = static_cast<uint8_t>(next - first_of_code) | (bits & 0x8000u) >> 8;
    ASSERT_EQ(to_f8_e4m3(to_float(bf16{static_cast<uint16_t>(bits)})).bits, code) << bits;
  }
}

TEST(F8E4M3, NumbersComeBackAsTheirCodes) {
  for (uint32_t code = 0; code < 0x100; ++code) {
    const float value = to_float(f8_e4m3{static_cast<uint8_t>(code)});
    EXPECT_EQ(std::isnan(value), (code & 0x7fu) == 0x7fu) << code;
    EXPECT_EQ(to_f8_e4m3(value).bits & 0x7fu, code & 0x7fu) << code;
    if (!std::isnan(value)) {
      EXPECT_EQ(to_f8_e4m3(value).bits, code);
    }
  }
  EXPECT_EQ(to_float(f8_e4m3{1}), 0x1p-9f);
  EXPECT_EQ(to_float(f8_e4m3{0x7e}), 448.0f);
  EXPECT_EQ(to_float(f8_e4m3{0xb8}), -1.0f);
}

}  // namespace
}  // namespace incipit
