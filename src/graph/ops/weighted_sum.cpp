#include "graph/ops/weighted_sum.h"

#include "graph/ops/rule.h"

namespace incipit::ops {

std::vector<ValueType> WeightedSum::infer(std::span<const ValueType> inputs) const {
  const Rule rule(op_name, inputs, {"x", "weight", "residual"}, 2);
  const ValueType& x = rule.tensor(0, 2, {DType::f32});
  rule.tensor(1, 2, {DType::f32});
  rule.extent_is(1, 0, x.shape[0]);
  const int64_t columns = rule.constant_extent(0, 1), slots = rule.constant_extent(1, 1);
  rule.require(slots > 0 && columns % slots == 0,
               "cannot part " + std::to_string(columns) + " columns into " + std::to_string(slots) + " slots");
  const std::vector<Dim> shape{x.shape[0], columns / slots};
  if (rule.has(2)) {
    rule.tensor(2, 2, {DType::f32});
    rule.extent_is(2, 0, shape[0]);
    rule.extent_is(2, 1, shape[1]);
  }
  return {{DType::f32, shape}};
}

void WeightedSum::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache&) const {
  const auto x = inputs[0]->as<float>(), weight = inputs[1]->as<float>();
  const Tensor* residual = optional(inputs, 2);
  const auto out = outputs[0].as<float>();
  const auto slots = static_cast<size_t>(inputs[1]->shape()[1]), width = static_cast<size_t>(outputs[0].shape()[1]);
  for (size_t i = 0; i < out.size(); ++i) {
    const size_t row = i / width, column = i % width;
    double sum = 0;
    for (size_t j = 0; j < slots; ++j) {
      sum += static_cast<double>(weight[row * slots + j]) * x[(row * slots + j) * width + column];
    }
    if (residual) sum += residual->as<float>()[i];
    out[i] = static_cast<float>(sum);
  }
}

}  // namespace incipit::ops
