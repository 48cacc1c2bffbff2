// A residual sum and its norm in one pass over the row.
#pragma once

#include "graph/op.h"

namespace incipit::ops {

/// x, y f32[N, H], gain [H]? → sum f32[N, H] = x + y, then RmsNorm(sum, gain)'s outputs, `output` as there.
struct AddRmsNorm : OpBase<AddRmsNorm> {
  static constexpr std::string_view op_name = "AddRmsNorm";
  float epsilon = 1e-5F;
  DType output = DType::f32;
  template <typename V>
  void fields(V& v) {
    v.visit("epsilon", epsilon), v.visit("output", output);
  }
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache& cache) const override;
  bool is_row_wise() const override { return true; }
};

}  // namespace incipit::ops
