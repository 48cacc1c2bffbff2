// An activation whose curve is learned (base/xielu.h).
#pragma once

#include "graph/op.h"

namespace incipit::ops {

/// x f32 or bf16 [N, W], curve f32[4] → f32[N, W] = xielu(x); the curve's numbers are XieluCurve's, in its order.
struct Xielu : OpBase<Xielu> {
  static constexpr std::string_view op_name = "Xielu";
  template <typename V>
  void fields(V&) {}
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache& cache) const override;
  bool is_row_wise() const override { return true; }
};

}  // namespace incipit::ops
