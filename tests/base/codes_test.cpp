#include "base/coded_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace incipit {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

std::vector<int> codes_of(const std::vector<float>& row, float* scale = nullptr) {
  std::vector<int8_t> codes(row.size());
  const float found = quantize_row(row, codes.data());
  if (scale != nullptr) *scale = found;
  return {codes.begin(), codes.end()};
}

TEST(Codes, TheLargestMagnitudeIsTheLargestCode) {
  float scale = 0;
  EXPECT_THAT(codes_of({-254, 127, 2, 0}, &scale), ::testing::ElementsAre(-127, 64, 1, 0));  // 63.5 to even
  EXPECT_EQ(scale, 2);
}

TEST(Codes, HalvesGoToTheEvenCode) {
  EXPECT_THAT(codes_of({127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f}), ::testing::ElementsAre(127, 0, 2, 2, 0, -2));
}

TEST(Codes, ARowThatNoScaleFitsIsZeros) {
  for (const float largest : {0.0f, 1e-45f, 1e-37f, 126 * std::numeric_limits<float>::min()}) {
    float scale = 0;
    EXPECT_THAT(codes_of({largest, -largest}, &scale), ::testing::ElementsAre(0, 0)) << largest;
    EXPECT_EQ(scale, 1) << largest;
  }
  float scale = 0;
  EXPECT_THAT(codes_of({128 * std::numeric_limits<float>::min()}, &scale), ::testing::ElementsAre(127));
  EXPECT_GE(scale, std::numeric_limits<float>::min());
}

TEST(Codes, AScaleIsWhatItsDtypeHolds) {
  constexpr float tiny = std::numeric_limits<float>::min();
  const DType all[] = {DType::f32, DType::bf16, DType::f16};
  for (const DType stored : all) {
    EXPECT_EQ(code_scale(0, stored), 1);
    EXPECT_EQ(code_scale(100 * tiny, stored), 1);
    EXPECT_EQ(code_scale(127, stored), 1);
    EXPECT_EQ(code_scale(254, stored), 2);
  }
  EXPECT_EQ(code_scale(127 * 1.01f, DType::bf16), to_float(to_bf16(1.01f)));
  EXPECT_EQ(code_scale(127 * 1.01f, DType::f16), to_float(to_f16(1.01f)));
  EXPECT_EQ(code_scale(127 * tiny, DType::bf16), tiny);         // the least of f32 and bf16
  EXPECT_EQ(code_scale(127 * 0x1p-24f, DType::f16), 0x1p-24f);  // and of f16, whose subnormals are scales
  EXPECT_EQ(code_scale(127 * 0x1p-26f, DType::f16), 1);         // rounds to zero
  EXPECT_EQ(code_scale(127 * 7e4f, DType::f16), infinity);      // for whoever stores it to refuse
}

TEST(Codes, ARoundedScaleKeepsCodesInRange) {
  // 1.003 as bf16 is 1: the quotient of the largest number exceeds the largest code.
  std::vector<int8_t> codes(2);
  EXPECT_EQ(quantize_row(std::vector<float>{127 * 1.003f, -127 * 1.003f}, codes.data(), DType::bf16), 1);
  EXPECT_THAT(codes, ::testing::ElementsAre(127, -127));
}

TEST(Codes, ANanCountsForNothingAndInfinityLeavesNothingElse) {
  EXPECT_THAT(codes_of({std::nanf(""), 254, -2}), ::testing::ElementsAre(0, 127, -1));
  EXPECT_THAT(codes_of({infinity, 3}), ::testing::ElementsAre(0, 0));  // infinity over infinity is no number
}

TEST(Codes, LargeNumbersStayInRange) {
  const float most = std::numeric_limits<float>::max();
  EXPECT_THAT(codes_of({most, -most, most / 4}), ::testing::ElementsAre(127, -127, 32));
}

}  // namespace
}  // namespace incipit
