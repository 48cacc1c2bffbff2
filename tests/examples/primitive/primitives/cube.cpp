#include "primitives/cube.h"

namespace incipit::primitives {

Outputs Cube::compute(Inputs inputs) const {
  Tensor y = copy_of(required_input(op_name, inputs, 0));
  for (float& value : y.as<float>()) value *= value * value;
  return one_output(std::move(y));
}

}  // namespace incipit::primitives
