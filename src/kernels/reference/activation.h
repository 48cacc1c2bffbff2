// The activation functions, in double.
#pragma once

#include <cmath>

#include "base/error.h"
#include "kernels/families.h"

namespace incipit {

/// activation(x). A gated form gives the activation of its gate.
inline double activate(Activation activation, double x) {
  switch (activation) {
    case Activation::none: return x;
    case Activation::silu:
    case Activation::silu_gate: return x / (1.0 + std::exp(-x));
    case Activation::gelu_tanh:
    case Activation::gelu_tanh_gate:
      return 0.5 * x * (1.0 + std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
    case Activation::gelu_erf:
    case Activation::gelu_erf_gate: return 0.5 * x * (1.0 + std::erf(x * 0.7071067811865476));
    case Activation::relu: return x < 0 ? 0 : x;  // NaN stays
    case Activation::relu_squared: return x < 0 ? 0 : x * x;
  }
  INCIPIT_ASSERT(!"activation");
}

}  // namespace incipit
