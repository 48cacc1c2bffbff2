// The activation xIELU (Huang et al.: Deriving Activation Functions via Integration, 2025), whose curve is learned.
#pragma once

#include <algorithm>
#include <cmath>

namespace incipit {

/// Above zero positive·x² + slope·x, else negative·(e^min(x, bend) − 1 − x) + slope·x.
struct XieluCurve {
  float positive, negative, slope, bend;
};

template <typename T>
T xielu(const XieluCurve& curve, T x) {
  if (x > 0) return curve.positive * x * x + curve.slope * x;
  // This order keeps a NaN.
  return (std::expm1(std::min(x, static_cast<T>(curve.bend))) - x) * curve.negative + curve.slope * x;
}

}  // namespace incipit
