#include "graph/ops/xielu.h"

#include "base/xielu.h"
#include "graph/ops/rule.h"

namespace incipit::ops {

std::vector<ValueType> Xielu::infer(std::span<const ValueType> inputs) const {
  const Rule rule(op_name, inputs, {"x", "curve"}, 2);
  rule.tensor(1, 1, {DType::f32});
  rule.extent_is(1, 0, 4);
  return {{DType::f32, rule.rows(0, kernel_floats).shape}};
}

void Xielu::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache&) const {
  const std::vector<float> x = floats(*inputs[0]);
  const auto numbers = inputs[1]->as<float>();
  const XieluCurve curve{numbers[0], numbers[1], numbers[2], numbers[3]};
  const auto out = outputs[0].as<float>();
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(xielu(curve, double{x[i]}));
}

}  // namespace incipit::ops
