// Activation functions: their names, and the one arithmetic of each. The references of the graph's ops and of the
// kernels and the primitives call it, and CUDA kernels are compiled from it; vector code is compared with it.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <numbers>
#include <optional>
#include <string_view>
#include <type_traits>

#include "base/enumeration.h"

namespace incipit {

/// Applied to a product's result. The *_gate forms take gate and up columns in pairs and yield half the width:
/// activation(gate) · up, but for clamped_silu_gate, which is g · sigmoid(1.702 · g) · (u + 1) of g = min(gate, 7) and
/// u = up within ±7 (OpenAI: gpt-oss, 2025).
enum class Activation : uint8_t {
  none,
  silu,
  gelu_tanh,
  gelu_erf,
  relu,
  relu_squared,
  sigmoid,
  silu_gate,
  gelu_tanh_gate,
  gelu_erf_gate,
  clamped_silu_gate
};
constexpr std::array<std::string_view, 11> activation_names{
    "none",      "silu",           "gelu_tanh",     "gelu_erf",         "relu", "relu_squared", "sigmoid",
    "silu_gate", "gelu_tanh_gate", "gelu_erf_gate", "clamped_silu_gate"};
constexpr const auto& enumeration_names(Activation) { return activation_names; }

constexpr bool is_gated(Activation a) { return a >= Activation::silu_gate; }

/// The gated form of an activation; nothing where there is none.
constexpr std::optional<Activation> gate_of(Activation a) {
  switch (a) {
    case Activation::silu: return Activation::silu_gate;
    case Activation::gelu_tanh: return Activation::gelu_tanh_gate;
    case Activation::gelu_erf: return Activation::gelu_erf_gate;
    default: return std::nullopt;
  }
}

template <typename T>
T sigmoid(T x) {
  return T{1} / (T{1} + std::exp(-x));
}

/// x · sigmoid(alpha · x); with alpha 1 it is silu.
template <typename T>
T swish(T x, T alpha) {
  return x * sigmoid(alpha * x);
}

/// x · Φ(x). Hendrycks, Gimpel, 2016.
template <typename T>
T gelu_erf(T x) {
  return T{0.5} * x * (T{1} + std::erf(x * (std::numbers::sqrt2_v<T> / 2)));
}

/// The same paper's approximation of it.
template <typename T>
T gelu_tanh(T x) {
  constexpr T sqrt_2_over_pi = std::numbers::sqrt2_v<T> * std::numbers::inv_sqrtpi_v<T>;
  return T{0.5} * x * (T{1} + std::tanh(sqrt_2_over_pi * (x + static_cast<T>(0.044715) * x * x * x)));
}

/// A NaN stays.
template <typename T>
T relu(T x) {
  return x < 0 ? T{0} : x;
}

/// cap · tanh(x / cap): how far a score may go.
template <typename T>
T soft_capped(T x, T cap) {
  return cap * std::tanh(x / cap);
}

/// An activation of a number; of a gated one, of its gate. In double, unless a T is given.
template <typename T = double>
T activate(Activation activation, std::type_identity_t<T> x) {
  switch (activation) {
    case Activation::none: return x;
    case Activation::silu:
    case Activation::silu_gate: return swish(x, T{1});
    case Activation::gelu_tanh:
    case Activation::gelu_tanh_gate: return gelu_tanh(x);
    case Activation::gelu_erf:
    case Activation::gelu_erf_gate: return gelu_erf(x);
    case Activation::relu: return relu(x);
    case Activation::relu_squared: return relu(x) * relu(x);
    case Activation::sigmoid: return sigmoid(x);
    case Activation::clamped_silu_gate: return swish(x > 7 ? T{7} : x, static_cast<T>(1.702));
  }
  return x;
}

/// What a gated activation makes of gate and up. NaNs stay.
template <typename T = double>
T gated(Activation activation, std::type_identity_t<T> gate, std::type_identity_t<T> up) {
  if (activation != Activation::clamped_silu_gate) return activate<T>(activation, gate) * up;
  return activate<T>(activation, gate) * ((up > 7 ? 7 : up < -7 ? -7 : up) + 1);
}

}  // namespace incipit
