#pragma once

#include "primitives/primitive.h"

namespace incipit::primitives {

/// Attention through a state of constant size, token by token. Inputs, heads lying side by side in a row:
///   q [B, T, H·D], k [B, T, K·D], v [B, T, K·E] of one floating dtype, H a multiple of K
///   state [B, K, D, E] (absent: zeros), of any floating dtype
///   decay [B, T, K] or [B, T, K·D] for the rules gated and gated_delta, else absent: logarithms
///   beta [B, T, K] or [B, T, 1] for the rules delta and gated_delta, else absent
/// → y [B, T, H·E] of q's dtype, the last state, of the first one's dtype or q's.
/// At each token, by head: S ← e^decay·S; S ← S + k ⊗ v, with a delta rule S + k ⊗ beta·(v − Sᵀk); y = scale·Sᵀq, where
/// scale is 1/√D when 0. Computed in f32. https://onnx.ai/onnx/operators/onnx__LinearAttention.html
struct LinearAttention {
  static constexpr std::string_view op_name = "LinearAttention";
  enum class Rule : uint8_t { linear, gated, delta, gated_delta };
  using enum Rule;
  int64_t q_heads = 1, kv_heads = 1;
  Rule rule = gated_delta;
  float scale = 0;
  template <typename V>
  void fields(V& v) {
    v.visit("q_heads", q_heads), v.visit("kv_heads", kv_heads), v.visit("rule", rule), v.visit("scale", scale);
  }
  bool is_gated() const { return rule == gated || rule == gated_delta; }
  bool is_delta() const { return rule == delta || rule == gated_delta; }
  /// Throws Error where they are none that there are.
  void check_attributes() const;
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};
constexpr std::array<std::string_view, 4> linear_attention_rule_names{"linear", "gated", "delta", "gated_delta"};
constexpr const auto& enumeration_names(LinearAttention::Rule) { return linear_attention_rule_names; }

}  // namespace incipit::primitives
