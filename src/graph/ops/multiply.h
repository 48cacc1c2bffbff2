// Elementwise product.
#pragma once

#include "graph/op.h"

namespace incipit::ops {

/// x [N, H], y [N, H] or a row vector [H] used for every row → f32[N, H] = x · y. f32 or bf16 inputs (the vector f16
/// too).
struct Multiply : OpBase<Multiply> {
  static constexpr std::string_view op_name = "Multiply";
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache& cache) const override;
  bool is_row_wise() const override { return true; }
};

}  // namespace incipit::ops
