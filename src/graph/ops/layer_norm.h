// Layer normalisation (Ba, Kiros, Hinton: Layer Normalization, 2016).
#pragma once

#include "graph/op.h"

namespace incipit::ops {

/// x f32[N, W], gain [W]?, bias [W]? → [N, W] = (x − mean(x)) · rsqrt(variance(x) + epsilon) (· gain) (+ bias), the
/// variance being the biased one; mean and variance are those of each of `groups` equal groups of columns (heads).
/// `output` as RmsNorm's.
struct LayerNorm : OpBase<LayerNorm> {
  static constexpr std::string_view op_name = "LayerNorm";
  float epsilon = 1e-5F;
  int64_t groups = 1;
  DType output = DType::f32;
  template <typename V>
  void fields(V& v) {
    v.visit("epsilon", epsilon), v.visit("groups", groups), v.visit("output", output);
  }
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache& cache) const override;
  bool is_row_wise() const override { return true; }
};

}  // namespace incipit::ops
