#include "graph/ops/add.h"

#include "graph/ops/rule.h"

namespace incipit::ops {

std::vector<ValueType> Add::infer(std::span<const ValueType> inputs) const {
  const Rule rule(op_name, inputs, {"x", "y"}, 2);
  const ValueType& x = rule.tensor(0, 2, kernel_floats);
  if (rule.type(1).shape.size() == 1) {
    rule.tensor(1, 1, any_float);
    rule.extent_is(1, 0, x.shape[1]);
  } else {
    rule.tensor(1, 2, kernel_floats);
    rule.extent_is(1, 0, x.shape[0]);
    rule.extent_is(1, 1, x.shape[1]);
  }
  return {{DType::f32, x.shape}};
}

void Add::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache&) const {
  const std::vector<float> x = floats(*inputs[0]), y = floats(*inputs[1]);
  const auto out = outputs[0].as<float>();
  for (size_t i = 0; i < out.size(); ++i) out[i] = x[i] + y[i % y.size()];
}

}  // namespace incipit::ops
