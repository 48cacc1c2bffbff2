#include "primitives/cube.h"

#include "primitives/rule.h"

namespace incipit::primitives {

Outputs Cube::compute(Inputs inputs) const {
  Tensor y = copy_of(required_input(op_name, inputs, 0));
  for (float& value : y.as<float>()) value *= value * value;
  return one_output(std::move(y));
}

OutputTypes Cube::infer(InputTypes inputs) const {
  const Rule rule(op_name, inputs, 1);
  rule.require(rule.type(0).dtype == DType::f32, "takes f32");
  return {{DType::f32, rule.type(0).shape}};
}

}  // namespace incipit::primitives
