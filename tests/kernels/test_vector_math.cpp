// The vector functions of the activations against double precision.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "base/activation.h"
#include "kernels/families.h"

namespace incipit {
namespace {

constexpr int lanes = 4;

#include "kernels/cpu/vector_math.inc"

/// Distance in units in the last place of the exact value.
double ulps(float got, double want) {
  int exponent;
  std::frexp(want, &exponent);
  return std::abs(got - want) / std::ldexp(1.0, std::max(exponent, -125) - 24);
}

template <typename Function, typename Exact>
double worst_ulps(float low, float high, Function function, Exact exact) {
  double worst = 0;
  for (int i = 0; i <= 200000; ++i) {
    const float x = low + (high - low) * static_cast<float>(i) / 200000.0f;
    worst = std::max(worst, ulps(function(x + Floats{})[i % lanes], exact(static_cast<double>(x))));
  }
  return worst;
}

// Bounds without fused multiply-add, twice those with it.
TEST(VectorMath, Exponential) {
  const auto ours = [](Floats x) { return exponential(x); };
  const auto exact = [](double x) { return std::exp(x); };
  EXPECT_LT(worst_ulps(-87, 88, ours, exact), 3);
  EXPECT_LT(worst_ulps(-1, 1, ours, exact), 3);
  EXPECT_TRUE(std::isnan(exponential(std::numeric_limits<float>::quiet_NaN() + Floats{})[0]));
  EXPECT_GT(exponential(-1e30f + Floats{})[0], 0);
  EXPECT_TRUE(std::isfinite(exponential(1e30f + Floats{})[0]));
}

TEST(VectorMath, ErrorFunction) {
  const auto ours = [](Floats x) { return error_function(x); };
  const auto exact = [](double x) { return std::erf(x); };
  EXPECT_LT(worst_ulps(-6, 6, ours, exact), 4);
  EXPECT_LT(worst_ulps(-0.01f, 0.01f, ours, exact), 4);
  EXPECT_EQ(error_function(1e30f + Floats{})[0], 1);
  EXPECT_EQ(error_function(-1e30f + Floats{})[0], -1);
}

TEST(VectorMath, ActivationsAreWithinSixteenRoundingsOfTheirArgument) {
  for (const Activation activation : {Activation::silu, Activation::gelu_tanh, Activation::gelu_erf, Activation::relu,
                                      Activation::relu_squared, Activation::none}) {
    for (int i = -100000; i <= 100000; ++i) {
      const float x = static_cast<float>(i) * 1.3e-3f;
      const float got = activate_lanes(activation, x + Floats{})[0];
      const float size = activation == Activation::relu_squared ? x * x : std::abs(x);
      ASSERT_NEAR(got, activate(activation, x), 16 * 0x1p-24 * size + 1e-36)
          << activation_names[static_cast<size_t>(activation)] << " of " << x;
    }
    EXPECT_TRUE(std::isnan(activate_lanes(activation, std::numeric_limits<float>::quiet_NaN() + Floats{})[0]));
  }
}

TEST(VectorMath, SigmoidAndClampedGate) {
  for (int i = -20000; i <= 20000; ++i) {
    const float x = static_cast<float>(i) * 1e-3f, up = static_cast<float>(i * 7 % 20000) * 1e-3f;
    ASSERT_NEAR(activate_lanes(Activation::sigmoid, x + Floats{})[0], activate(Activation::sigmoid, x), 8 * 0x1p-24);
    const double want = gated(Activation::clamped_silu_gate, x, up);
    ASSERT_NEAR(gate_lanes(Activation::clamped_silu_gate, x + Floats{}, up + Floats{})[1], want,
                20 * 0x1p-24 * std::min(std::abs(x), 7.0f) * 8)
        << x << ", " << up;
  }
  const Floats nan = std::numeric_limits<float>::quiet_NaN() + Floats{}, one = 1.0f + Floats{};
  EXPECT_TRUE(std::isnan(gate_lanes(Activation::clamped_silu_gate, nan, one)[0]));
  EXPECT_TRUE(std::isnan(gate_lanes(Activation::clamped_silu_gate, one, nan)[0]));
  EXPECT_TRUE(std::isnan(activate_lanes(Activation::sigmoid, nan)[0]));
}

TEST(VectorMath, RoundsToBf16AsTheScalarDoes) {
  for (uint64_t bits = 0; bits <= 0xffffffffu; bits += 40503) {
    const float x = std::bit_cast<float>(static_cast<uint32_t>(bits));
    ASSERT_EQ(to_bf16_lanes(x + Floats{})[1], to_bf16(x).bits) << bits;
  }
}

TEST(VectorMath, WidensEveryF16AsTheScalarDoes) {
  for (uint32_t bits = 0; bits <= 0xffffu; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float got = from_f16_lanes(Halves{} + half)[2], want = to_float(f16{half});
    ASSERT_EQ(std::bit_cast<uint32_t>(got), std::bit_cast<uint32_t>(want)) << bits;
  }
}

}  // namespace
}  // namespace incipit
