#include "graph/ops/activate.h"

#include "graph/ops/rule.h"

namespace incipit::ops {

std::vector<ValueType> Activate::infer(std::span<const ValueType> inputs) const {
  const Rule rule(op_name, inputs, {"x"}, 1);
  rule.require(!is_gated(kind), "has the gated kind " + std::string(name_of(kind)));
  return {{DType::f32, rule.rows(0, kernel_floats).shape}};
}

void Activate::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache&) const {
  const std::vector<float> x = floats(*inputs[0]);
  const auto out = outputs[0].as<float>();
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(activate(kind, x[i]));
}

}  // namespace incipit::ops
