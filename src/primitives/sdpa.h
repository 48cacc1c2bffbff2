#pragma once

#include <limits>

#include "primitives/primitive.h"

namespace incipit::primitives {

/// Scaled dot product attention. Inputs:
///   q [B, H, S, D], k [B, K, L, D], v [B, K, L, E]: query head h sees the keys of head h·K/H; of one floating dtype
///   mask (may be absent): bool, where false `hidden_score` takes the score's place, or floating and added to the
///     scores (f64 with q of f64 and no other); broadcasts to [B, H, S, L]
///   first i64[] or i64[B] (absent: 0): the position of the first query, for `causal` and `window`; key j is position j
///   lengths i64[B] (absent: L): keys from there on are not seen. With `causal`, a sequence's first query must lie
///     within its length.
/// → y [B, H, S, E]; with `scores` one more output, [B, H, S, L].
/// score = soft_cap·tanh(scale·(q·k)/soft_cap) (or scale·(q·k) where soft_cap is 0) + mask. A query sees keys up to its
/// own position with `causal`, and of these the last `window` where that is not 0. Where all its scores are −∞, y is 0,
/// or NaN with `empty_is_nan`, as the softmax of such scores is. Halves are computed in f32 and rounded at the end.
struct Sdpa {
  static constexpr std::string_view op_name = "Sdpa";
  enum class Scores : uint8_t { none, product, capped, masked, softmax };
  using enum Scores;
  float scale = 1;
  bool causal = false;
  int64_t window = 0;
  float soft_cap = 0;
  /// What the second output is: product (scale·(q·k)), capped, masked (−∞ where not seen), softmax; or there is none.
  Scores scores = Scores::none;
  float hidden_score = -std::numeric_limits<float>::infinity();
  bool empty_is_nan = false;
  template <typename V>
  void fields(V& v) {
    v.visit("scale", scale), v.visit("causal", causal), v.visit("window", window), v.visit("soft_cap", soft_cap);
    v.visit("scores", scores), v.visit("hidden_score", hidden_score), v.visit("empty_is_nan", empty_is_nan);
  }
  /// Throws Error where they are none that there are.
  void check_attributes() const;
  OutputTypes infer(InputTypes inputs) const;
  Outputs compute(Inputs inputs) const;
};
constexpr std::array<std::string_view, 5> sdpa_scores_names{"none", "product", "capped", "masked", "softmax"};
constexpr const auto& enumeration_names(Sdpa::Scores) { return sdpa_scores_names; }

}  // namespace incipit::primitives
