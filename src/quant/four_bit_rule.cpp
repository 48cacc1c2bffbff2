#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/coded_rows.h"
#include "base/dtype.h"
#include "quant/four_bit_rule.h"

namespace incipit {
namespace {

constexpr float least_signed = -8, most_signed = 7, most_with_zero_point = 15;

/// The scale of least squared error among some that take the number of largest magnitude, whatever its sign, to −7 …
/// −9.6 before each is fitted to its codes. A scale may be negative, as there is one code more below zero than above.
FourBitRule signed_rule(std::span<const float> values, DType stored) {
  static constexpr std::array levels{7.0F, 7.4F, 7.7F, 8.0F, 8.3F, 8.7F, 9.1F, 9.6F};
  FourBitRule rule{1, 0, least_signed, most_signed};
  const float largest = *std::ranges::max_element(values, {}, [](float x) { return std::fabs(x); });
  if (std::fabs(largest) < std::numeric_limits<float>::min()) return rule;
  // With codes c of x the best scale is Σx·c / Σc², which leaves Σx² − (Σx·c)² / Σc². Parts of the largest: no
  // product overflows.
  std::array<float, levels.size()> products{}, squares{};
  for (const float x : values) {
    const float part = x / largest;
    for (size_t i = 0; i < levels.size(); ++i) {
      const float code = std::clamp(FourBitRule::nearest(part * -levels[i]), least_signed, most_signed);
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
FourBitRule zero_point_rule(std::span<const float> values, DType stored) {
  float least = 0, largest = 0;
  for (const float x : values) {
    least = std::min(least, x);
    largest = std::max(largest, x);
  }
  FourBitRule best{1, 0, 0, most_with_zero_point};
  double least_error = std::numeric_limits<double>::infinity();
  for (const float part : {1.0F, 0.95F, 0.9F, 0.85F, 0.8F}) {
    FourBitRule rule = best;
    // Halves: the difference of two finite numbers may be none.
    rule.scale = usable_scale(rounded_to(stored, part * (largest / 2 - least / 2) / (most_with_zero_point / 2)));
    rule.zero_point = std::clamp(FourBitRule::nearest(-least * part / rule.scale), 0.0F, most_with_zero_point);
    const double error = rule.squared_error(values);
    if (!(error < least_error)) continue;
    best = rule;
    least_error = error;
  }
  return best;
}

}  // namespace

double FourBitRule::squared_error(std::span<const float> values) const {
  double sum = 0;
  for (const float x : values) {
    const double error = x - value(code(x));
    sum += error * error;
  }
  return sum;
}

FourBitRule four_bit_rule(const WeightFormat& format, std::span<const float> values) {
  return format.zero_points ? zero_point_rule(values, *format.scales) : signed_rule(values, *format.scales);
}

}  // namespace incipit
