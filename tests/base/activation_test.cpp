#include "base/activation.h"

#include <gtest/gtest.h>

#include <limits>

namespace incipit {
namespace {

TEST(Enumerations, AreFoundByTheirNames) {
  EXPECT_EQ(name_of(Activation::gelu_tanh_gate), "gelu_tanh_gate");
  for (size_t i = 0; i < activation_names.size(); ++i) {
    EXPECT_EQ(find_value<Activation>(activation_names[i]), static_cast<Activation>(i));
  }
  EXPECT_EQ(find_value<Activation>("sine"), std::nullopt);
}

// Values by decimal arithmetic of 40 digits.
TEST(Activations, AreTheirFormulas) {
  EXPECT_DOUBLE_EQ(activate(Activation::silu, 1), 0.731058578630004879);
  EXPECT_DOUBLE_EQ(activate(Activation::silu, -3), -0.142277619532700343);
  EXPECT_DOUBLE_EQ(activate(Activation::gelu_erf, 1), 0.841344746068542949);
  EXPECT_NEAR(activate(Activation::gelu_erf, -2), -0.0455002638963584145, 1e-16);
  EXPECT_DOUBLE_EQ(activate(Activation::gelu_tanh, 1), 0.841191990608276704);
  EXPECT_NEAR(activate(Activation::gelu_tanh, -2), -0.045402305912224981, 1e-16);
  EXPECT_EQ(activate(Activation::relu, -2), 0);
  EXPECT_EQ(activate(Activation::none, -2), -2);
  EXPECT_TRUE(std::isnan(activate(Activation::relu, std::numeric_limits<double>::quiet_NaN())));
}

TEST(Activations, AGateIsActivatedAsItsActivation) {
  for (const std::string_view name : activation_names) {
    const Activation plain = *find_value<Activation>(name);
    EXPECT_EQ(is_gated(plain), name.ends_with("_gate"));
    const std::optional<Activation> gate = gate_of(plain);
    if (!gate) continue;
    EXPECT_EQ(name_of(*gate), std::string(name) + "_gate");
    EXPECT_EQ(activate(*gate, 0.75), activate(plain, 0.75));
  }
}

TEST(Activations, InFloatAreThoseInDoubleButForRounding) {
  for (const std::string_view name : activation_names) {
    const Activation kind = *find_value<Activation>(name);
    for (const float x : {-9.0f, -1.5f, 0.0f, 0.25f, 8.0f}) {
      const double want = gated(kind, x, 3);
      EXPECT_NEAR(gated<float>(kind, x, 3), want, 1e-6 * std::abs(want) + 1e-6) << name;
    }
  }
}

}  // namespace
}  // namespace incipit
