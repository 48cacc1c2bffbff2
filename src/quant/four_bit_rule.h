// How numbers that share a scale become codes of four bits.
#pragma once

#include <algorithm>
#include <span>

#include "base/weight_format.h"

namespace incipit {

/// round-half-even(x / scale) + zero point, within the range.
struct FourBitRule {
  float scale, zero_point, least, most;

  float code(float x) const { return std::clamp(nearest(x / scale) + zero_point, least, most); }
  float value(float code) const { return (code - zero_point) * scale; }
  double squared_error(std::span<const float> values) const;

  /// To the nearest integer, ties to even, of at most 2^22 in magnitude: what is added leaves no bits for fractions.
  static float nearest(float x) {
    constexpr float no_fractions = 0x1.8p23F;
    return (x + no_fractions) - no_fractions;
  }
};

/// The one of least squared error among some. `values` are finite.
FourBitRule four_bit_rule(const WeightFormat& format, std::span<const float> values);

}  // namespace incipit
