#include "graph/ops/quantize_rows.h"

#include "graph/ops/rule.h"

namespace incipit::ops {

std::vector<ValueType> QuantizeRows::infer(std::span<const ValueType> inputs) const {
  const Rule rule(op_name, inputs, {"x"}, 1);
  const ValueType& x = rule.tensor(0, 2, kernel_floats);
  return {{DType::i8, x.shape}, {DType::f32, {x.shape[0]}}};
}

void QuantizeRows::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache&) const {
  const std::vector<float> x = floats(*inputs[0]);
  const auto rows = static_cast<size_t>(inputs[0]->shape()[0]), width = static_cast<size_t>(inputs[0]->shape()[1]);
  for (size_t r = 0; r < rows; ++r) {
    outputs[1].as<float>()[r] =
        quantize_row(std::span(x).subspan(r * width, width), outputs[0].as<int8_t>().subspan(r * width, width));
  }
}

}  // namespace incipit::ops
