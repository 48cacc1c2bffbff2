// Activations to int8, a scale a row.
#pragma once

#include "graph/op.h"

namespace incipit::ops {

/// x f32 or bf16 [N, K] → codes i8[N, K], scales f32[N]: scale = max|x| / 127 (1 where the row is zero),
/// code = round-half-even(x / scale).
struct QuantizeRows : OpBase<QuantizeRows> {
  static constexpr std::string_view op_name = "QuantizeRows";
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache& cache) const override;
  bool is_row_wise() const override { return true; }
};

}  // namespace incipit::ops
