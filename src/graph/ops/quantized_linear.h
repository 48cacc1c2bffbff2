// A Linear of int8 codes.
#pragma once

#include "base/activation.h"
#include "graph/op.h"

namespace incipit::ops {

/// codes i8[N, K], scales f32[N], weight_codes i8[M, K], weight_scales f32[M], bias [M]?, residual f32[N, M']? →
/// [N, M']: as Linear on codes·scales and weight_codes·weight_scales; the sum over codes is exact in i32.
/// Without scales the codes' place has x f32 or bf16 [N, K], of which the product makes what QuantizeRows would.
/// `format` names the weight format (quant/). `activation` and `output` as Linear's.
struct QuantizedLinear : OpBase<QuantizedLinear> {
  static constexpr std::string_view op_name = "QuantizedLinear";
  std::string format = "int8";
  Activation activation = Activation::none;
  DType output = DType::f32;
  template <typename V>
  void fields(V& v) {
    v.visit("format", format), v.visit("activation", activation), v.visit("output", output);
  }
  std::vector<ValueType> infer(std::span<const ValueType> inputs) const override;
  void evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache& cache) const override;
  bool is_row_wise() const override { return true; }
};

}  // namespace incipit::ops
