// An ExpertLinear of weights that are codes with scales.
#pragma once

#include "base/activation.h"
#include "base/weight_format.h"
#include "graph/op.h"

namespace incipit::ops {

/// x [N, K] or [N, top_k·K], scales?, expert i32[N, top_k], weight_codes [E, M, K], weight_scales [E, M] or
/// [E, M / block, K / block], weight_zero_points as these?, bias [E, M]? → [N, top_k·M']: as ExpertLinear on x·scales
/// and the weights, which are (codes − zero points)·scales. `format` says which (base/weight_format.h). Where its
/// activation is i8, x is codes with scales f32[N] or, of as many columns as slots, f32[N, top_k] too; otherwise of
/// that dtype, without scales.
struct QuantizedExpertLinear : OpBase<QuantizedExpertLinear> {
  static constexpr std::string_view op_name = "QuantizedExpertLinear";
  int64_t top_k = 1;
  std::string format = "int8";
  Activation activation = Activation::none;
  DType output = DType::f32;
  template <typename V>
  void fields(V& v) {
    v.visit("top_k", top_k), v.visit("format", format), v.visit("activation", activation), v.visit("output", output);
  }
  WeightFormat weight_format() const { return weight_format_from_text(format).value(); }
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache& cache) const override;
  bool is_row_wise() const override { return true; }
};

}  // namespace incipit::ops
