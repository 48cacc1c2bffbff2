// Rounding to another element type.
#pragma once

#include "graph/op.h"

namespace incipit::ops {

/// x f32 or bf16 → the same values rounded (to nearest even) to dtype `to`: f32 or bf16.
struct Convert : OpBase<Convert> {
  static constexpr std::string_view op_name = "Convert";
  DType to = DType::f32;
  template <typename V>
  void fields(V& v) {
    v.visit("to", to);
  }
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache& cache) const override;
  bool is_row_wise() const override { return true; }
};

}  // namespace incipit::ops
