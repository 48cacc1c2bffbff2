#include "base/dtype.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace incipit
