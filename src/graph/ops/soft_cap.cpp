#include "graph/ops/soft_cap.h"

#include <cmath>

#include "graph/ops/rule.h"

namespace incipit::ops {

std::vector<ValueType> SoftCap::infer(std::span<const ValueType> inputs) const {
  const Rule rule(op_name, inputs, {"x"}, 1);
  rule.require(std::isfinite(cap) && cap > 0, "cannot have cap " + std::to_string(cap));
  return {{DType::f32, rule.tensor(0, 2, kernel_floats).shape}};
}

void SoftCap::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache&) const {
  const std::vector<float> x = floats(*inputs[0]);
  const auto out = outputs[0].as<float>();
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(soft_capped<double>(x[i], cap));
}

}  // namespace incipit::ops
