// Rows of a table, by token id.
#pragma once

#include "graph/op.h"

namespace incipit::ops {

/// ids i32[N], table [V, H] → f32[N, H]: rows of the table (f32, bf16 or f16), times `scale`.
struct Embedding : OpBase<Embedding> {
  static constexpr std::string_view op_name = "Embedding";
  float scale = 1;
  template <typename V>
  void fields(V& v) {
    v.visit("scale", scale);
  }
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache& cache) const override;
  bool is_row_wise() const override { return true; }
};

}  // namespace incipit::ops
