// Products with the weights of chosen experts.
#pragma once

#include "base/activation.h"
#include "graph/op.h"

namespace incipit::ops {

/// x [N, K] for all slots or [N, top_k·K] for each its own, expert i32[N, top_k], weight [E, M, K], bias [E, M]? →
/// [N, top_k·M']: slot j of row n is activation(W[expert[n, j]]·x + bias[expert[n, j]]). `activation`, `output`, M' and
/// the dtypes of x and weight are as Linear's; gated, an expert's rows are first all gate rows, then all up rows. No
/// row of an expert that is not chosen is read.
struct ExpertLinear : OpBase<ExpertLinear> {
  static constexpr std::string_view op_name = "ExpertLinear";
  int64_t top_k = 1;
  Activation activation = Activation::none;
  DType output = DType::f32;
  template <typename V>
  void fields(V& v) {
    v.visit("top_k", top_k), v.visit("activation", activation), v.visit("output", output);
  }
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache& cache) const override;
  bool is_row_wise() const override { return true; }
};

}  // namespace incipit::ops
