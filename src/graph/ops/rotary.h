// Rotary position embedding (Su et al.: RoFormer, 2021), in canonical form.
#pragma once

#include "graph/op.h"

namespace incipit::ops {

/// x [N, heads·head_dim], position i32[N], inverse_frequency [pairs] → f32[N, heads·head_dim]: rotated x.
/// angle = position · frequency; cos and sin are multiplied by `factor`, and by 1 + growth · ln(1 + ⌊position /
/// growth_length⌋); dims beyond 2·pairs of a head pass through.
/// Not interleaved: dim i pairs with i + pairs; interleaved: 2i with 2i + 1.
struct Rotary : OpBase<Rotary> {
  static constexpr std::string_view op_name = "Rotary";
  int64_t heads = 0, head_dim = 0;
  float factor = 1, growth = 0;
  int64_t growth_length = 1;
  bool interleaved = false;
  template <typename V>
  void fields(V& v) {
    v.visit("heads", heads), v.visit("head_dim", head_dim), v.visit("factor", factor), v.visit("growth", growth),
        v.visit("growth_length", growth_length), v.visit("interleaved", interleaved);
  }
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache& cache) const override;
  bool is_row_wise() const override { return true; }
};

}  // namespace incipit::ops
