// Root-mean-square norm (Zhang, Sennrich: Root Mean Square Layer Normalization, 2019).
#pragma once

#include "graph/op.h"

namespace incipit::ops {

/// x f32[N, W], gain [W / groups]? → [N, W] = x · rsqrt(mean(x²) + epsilon) (· gain), each of `groups` equal groups of
/// columns on its own and with the same gain (the heads of q or k). `output`: f32, bf16, or i8: then the outputs are
/// codes i8[N, W] and scales f32[N], as QuantizeRows makes them.
struct RmsNorm : OpBase<RmsNorm> {
  static constexpr std::string_view op_name = "RmsNorm";
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
