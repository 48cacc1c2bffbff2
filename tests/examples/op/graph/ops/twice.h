// A sum with itself.
#pragma once

#include "graph/op.h"

namespace incipit::ops {

/// x f32 or bf16 [N, W] → f32[N, W] = 2 · x.
struct Twice : OpBase<Twice> {
  static constexpr std::string_view op_name = "Twice";
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache& cache) const override;
  bool is_row_wise() const override { return true; }
};

}  // namespace incipit::ops
