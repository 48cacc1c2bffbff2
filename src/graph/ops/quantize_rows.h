// Activations to int8, a scale a row or part of one.
#pragma once

#include "graph/op.h"

namespace incipit::ops {

/// x f32 or bf16 [N, K] → codes i8[N, K], scales f32[N], or f32[N, groups] where each of several `groups` of a row's
/// columns has its own; by the rule of base/codes.h.
struct QuantizeRows : OpBase<QuantizeRows> {
  static constexpr std::string_view op_name = "QuantizeRows";
  int64_t groups = 1;
  template <typename V>
  void fields(V& v) {
    v.visit("groups", groups);
  }
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache& cache) const override;
  bool is_row_wise() const override { return true; }
};

}  // namespace incipit::ops
