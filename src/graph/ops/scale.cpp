#include "graph/ops/scale.h"

#include <cmath>

#include "graph/ops/rule.h"

namespace incipit::ops {

std::vector<ValueType> Scale::infer(std::span<const ValueType> inputs) const {
  const Rule rule(op_name, inputs, {"x"}, 1);
  rule.require(std::isfinite(factor), "cannot have factor " + std::to_string(factor));
  return {{DType::f32, rule.tensor(0, 2, kernel_floats).shape}};
}

void Scale::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache&) const {
  const std::vector<float> x = floats(*inputs[0]);
  const auto out = outputs[0].as<float>();
  for (size_t i = 0; i < out.size(); ++i) out[i] = x[i] * factor;
}

}  // namespace incipit::ops
