// Activations in f32 for results of 16 bits: base/activation.h's own, but for silu, which is quicker here.
#pragma once

#include "base/activation.h"

namespace incipit {

/// sigmoid() to some 20 bits, by the instructions that approximate an exponential and a reciprocal.
inline float quick_sigmoid(float x) {
  float power, result;  // the power of 2 is e^-x
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(-1.44269504f * x));
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(1.0f + power));
  return result;
}

inline float activate_quickly(Activation activation, float x) {
  return activation == Activation::silu ? x * quick_sigmoid(x) : activate<float>(activation, x);
}

inline float gated_quickly(Activation activation, float gate, float up) {
  return activation == Activation::silu_gate ? gate * quick_sigmoid(gate) * up : gated<float>(activation, gate, up);
}

}  // namespace incipit
