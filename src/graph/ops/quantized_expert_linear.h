// An ExpertLinear of int8 codes.
#pragma once

#include "base/activation.h"
#include "graph/op.h"

namespace incipit::ops {

/// codes i8[N, K] with scales f32[N], or i8[N, top_k·K] with scales f32[N] or f32[N, top_k] (one a slot); expert
/// i32[N, top_k], weight_codes i8[E, M, K], weight_scales f32[E, M] → [N, top_k·M']: as ExpertLinear on codes·scales
/// and weight_codes·weight_scales; the sum over codes is exact in i32. `format` names the weight format (quant/).
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
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache& cache) const override;
  bool is_row_wise() const override { return true; }
};

}  // namespace incipit::ops
