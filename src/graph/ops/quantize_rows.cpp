#include "graph/ops/quantize_rows.h"

#include "graph/ops/rule.h"

namespace incipit::ops {

std::vector<ValueType> QuantizeRows::infer(std::span<const ValueType> inputs) const {
  const Rule rule(op_name, inputs, {"x"}, 1);
  const ValueType& x = rule.tensor(0, 2, kernel_floats);
  group_width(rule, groups);
  std::vector<Dim> scales{x.shape[0]};
  if (groups > 1) scales.emplace_back(groups);
  return {{DType::i8, x.shape}, {DType::f32, scales}};
}

void QuantizeRows::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache&) const {
  const std::vector<float> x = floats(*inputs[0]);
  const auto scales = outputs[1].as<float>();
  const auto width = static_cast<size_t>(inputs[0]->shape()[1] / groups);
  for (size_t g = 0; g < scales.size(); ++g) {
    scales[g] = quantize_row(std::span(x).subspan(g * width, width), outputs[0].as<int8_t>().subspan(g * width, width));
  }
}

}  // namespace incipit::ops
