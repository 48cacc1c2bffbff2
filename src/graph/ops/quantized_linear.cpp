#include "graph/ops/quantized_linear.h"

#include "graph/ops/coded_weight.h"

namespace incipit::ops {
namespace {

constexpr CodedInputs linear_weight_inputs{2, 3, 6};

}  // namespace

std::vector<ValueType> QuantizedLinear::infer(std::span<const ValueType> inputs) const {
  const Rule rule(op_name, inputs,
                  {"x", "scales", "weight_codes", "weight_scales", "bias", "residual", "weight_zero_points"}, 1);
  rule.require(rule.has(2) && rule.has(3), "lacks the codes or scales of its weight");
  rule.require(rule.type(2).shape.size() == 2, "has a weight that is no matrix");
  const WeightFormat weight = coded_format(rule, format, linear_weight_inputs);
  const ValueType& x = weight.multiplies_codes() ? rule.rows(0, {DType::i8, DType::f32, DType::bf16})
                                                 : rule.rows(0, {weight.activation});
  const std::vector<Dim>& rows = x.shape;
  rule.require(rule.has(1) == (x.dtype == DType::i8), "takes scales with codes, and with nothing else");
  if (rule.has(1)) {
    const std::vector<Dim> scales = scales_shape(rows);
    rule.tensor(1, scales.size(), {DType::f32});
    for (size_t axis = 0; axis < scales.size(); ++axis) rule.extent_is(1, axis, scales[axis]);
  }
  rule.extent_is(0, rows.size() - 1, rule.constant_extent(2, 1));
  const Dim width = product_width(rule, activation, 2, 4, 5);
  return {{rule.dtype("output", output, kernel_floats), with_columns(rows, width)}};
}

void QuantizedLinear::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs,
                               ReferenceCache&) const {
  const size_t width = width_of(outputs[0]);
  const auto products = static_cast<size_t>(inputs[2]->shape()[0]);
  const CodedRows x(weight_format(), *inputs[0], inputs[1]);
  const CodedWeight weight(weight_format(), inputs, linear_weight_inputs);
  const Tensor* bias = optional(inputs, 4);
  const Tensor* residual = optional(inputs, 5);
  const std::vector<float> biases = bias ? floats(*bias) : std::vector<float>();
  std::vector<float> out(x.scales.size() * width);
  std::vector<double> sums(products);
  for (size_t r = 0; r < x.scales.size(); ++r) {
    for (size_t j = 0; j < products; ++j) {
      sums[j] = weight.product(x.values.data() + r * weight.depth(), j) * x.scales[r];
    }
    finish_product_row(activation, sums, bias ? biases.data() : nullptr,
                       residual ? residual->as<float>().data() + r * width : nullptr, out.data() + r * width);
  }
  store(out, outputs[0]);
}

}  // namespace incipit::ops
