#pragma once

#include "primitives/primitive.h"

namespace incipit::primitives {

/// x [B, H, S, D], cos and sin of x's dtype, position i64[B or 1, S] → x with its first 2·R elements of each head
/// turned: (a, b) → (a·cos − b·sin, a·sin + b·cos). Pairs are elements i and i + R, or with `interleaved` 2i and 2i
/// + 1. cos and sin are tables [P, R] of which `position` chooses rows, or without positions [B or 1, S, R] themselves.
/// With `spelled_out` they are what x and its turned self are multiplied with: of a column for each element of a pair,
/// broadcast to [B, H, S, 2·R]; then (a, b) → (a·cos − b·sin, a·sin′ + b·cos′).
/// Halves are computed in f32 and rounded once.
struct RotaryEmbedding {
  static constexpr std::string_view op_name = "RotaryEmbedding";
  bool interleaved = false;
  bool spelled_out = false;
  template <typename V>
  void fields(V& v) {
    v.visit("interleaved", interleaved), v.visit("spelled_out", spelled_out);
  }
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};

}  // namespace incipit::primitives
