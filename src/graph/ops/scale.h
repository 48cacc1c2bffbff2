// A number times everything.
#pragma once

#include "graph/op.h"

namespace incipit::ops {

/// x f32 or bf16 [N, W] → f32[N, W] = x · factor.
struct Scale : OpBase<Scale> {
  static constexpr std::string_view op_name = "Scale";
  float factor = 1;
  template <typename V>
  void fields(V& v) {
    v.visit("factor", factor);
  }
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache& cache) const override;
  bool is_row_wise() const override { return true; }
};

}  // namespace incipit::ops
