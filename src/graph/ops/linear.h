// A matrix product with its epilogue.
#pragma once

#include "base/activation.h"
#include "graph/op.h"

namespace incipit::ops {

/// x [N, K], weight [M, K], bias [M]?, residual f32[N, M']? → [N, M'] = activation(x·Wᵀ + bias) + residual.
/// `activation`: none, silu, gelu_tanh, gelu_erf, relu, relu_squared, or a gated form (silu_gate, gelu_tanh_gate,
/// gelu_erf_gate): then the weight's rows are first all gate rows, then all up rows, M' = M/2 and the result is
/// activation(gate)·up; else M' = M. `output`: f32 or bf16. x is f32 and the weight f32, bf16 or f16 as the checkpoint
/// has it; or both are bf16. After the pass `quantize` x and the weight have the same dtype, but that an f16 weight has
/// f32 x. Sums are exact to f32 rounding.
struct Linear : OpBase<Linear> {
  static constexpr std::string_view op_name = "Linear";
  Activation activation = Activation::none;
  DType output = DType::f32;
  template <typename V>
  void fields(V& v) {
    v.visit("activation", activation), v.visit("output", output);
  }
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache& cache) const override;
  bool is_row_wise() const override { return true; }
};

}  // namespace incipit::ops
