// Properties of the weight formats over matrices of every stored dtype.
#include "quant/format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>
#include <vector>

#include "base/error.h"

namespace incipit {
namespace {

ConstantPtr matrix(DType dtype, int64_t rows, int64_t columns, uint64_t seed, float deviation = 0.05F) {
  return make_random_constant(dtype, {rows, columns}, seed, deviation);
}

std::vector<float> floats(const Constant& constant) {
  std::vector<float> values(static_cast<size_t>(element_count(constant.shape())));
  constant.read_floats(0, constant.rows(), values.data());
  return values;
}

std::vector<float> dequantised(const QuantizedConstant& planes) {
  std::vector<float> values = floats(*planes.codes);
  if (planes.scales == nullptr) return values;
  const std::vector<float> scales = floats(*planes.scales);
  const auto width = static_cast<size_t>(planes.codes->row_elements());
  for (size_t i = 0; i < values.size(); ++i) values[i] *= scales[i / width];
  return values;
}

/// Of a format in groups.
std::vector<float> dequantised(const WeightFormat& format, const QuantizedConstant& planes) {
  std::vector<float> values = floats(*planes.codes);
  const std::vector<float> scales = floats(*planes.scales);
  std::vector<float> zero_points(scales.size(), 0.0F);
  if (planes.zero_points != nullptr) zero_points = floats(*planes.zero_points);
  const int64_t width = planes.codes->row_elements(), blocks = format.blocks_of_k(width);
  for (int64_t i = 0; i < static_cast<int64_t>(values.size()); ++i) {
    const auto at = static_cast<size_t>(i / width * blocks + i % width / format.block_k);
    values[static_cast<size_t>(i)] = (values[static_cast<size_t>(i)] - zero_points[at]) * scales[at];
  }
  return values;
}

/// The bytes of all rows, read `step` rows at a time.
std::vector<std::byte> bytes_in_slabs(const Constant& constant, int64_t step) {
  const size_t row = static_cast<size_t>(constant.row_elements()) * size_of(constant.dtype());
  std::vector<std::byte> bytes(static_cast<size_t>(constant.rows()) * row);
  for (int64_t first = 0; first < constant.rows(); first += step) {
    constant.read(first, std::min(step, constant.rows() - first), bytes.data() + static_cast<size_t>(first) * row);
  }
  return bytes;
}

TEST(WeightFormats, ListHasOneOfEachName) {
  std::vector<std::string_view> names;
  for (const NamedWeightFormat& format : weight_formats()) {
    names.push_back(format.name);
    EXPECT_EQ(&weight_format(format.name), &format);
  }
  EXPECT_THAT(names, testing::ElementsAre("f32", "bf16", "fp16", "int8", "int4-g32", "int4", "int4-g128",
                                          "int4-zero-g32", "int4-zero", "int4-zero-g128"));
}

TEST(WeightFormats, UnknownNameIsRefusedByName) {
  try {
    weight_format("int3");
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "precision int3: unknown weight format; use one of f32, bf16, fp16, int8, int4-g32, int4, int4-g128, "
                 "int4-zero-g32, int4-zero, int4-zero-g128");
  }
}

class EveryFormat : public testing::TestWithParam<std::tuple<const char*, DType>> {
 protected:
  const NamedWeightFormat& format() const { return weight_format(std::get<0>(GetParam())); }
  DType source() const { return std::get<1>(GetParam()); }
};

TEST_P(EveryFormat, PlanesAreWhatTheFormatSays) {
  const QuantizedConstant planes = format().quantize(matrix(source(), 7, 33, 1));
  EXPECT_EQ(planes.codes->dtype(), format().format.codes);
  EXPECT_EQ(planes.codes->shape(), (Shape{7, 33}));
  ASSERT_EQ(planes.scales != nullptr, format().format.scales.has_value());
  if (planes.scales != nullptr) {
    EXPECT_EQ(planes.scales->dtype(), DType::f32);
    EXPECT_EQ(planes.scales->shape(), (Shape{7}));
  }
}

TEST_P(EveryFormat, SlabsAgreeWithTheWhole) {
  // Wide enough that reading it whole takes several slabs within.
  const QuantizedConstant planes = format().quantize(matrix(source(), 301, 1025, 2));
  for (const ConstantPtr& plane : {planes.codes, planes.scales}) {
    if (plane == nullptr) continue;
    const std::vector<std::byte> whole = bytes_in_slabs(*plane, plane->rows());
    EXPECT_EQ(bytes_in_slabs(*plane, 1), whole);
    EXPECT_EQ(bytes_in_slabs(*plane, 97), whole);
  }
}

TEST_P(EveryFormat, QuantisingAgainChangesNothing) {
  const QuantizedConstant once = format().quantize(matrix(source(), 16, 64, 4));
  const std::vector<float> values = dequantised(once);
  const QuantizedConstant twice = format().quantize(make_constant(Tensor::of({16, 64}, values)));
  EXPECT_EQ(bytes_in_slabs(*twice.codes, 16), bytes_in_slabs(*once.codes, 16));
  if (once.scales == nullptr) return;
  const std::vector<float> first = floats(*once.scales), second = floats(*twice.scales);
  // The largest code is ±127, so the scale returns, but for the rounding of one product and one quotient.
  for (size_t i = 0; i < first.size(); ++i) EXPECT_NEAR(second[i], first[i], first[i] * 0x1p-22F);
}

INSTANTIATE_TEST_SUITE_P(Formats, EveryFormat,
                         testing::Combine(testing::Values("f32", "bf16", "fp16", "int8"),
                                          testing::Values(DType::f32, DType::f16, DType::bf16)),
                         [](const auto& instance) {
                           return std::string(std::get<0>(instance.param)) + "_of_" +
                                  std::string(name_of(std::get<1>(instance.param)));
                         });

TEST(Float32Format, IsExact) {
  const ConstantPtr weight = matrix(DType::f16, 9, 31, 5);
  EXPECT_EQ(floats(*weight_format("f32").quantize(weight).codes), floats(*weight));
}

TEST(Bfloat16Format, KeepsBfloat16AndRoundsTheRestToNearest) {
  const ConstantPtr stored = matrix(DType::bf16, 4, 8, 6);
  EXPECT_EQ(weight_format("bf16").quantize(stored).codes, stored);
  const ConstantPtr weight = matrix(DType::f32, 4, 8, 7);
  const std::vector<float> exact = floats(*weight), rounded = floats(*weight_format("bf16").quantize(weight).codes);
  for (size_t i = 0; i < exact.size(); ++i) EXPECT_EQ(rounded[i], to_float(to_bf16(exact[i])));
}

TEST(Float16Format, KeepsFloat16AndRoundsTheRestToNearest) {
  const ConstantPtr stored = matrix(DType::f16, 4, 8, 6);
  EXPECT_EQ(weight_format("fp16").quantize(stored).codes, stored);
  for (const float deviation : {1e-7F, 1e-4F, 0.02F, 9000.0F}) {
    const ConstantPtr weight = matrix(DType::f32, 40, 80, 7, deviation);
    const std::vector<float> exact = floats(*weight), rounded = floats(*weight_format("fp16").quantize(weight).codes);
    for (size_t i = 0; i < exact.size(); ++i) EXPECT_EQ(rounded[i], to_float(to_f16(exact[i])));
  }
}

TEST(Float16Format, RefusesWhatOverflowsByRow) {
  const float below = std::nextafter(65520.0F, 0.0F);
  const auto weight = [](float value) {
    return make_constant(Tensor::of({3, 2}, std::vector<float>{1, 2, 3, 4, value, -5}));
  };
  EXPECT_EQ(floats(*weight_format("fp16").quantize(weight(-below)).codes)[4], -65504);
  for (const float bad : {65520.0F, -7e4F, std::numeric_limits<float>::infinity(), std::nanf("")}) {
    const QuantizedConstant planes = weight_format("fp16").quantize(weight(bad));
    std::vector<std::byte> row(2 * 2);
    planes.codes->read(1, 1, row.data());
    try {
      planes.codes->materialise();
      FAIL() << bad;
    } catch (const Error& error) {
      EXPECT_EQ(error.thing(), "row 2");
    }
  }
  const ConstantPtr large = make_constant(Tensor::of({1, 1}, std::vector<float>{70000}));
  EXPECT_THAT([&] { weight_format("fp16").quantize(large).codes->materialise(); },
              testing::ThrowsMessage<Error>("row 0: holds 70000, and fp16 stores nothing beyond 65504; build "
                                            "with --precision f32 or bf16, or mend the checkpoint"));
}

TEST(Int8Format, ErrorIsAtMostHalfAScale) {
  for (float deviation : {1e-6F, 0.02F, 3.0F, 1e30F}) {
    const ConstantPtr weight = matrix(DType::f32, 32, 257, 8, deviation);
    const QuantizedConstant planes = weight_format("int8").quantize(weight);
    const std::vector<float> exact = floats(*weight), codes = floats(*planes.codes), scales = floats(*planes.scales);
    for (size_t i = 0; i < exact.size(); ++i) {
      const double scale = scales[i / 257];
      // Half a step, and the rounding of the quotient: 127 steps at most, each with float32's relative error.
      EXPECT_LE(std::abs(exact[i] - codes[i] * scale), scale * (0.5 + 127 * 0x1p-23)) << deviation << ' ' << i;
      EXPECT_LE(std::abs(codes[i]), 127);
    }
  }
}

TEST(Int8Format, ScaleIsTheLargestMagnitudeOver127AndTiesGoToEven) {
  // Scale 2: halves lie between codes.
  const std::vector<float> row{254, -254, 1, -1, 3, 5, -5, 0, 253};
  const QuantizedConstant planes = weight_format("int8").quantize(make_constant(Tensor::of({1, 9}, row)));
  EXPECT_THAT(floats(*planes.scales), testing::ElementsAre(2.0F));
  EXPECT_THAT(floats(*planes.codes), testing::ElementsAre(127, -127, 0, 0, 2, 2, -2, 0, 126));
}

TEST(Int8Format, ZeroAndVanishingRowsHaveScaleOne) {
  std::vector<float> values(3 * 4, 0.0F);
  values[4] = 1e-44F;
  values[8] = 127.0F;
  const QuantizedConstant planes = weight_format("int8").quantize(make_constant(Tensor::of({3, 4}, values)));
  EXPECT_THAT(floats(*planes.scales), testing::ElementsAre(1.0F, 1.0F, 1.0F));
  EXPECT_THAT(floats(*planes.codes), testing::ElementsAre(0, 0, 0, 0, 0, 0, 0, 0, 127, 0, 0, 0));
}

TEST(Int8Format, RefusesWhatIsNotFinite) {
  for (float bad : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    const std::vector<float> values{1, 2, bad, 4};
    const QuantizedConstant planes = weight_format("int8").quantize(make_constant(Tensor::of({2, 2}, values)));
    EXPECT_THROW(planes.codes->materialise(), Error);
    EXPECT_THROW(planes.scales->materialise(), Error);
  }
}

class EveryGroupFormat : public testing::TestWithParam<const char*> {
 protected:
  const NamedWeightFormat& named() const { return weight_format(GetParam()); }
  const WeightFormat& format() const { return named().format; }
  int most() const { return format().zero_points ? 15 : 7; }
};

TEST_P(EveryGroupFormat, PlanesAreWhatTheFormatSays) {
  const int64_t group = format().block_k;
  const QuantizedConstant planes = named().quantize(matrix(DType::bf16, 7, 2 * group + 5, 1));
  EXPECT_EQ(planes.codes->dtype(), format().codes);
  EXPECT_EQ(planes.codes->shape(), (Shape{7, 2 * group + 5}));
  EXPECT_EQ(planes.scales->dtype(), DType::bf16);
  EXPECT_EQ(planes.scales->shape(), (Shape{7, 3}));
  ASSERT_EQ(planes.zero_points != nullptr, format().zero_points.has_value());
  if (planes.zero_points != nullptr) {
    EXPECT_EQ(planes.zero_points->dtype(), DType::u8);
    EXPECT_EQ(planes.zero_points->shape(), (Shape{7, 3}));
  }
}

TEST_P(EveryGroupFormat, SlabsAgreeWithTheWhole) {
  const QuantizedConstant planes = named().quantize(matrix(DType::f16, 301, 1025, 2));
  for (const ConstantPtr& plane : {planes.codes, planes.scales, planes.zero_points}) {
    if (plane == nullptr) continue;
    const std::vector<std::byte> whole = bytes_in_slabs(*plane, plane->rows());
    EXPECT_EQ(bytes_in_slabs(*plane, 1), whole);
    EXPECT_EQ(bytes_in_slabs(*plane, 97), whole);
  }
}

/// Of numbers as codes over all of their range, to the nearest: what the simplest rule leaves.
double squared_error_of_whole_range(std::span<const float> values, bool has_zero_point) {
  double least = 0, largest = 0;
  for (const float x : values) {
    least = std::min<double>(least, x);
    largest = std::max<double>(largest, x);
  }
  const double exact = has_zero_point ? (largest - least) / 15 : std::max(-least, largest) / 7;
  const double scale = to_float(to_bf16(static_cast<float>(exact)));
  const double zero_point = has_zero_point ? std::nearbyint(-least / scale) : 0;
  double sum = 0;
  for (const float x : values) {
    const double code =
        std::clamp(std::nearbyint(x / scale) + zero_point, has_zero_point ? 0.0 : -7.0, has_zero_point ? 15.0 : 7.0);
    const double error = x - (code - zero_point) * scale;
    sum += error * error;
  }
  return sum;
}

TEST_P(EveryGroupFormat, LeavesNoLargerErrorsThanCodesOfTheWholeRange) {
  for (const float deviation : {1e-34F, 1e-6F, 0.02F, 3.0F, 1e30F}) {
    const ConstantPtr weight = matrix(DType::f32, 32, 257, 8, deviation);
    const QuantizedConstant planes = named().quantize(weight);
    const std::vector<float> exact = floats(*weight), found = dequantised(format(), planes);
    const auto group = static_cast<size_t>(format().block_k);
    double all = 0, all_of_whole_range = 0;
    for (size_t row = 0; row < 32; ++row) {
      for (size_t first = 0; first < 257; first += group) {
        const size_t count = std::min(group, 257 - first);
        const auto values = std::span(exact).subspan(row * 257 + first, count);
        double error = 0, squares = 0;
        for (size_t i = 0; i < count; ++i) {
          const double x = values[i], difference = x - found[row * 257 + first + i];
          error += difference * difference;
          squares += x * x;
        }
        const double of_whole_range = squared_error_of_whole_range(values, format().zero_points.has_value());
        // A bf16 scale is off by 2^-9 at most, and by another amount than that rule's.
        EXPECT_LE(error, of_whole_range + 0x1p-16 * squares) << deviation << ' ' << row << ' ' << first;
        all += error;
        all_of_whole_range += of_whole_range;
      }
    }
    EXPECT_LT(all, all_of_whole_range);
    for (const float code : floats(*planes.codes)) {
      EXPECT_GE(code, format().zero_points ? 0 : -8);
      EXPECT_LE(code, most());
    }
  }
}

TEST_P(EveryGroupFormat, GroupsAreApart) {
  const int64_t group = format().block_k;
  std::vector<float> values(static_cast<size_t>(2 * group), 0.0F);
  values[0] = 1e6F;
  values[static_cast<size_t>(group)] = 1e-6F;
  values[static_cast<size_t>(group) + 1] = -6e-7F;
  const QuantizedConstant planes = named().quantize(make_constant(Tensor::of({1, 2 * group}, values)));
  const std::vector<float> found = dequantised(format(), planes);
  for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(found[i], values[i], std::abs(values[i]) / 8) << i;
}

TEST_P(EveryGroupFormat, ZerosStayZerosAndVanishWithScaleOne) {
  std::vector<float> values(2 * 256, 0.0F);
  values[256] = 1e-44F;
  const QuantizedConstant planes = named().quantize(make_constant(Tensor::of({2, 256}, values)));
  for (const float value : dequantised(format(), planes)) EXPECT_EQ(value, 0);
  for (const float scale : floats(*planes.scales)) EXPECT_EQ(scale, 1);
}

TEST_P(EveryGroupFormat, RefusesWhatIsNotFinite) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    const QuantizedConstant planes = named().quantize(make_constant(Tensor::of({1, 3}, std::vector<float>{1, bad, 3})));
    for (const ConstantPtr& plane : {planes.codes, planes.scales, planes.zero_points}) {
      if (plane == nullptr) continue;
      EXPECT_THROW(plane->materialise(), Error);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, EveryGroupFormat,
                         testing::Values("int4-g32", "int4", "int4-g128", "int4-zero-g32", "int4-zero",
                                         "int4-zero-g128"),
                         [](const auto& instance) {
                           std::string name = instance.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST(Int4Format, TheLargestMagnitudeMayHaveTheCodeThatIsOneFurther) {
  const std::vector<float> rows{8, -7, 3, 0, -16, 14, 6, 2};  // −8 stands for either: scales of both signs
  const QuantizedConstant planes = weight_format("int4").quantize(make_constant(Tensor::of({2, 4}, rows)));
  EXPECT_THAT(floats(*planes.scales), testing::ElementsAre(-1.0F, 2.0F));
  EXPECT_THAT(floats(*planes.codes), testing::ElementsAre(-8, 7, -3, 0, -8, 7, 3, 1));
}

TEST(Int4Format, AZeroPointUsesTheWholeRange) {
  const std::vector<float> row{-2, 13, 0, 5.4F};  // scale 1, from −2 to 13
  const QuantizedConstant planes = weight_format("int4-zero").quantize(make_constant(Tensor::of({1, 4}, row)));
  EXPECT_THAT(floats(*planes.scales), testing::ElementsAre(1.0F));
  EXPECT_THAT(floats(*planes.zero_points), testing::ElementsAre(2.0F));
  EXPECT_THAT(floats(*planes.codes), testing::ElementsAre(0, 15, 2, 7));
  const std::vector<float> above{4, 30};  // zero is a code though nothing is below it
  const QuantizedConstant positive = weight_format("int4-zero").quantize(make_constant(Tensor::of({1, 2}, above)));
  EXPECT_THAT(floats(*positive.zero_points), testing::ElementsAre(0.0F));
  EXPECT_THAT(floats(*positive.codes), testing::ElementsAre(2, 15));
}

TEST(WeightFormats, AreExactOrWithinHalfAStep) {
  const ConstantPtr weight = matrix(DType::bf16, 64, 300, 9);
  const std::vector<float> exact = floats(*weight);
  EXPECT_EQ(dequantised(weight_format("bf16").quantize(weight)), exact);
  const QuantizedConstant planes = weight_format("int8").quantize(weight);
  const std::vector<float> found = dequantised(planes), scales = floats(*planes.scales);
  double squares = 0, squared_errors = 0;
  for (size_t i = 0; i < exact.size(); ++i) {
    const double error = static_cast<double>(found[i]) - exact[i];
    EXPECT_LE(std::abs(error), scales[i / 300] * 0.5001);
    squares += static_cast<double>(exact[i]) * exact[i];
    squared_errors += error * error;
  }
  // Uniform rounding noise: scale / sqrt(12) beside the deviation, with the largest of 300 normals near 3 deviations.
  const double relative = std::sqrt(squared_errors / squares);
  EXPECT_GT(relative, 0.004);
  EXPECT_LT(relative, 0.012);
}

}  // namespace
}  // namespace incipit
