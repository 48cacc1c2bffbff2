#include "graph/ops/quantized_linear.h"

#include "base/codes.h"
#include "graph/ops/rule.h"

namespace incipit::ops {

std::vector<ValueType> QuantizedLinear::infer(std::span<const ValueType> inputs) const {
  const Rule rule(op_name, inputs, {"x", "scales", "weight_codes", "weight_scales", "bias", "residual"}, 1);
  rule.require(rule.has(2) && rule.has(3), "lacks the codes or scales of its weight");
  rule.require(format == "int8", "has no weight format '" + format + "'");
  const std::vector<Dim>& rows = rule.rows(0, {DType::i8, DType::f32, DType::bf16}).shape;
  rule.require(rule.has(1) == (rule.type(0).dtype == DType::i8), "takes scales with codes, and with nothing else");
  if (rule.has(1)) {
    const std::vector<Dim> scales = scales_shape(rows);
    rule.tensor(1, scales.size(), {DType::f32});
    for (size_t axis = 0; axis < scales.size(); ++axis) rule.extent_is(1, axis, scales[axis]);
  }
  rule.tensor(2, 2, {DType::i8});
  rule.extent_is(0, rows.size() - 1, rule.constant_extent(2, 1));
  rule.tensor(3, 1, {DType::f32});
  rule.extent_is(3, 0, rule.constant_extent(2, 0));
  const Dim width = product_width(rule, activation, 2, 4, 5);
  return {{rule.dtype("output", output, kernel_floats), with_columns(rows, width)}};
}

void QuantizedLinear::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs,
                               ReferenceCache&) const {
  const size_t rows = count_of(*inputs[0]), width = width_of(outputs[0]);
  const auto products = static_cast<size_t>(inputs[2]->shape()[0]), depth = static_cast<size_t>(inputs[2]->shape()[1]);
  std::vector<int8_t> own_codes;
  std::vector<float> own_scales;
  if (inputs[1] == nullptr) {
    const std::vector<float> x = floats(*inputs[0]);
    own_codes.resize(x.size());
    for (size_t r = 0; r < rows; ++r) {
      own_scales.push_back(quantize_row(std::span(x).subspan(r * depth, depth), own_codes.data() + r * depth));
    }
  }
  const std::span<const int8_t> codes =
      inputs[1] == nullptr ? std::span<const int8_t>(own_codes) : inputs[0]->as<int8_t>();
  const std::span<const float> scales =
      inputs[1] == nullptr ? std::span<const float>(own_scales) : inputs[1]->as<float>();
  const auto weight_codes = inputs[2]->as<int8_t>();
  const auto weight_scales = inputs[3]->as<float>();
  const Tensor* bias = optional(inputs, 4);
  const Tensor* residual = optional(inputs, 5);
  const std::vector<float> biases = bias ? floats(*bias) : std::vector<float>();
  std::vector<float> out(rows * width);
  std::vector<double> sums(products);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t j = 0; j < products; ++j) {
      int64_t sum = 0;
      for (size_t k = 0; k < depth; ++k) sum += codes[r * depth + k] * weight_codes[j * depth + k];
      sums[j] = static_cast<double>(sum) * scales[r] * weight_scales[j];
    }
    finish_product_row(activation, sums, bias ? biases.data() : nullptr,
                       residual ? residual->as<float>().data() + r * width : nullptr, out.data() + r * width);
  }
  store(out, outputs[0]);
}

}  // namespace incipit::ops
