// A Linear of a weight that is codes with scales.
#pragma once

#include "base/activation.h"
#include "base/weight_format.h"
#include "graph/op.h"

namespace incipit::ops {

/// x [N, K], scales f32[N]?, weight_codes [M, K], weight_scales [M] or [M / block, K / block], bias [M]?, residual
/// f32[N, M']?, weight_zero_points as weight_scales? → [N, M']: as Linear on x·scales and the weight, which is
/// (codes − zero points)·scales. `format` says which (base/weight_format.h). Where its activation is i8, x is codes
/// with a scale a row, and the sum over a block is exact; or f32 or bf16 without scales, of which the product makes
/// what QuantizeRows would. Otherwise x is of that dtype. `activation` and `output` as Linear's.
struct QuantizedLinear : OpBase<QuantizedLinear> {
  static constexpr std::string_view op_name = "QuantizedLinear";
  std::string format = "int8";
  Activation activation = Activation::none;
  DType output = DType::f32;
  template <typename V>
  void fields(V& v) {
    v.visit("format", format), v.visit("activation", activation), v.visit("output", output);
  }
  WeightFormat weight_format() const { return weight_format_from_text(format).value(); }
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache& cache) const override;
  bool is_row_wise() const override { return true; }
};

}  // namespace incipit::ops
