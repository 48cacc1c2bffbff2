// The gates of AVX-512's products against double precision.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/cpu.h"
#include "kernels/cpu/isa.h"

#if defined(__x86_64__)
#include <immintrin.h>

#include "kernels/families.h"

INCIPIT_BEGIN_TARGET(INCIPIT_AVX512)
namespace incipit {
namespace {

constexpr int lanes = 16;

#include "kernels/cpu/vector_math.inc"

#include "kernels/cpu/vector_math_avx512.inc"

float silu_of(float x) { return silu(x + Floats{})[3]; }
float rounded_silu_of(float x) { return silu_of_bf16(x + Floats{})[3]; }

}  // namespace
}  // namespace incipit
INCIPIT_END_TARGET

namespace incipit {
namespace {

TEST(VectorMathAvx512, SiluIsWithinItsBounds) {
  if (!cpu_features().includes(CpuFeatures{}.with(CpuFeature::avx512))) GTEST_SKIP() << "needs AVX-512";
  for (int i = -80000; i <= 80000; ++i) {
    const float x = static_cast<float>(i) * 1e-3f;
    const double want = x / (1 + std::exp(-static_cast<double>(x)));
    ASSERT_NEAR(silu_of(x), want, 4 * 0x1p-23 * std::abs(want)) << x;
    ASSERT_NEAR(rounded_silu_of(x), want, 1.6e-4 * std::abs(want)) << x;
  }
  for (const auto function : {silu_of, rounded_silu_of}) {
    EXPECT_EQ(function(1e30f), 1e30f);
    EXPECT_EQ(function(std::numeric_limits<float>::infinity()), std::numeric_limits<float>::infinity());
    EXPECT_NEAR(function(-1e6f), 0, 1e-30);
    EXPECT_TRUE(std::isnan(function(std::numeric_limits<float>::quiet_NaN())));
  }
}

}  // namespace
}  // namespace incipit

#endif
