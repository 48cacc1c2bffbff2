#include "graph/ops/multiply.h"

#include "graph/ops/rule.h"

namespace incipit::ops {

std::vector<ValueType> Multiply::infer(std::span<const ValueType> inputs) const {
  return {elementwise_pair(Rule(op_name, inputs, {"x", "y"}, 2))};
}

void Multiply::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache&) const {
  const std::vector<float> x = floats(*inputs[0]), y = floats(*inputs[1]);
  const auto out = outputs[0].as<float>();
  for (size_t i = 0; i < out.size(); ++i) out[i] = x[i] * y[i % y.size()];
}

}  // namespace incipit::ops
