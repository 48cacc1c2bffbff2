// Activation functions.
#pragma once

#include "base/activation.h"
#include "graph/op.h"

namespace incipit::ops {

/// x f32 or bf16 [N, H] → f32[N, H] = kind(x): silu, gelu_tanh, gelu_erf, relu, relu_squared or sigmoid.
struct Activate : OpBase<Activate> {
  static constexpr std::string_view op_name = "Activate";
  Activation kind = Activation::silu;
  template <typename V>
  void fields(V& v) {
    v.visit("kind", kind);
  }
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache& cache) const override;
  bool is_row_wise() const override { return true; }
};

}  // namespace incipit::ops
