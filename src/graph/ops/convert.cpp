#include "graph/ops/convert.h"

#include "graph/ops/rule.h"

namespace incipit::ops {

std::vector<ValueType> Convert::infer(std::span<const ValueType> inputs) const {
  const Rule rule(op_name, inputs, {"x"}, 1);
  const ValueType& x = rule.tensor(0, rule.type(0).shape.size(), kernel_floats);
  return {{rule.dtype("to", to, kernel_floats), x.shape}};
}

void Convert::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache&) const {
  store(floats(*inputs[0]), outputs[0]);
}

}  // namespace incipit::ops
