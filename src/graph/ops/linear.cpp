#include "graph/ops/linear.h"

#include "graph/ops/rule.h"

namespace incipit::ops {

std::vector<ValueType> Linear::infer(std::span<const ValueType> inputs) const {
  const Rule rule(op_name, inputs, {"x", "weight", "bias", "residual"}, 2);
  const ValueType& x = rule.rows(0, kernel_floats);
  rule.tensor(1, 2, any_float);
  rule.require(rule.type(0).dtype == DType::f32 || rule.type(1).dtype == DType::bf16,
               "takes bf16 rows only with a bf16 weight");
  rule.extent_is(0, x.shape.size() - 1, rule.constant_extent(1, 1));
  const Dim width = product_width(rule, activation, 1, 2, 3);
  return {{rule.dtype("output", output, kernel_floats), with_columns(x.shape, width)}};
}

void Linear::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache&) const {
  const std::vector<float> x = floats(*inputs[0]), weight = floats(*inputs[1]);
  const size_t rows = count_of(*inputs[0]), width = width_of(outputs[0]);
  const auto products = static_cast<size_t>(inputs[1]->shape()[0]), depth = static_cast<size_t>(inputs[1]->shape()[1]);
  const Tensor* bias = optional(inputs, 2);
  const Tensor* residual = optional(inputs, 3);
  const std::vector<float> biases = bias ? floats(*bias) : std::vector<float>();
  std::vector<float> out(rows * width);
  std::vector<double> sums(products);
  for (size_t r = 0; r < rows; ++r) {
    for (size_t j = 0; j < products; ++j) {
      double sum = 0;
      for (size_t k = 0; k < depth; ++k) sum += static_cast<double>(x[r * depth + k]) * weight[j * depth + k];
      sums[j] = sum;
    }
    finish_product_row(activation, sums, bias ? biases.data() : nullptr,
                       residual ? residual->as<float>().data() + r * width : nullptr, out.data() + r * width);
  }
  store(out, outputs[0]);
}

}  // namespace incipit::ops
