// Activations in f32, for epilogues and for rows: base/activation.h's own functions, chosen when a kernel is compiled.
// Kernels name theirs by a define: -DACTIVATION=silu_gate is Activation::ACTIVATION.
#pragma once

#include "base/activation.h"
#include "base/xielu.h"

namespace incipit {

/// sigmoid() to some 20 bits, by the instructions that approximate an exponential and a reciprocal.
inline float quick_sigmoid(float x) {
  float power, result;  // the power of 2 is e^-x
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(-1.44269504f * x));
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(1.0f + power));
  return result;
}

/// An activation of a number; of a gated one, of its gate. NaNs stay. `quick`: for a result of 16 bits.
template <Activation activation, bool quick = false>
inline float activate(float x) {
  if constexpr (quick && (activation == Activation::silu || activation == Activation::silu_gate)) {
    return x * quick_sigmoid(x);
  }
  if constexpr (activation == Activation::silu || activation == Activation::silu_gate) return swish(x, 1.0f);
  if constexpr (activation == Activation::gelu_tanh || activation == Activation::gelu_tanh_gate) return gelu_tanh(x);
  if constexpr (activation == Activation::gelu_erf || activation == Activation::gelu_erf_gate) return gelu_erf(x);
  if constexpr (activation == Activation::relu) return relu(x);
  if constexpr (activation == Activation::relu_squared) return relu(x) * relu(x);
  if constexpr (activation == Activation::sigmoid) return sigmoid(x);
  if constexpr (activation == Activation::clamped_silu_gate) return swish(x > 7 ? 7.0f : x, 1.702f);
  return x;
}

/// What a gated activation makes of gate and up. NaNs stay.
template <Activation activation, bool quick = false>
inline float gated(float gate, float up) {
  if constexpr (activation != Activation::clamped_silu_gate) return activate<activation, quick>(gate) * up;
  return activate<activation>(gate) * ((up > 7 ? 7 : up < -7 ? -7 : up) + 1);
}

}  // namespace incipit
