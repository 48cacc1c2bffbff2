#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>

#include "base/coded_rows.h"
#include "quant/blocked_rows.h"
#include "quant/formats.h"

namespace incipit {
namespace {

constexpr float least_signed = -8, most_signed = 7, most_with_zero_point = 15;

/// To the nearest integer, ties to even, of at most 2^22 in magnitude: what is added leaves no bits for fractions.
float rounded(float x) {
  constexpr float no_fractions = 0x1.8p23F;
  return (x + no_fractions) - no_fractions;
}

/// How numbers that share a scale become codes: round-half-even(x / scale) + zero point, within the range.
struct BlockRule {
  float scale, zero_point, least, most;

  float code(float x) const { return std::clamp(rounded(x / scale) + zero_point, least, most); }
  double squared_error(std::span<const float> values) const {
    double sum = 0;
    for (const float x : values) {
      const double error = x - (code(x) - zero_point) * scale;
      sum += error * error;
    }
    return sum;
  }
};

/// The scale of least squared error among some that take the number of largest magnitude, whatever its sign, to −7 …
/// −9.6 before each is fitted to its codes. A scale may be negative, as there is one code more below zero than above.
BlockRule signed_rule(std::span<const float> values, DType stored) {
  static constexpr std::array levels{7.0F, 7.4F, 7.7F, 8.0F, 8.3F, 8.7F, 9.1F, 9.6F};
  BlockRule rule{1, 0, least_signed, most_signed};
  const float largest = *std::ranges::max_element(values, {}, [](float x) { return std::fabs(x); });
  if (std::fabs(largest) < std::numeric_limits<float>::min()) return rule;
  // With codes c of x the best scale is Σx·c / Σc², which leaves Σx² − (Σx·c)² / Σc². Parts of the largest: no
  // product overflows.
  std::array<float, levels.size()> products{}, squares{};
  for (const float x : values) {
    const float part = x / largest;
    for (size_t i = 0; i < levels.size(); ++i) {
      const float code = std::clamp(rounded(part * -levels[i]), least_signed, most_signed);
      products[i] += part * code;
      squares[i] += code * code;
    }
  }
  size_t best = 0;
  const auto taken = [&](size_t i) { return products[i] * products[i] / squares[i]; };
  for (size_t i = 1; i < levels.size(); ++i) {
    if (taken(i) > taken(best)) best = i;
  }
  const float scale = rounded_to(stored, largest * (products[best] / squares[best]));
  if (std::fabs(scale) >= std::numeric_limits<float>::min()) rule.scale = scale;
  return rule;
}

/// Codes 0…15, of which one is zero's: what is zero stays zero. The range from the least to the largest number, or a
/// part of it where that has the smaller squared error.
BlockRule zero_point_rule(std::span<const float> values, DType stored) {
  float least = 0, largest = 0;
  for (const float x : values) {
    least = std::min(least, x);
    largest = std::max(largest, x);
  }
  BlockRule best{1, 0, 0, most_with_zero_point};
  double least_error = std::numeric_limits<double>::infinity();
  for (const float part : {1.0F, 0.95F, 0.9F, 0.85F, 0.8F}) {
    BlockRule rule = best;
    // Halves: the difference of two finite numbers may be none.
    rule.scale = usable_scale(rounded_to(stored, part * (largest / 2 - least / 2) / (most_with_zero_point / 2)));
    rule.zero_point = std::clamp(rounded(-least * part / rule.scale), 0.0F, most_with_zero_point);
    const double error = rule.squared_error(values);
    if (!(error < least_error)) continue;
    best = rule;
    least_error = error;
  }
  return best;
}

BlockRule rule_of(const WeightFormat& format, std::span<const float> values) {
  return format.zero_points ? zero_point_rule(values, *format.scales) : signed_rule(values, *format.scales);
}

class FourBitCodes : public BlockedPlane {
 public:
  FourBitCodes(const WeightFormat& format, const ConstantPtr& weight)
      : BlockedPlane(format.codes, weight->shape(), format, weight) {}

  void read(int64_t first, int64_t count, std::byte* out) const override {
    rows_.for_each_block(first, count, [&](int64_t row, int64_t, size_t column, std::span<const float> values) {
      const BlockRule rule = rule_of(rows_.format(), values);
      std::byte* const to = out + row * rows_.width() + static_cast<int64_t>(column);
      std::ranges::transform(values, to,
                             [&](float x) { return static_cast<std::byte>(static_cast<int>(rule.code(x))); });
      tell_of_lost(first + row, values, rule.scale);
      return rule.scale;
    });
  }
};

/// Scales, or zero points.
class FourBitBlocks : public BlockedPlane {
 public:
  FourBitBlocks(DType dtype, const WeightFormat& format, const ConstantPtr& weight)
      : BlockedPlane(dtype, block_shape(format, *weight), format, weight), are_scales_(dtype == *format.scales) {}

  void read(int64_t first, int64_t count, std::byte* out) const override {
    rows_.for_each_block(first, count, [&](int64_t row, int64_t block, size_t, std::span<const float> values) {
      const BlockRule rule = rule_of(rows_.format(), values);
      if (are_scales_) {
        store_scale(row, block, rule.scale, out);
      } else {
        out[row * rows_.blocks() + block] = static_cast<std::byte>(rule.zero_point);
      }
      return rule.scale;
    });
  }

 private:
  bool are_scales_;
};

QuantizedConstant quantize_four_bits(const WeightFormat& format, const ConstantPtr& weight) {
  QuantizedConstant planes{std::make_shared<FourBitCodes>(format, weight),
                           std::make_shared<FourBitBlocks>(*format.scales, format, weight), nullptr};
  if (format.zero_points) {
    planes.zero_points = std::make_shared<FourBitBlocks>(*format.zero_points, format, weight);
  }
  return planes;
}

template <int32_t inputs>
QuantizedConstant quantize_i4(ConstantPtr weight) {
  return quantize_four_bits(WeightFormat::i4(inputs), weight);
}

template <int32_t inputs>
QuantizedConstant quantize_u4(ConstantPtr weight) {
  return quantize_four_bits(WeightFormat::u4(inputs), weight);
}

// Every element is rounded to 1/14 of its group's largest, which in trained models is two to three times the typical
// one: 3/14/√3, about an eighth of a product, and as much again behind a dozen layers.
constexpr double tolerance = 0.5;

// What the head chooses among is decided by small differences, errors of queries and keys grow in the softmax, and both
// are few of a model's weights.
constexpr std::string_view sensitive = "int8";

template <int32_t inputs>
constexpr NamedWeightFormat symmetric(std::string_view name) {
  return {name, WeightFormat::i4(inputs), quantize_i4<inputs>, tolerance, sensitive, true};
}

template <int32_t inputs>
constexpr NamedWeightFormat with_zero_points(std::string_view name) {
  return {name, WeightFormat::u4(inputs), quantize_u4<inputs>, tolerance, sensitive, true};
}

}  // namespace

const NamedWeightFormat int4_format = symmetric<64>("int4");
const NamedWeightFormat int4_g32_format = symmetric<32>("int4-g32");
const NamedWeightFormat int4_g128_format = symmetric<128>("int4-g128");
const NamedWeightFormat int4_zero_format = with_zero_points<64>("int4-zero");
const NamedWeightFormat int4_zero_g32_format = with_zero_points<32>("int4-zero-g32");
const NamedWeightFormat int4_zero_g128_format = with_zero_points<128>("int4-zero-g128");

}  // namespace incipit
