// Rotary by a table.
#pragma once

#include "graph/op.h"

namespace incipit::ops {

/// x [N, heads·head_dim] f32 or bf16, table f32[N, 2·pairs] → [N, heads·head_dim] in `output` (f32 or bf16): Rotary's
/// result for the positions, frequencies and factor that the table was made from.
struct ApplyRotary : OpBase<ApplyRotary> {
  static constexpr std::string_view op_name = "ApplyRotary";
  int64_t heads = 0, head_dim = 0;
  bool interleaved = false;
  DType output = DType::f32;
  template <typename V>
  void fields(V& v) {
    v.visit("heads", heads), v.visit("head_dim", head_dim), v.visit("interleaved", interleaved),
        v.visit("output", output);
  }
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache& cache) const override;
  bool is_row_wise() const override { return true; }
};

}  // namespace incipit::ops
