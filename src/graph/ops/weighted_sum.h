// The experts' results, weighed by the router.
#pragma once

#include "graph/op.h"

namespace incipit::ops {

/// x f32[N, k·W], weight f32[N, k], residual f32[N, W]? → f32[N, W] = Σ_j weight[n, j] · x[n, j·W …] (+ residual),
/// summed in the order of the slots j, the residual last.
struct WeightedSum : OpBase<WeightedSum> {
  static constexpr std::string_view op_name = "WeightedSum";
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache& cache) const override;
  bool is_row_wise() const override { return true; }
};

}  // namespace incipit::ops
