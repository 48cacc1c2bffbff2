#include "base/norm.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "base/rotary.h"

namespace incipit {
namespace {

TEST(Norms, OfFourNumbers) {
  const std::array<float, 4> row{1, 2, 3, 4};
  const RowNorm rms = rms_norm_of<float>(row, 0.5);
  EXPECT_EQ(rms.mean, 0);
  EXPECT_DOUBLE_EQ(rms.factor, 1 / std::sqrt(8.0));  // (1 + 4 + 9 + 16) / 4 + 0.5
  const RowNorm layer = layer_norm_of<float>(row, 0.31);
  EXPECT_EQ(layer.mean, 2.5);
  EXPECT_DOUBLE_EQ(layer.factor, 1 / std::sqrt(1.56));  // 1.25 + 0.31
  EXPECT_DOUBLE_EQ(layer(4), 1.5 / std::sqrt(1.56));
}

TEST(Rotary, TurnsPairsByTheirAngles) {
  const std::array<float, 2> frequencies{1, 0.5F};
  std::array<float, 4> row{};
  rotary_row(2, frequencies, {.factor = 3}, row);
  EXPECT_FLOAT_EQ(row[0], static_cast<float>(3 * std::cos(2.0)));
  EXPECT_FLOAT_EQ(row[3], static_cast<float>(3 * std::sin(1.0)));
  rotary_row(2, frequencies, {}, row);
  for (const bool interleaved : {false, true}) {
    std::array<float, 5> head{1, 0, 0, 1, 7};
    rotate_head(head, row, interleaved);
    const double first = interleaved ? head[1] : head[2], last = interleaved ? head[2] : head[1];
    EXPECT_FLOAT_EQ(head[0], static_cast<float>(std::cos(2.0)));
    EXPECT_NEAR(first, std::sin(2.0), 1e-6);
    EXPECT_NEAR(last, -std::sin(1.0), 1e-6);
    EXPECT_FLOAT_EQ(head[3], static_cast<float>(std::cos(1.0)));
    EXPECT_EQ(head[4], 7);
  }
}

TEST(Rotary, QueriesGrowWithTheLogarithmOfTheirPosition) {
  EXPECT_EQ((RotaryFactor{.factor = 1.5F}.at(1'000'000)), 1.5);
  const RotaryFactor growing{2, 0.5F, 8192};
  EXPECT_EQ(growing.at(8191), 2);
  EXPECT_DOUBLE_EQ(growing.at(3 * 8192), 2 * (1 + 0.5 * std::log(4.0)));
}

}  // namespace
}  // namespace incipit
