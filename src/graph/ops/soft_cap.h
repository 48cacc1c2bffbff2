// A smooth bound (Gemma Team: Gemma 2, 2024).
#pragma once

#include "graph/op.h"

namespace incipit::ops {

/// x f32 or bf16 [N, W] → f32[N, W] = cap · tanh(x / cap).
struct SoftCap : OpBase<SoftCap> {
  static constexpr std::string_view op_name = "SoftCap";
  float cap = 1;
  template <typename V>
  void fields(V& v) {
    v.visit("cap", cap);
  }
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache& cache) const override;
  bool is_row_wise() const override { return true; }
};

}  // namespace incipit::ops
