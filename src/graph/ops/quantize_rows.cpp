#include "graph/ops/quantize_rows.h"

#include "base/coded_rows.h"
#include "graph/ops/rule.h"

namespace incipit::ops {

std::vector<ValueType> QuantizeRows::infer(std::span<const ValueType> inputs) const {
  const Rule rule(op_name, inputs, {"x"}, 1);
  const ValueType& x = rule.rows(0, kernel_floats);
  group_width(rule, groups);
  const std::vector<Dim> scales = groups > 1 ? with_columns(x.shape, groups) : scales_shape(x.shape);
  return {{DType::i8, x.shape}, {DType::f32, scales}};
}

void QuantizeRows::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache&) const {
  const std::vector<float> x = floats(*inputs[0]);
  const auto scales = outputs[1].as<float>();
  const size_t width = width_of(*inputs[0]) / static_cast<size_t>(groups);
  for (size_t g = 0; g < scales.size(); ++g) {
    scales[g] = quantize_row(std::span(x).subspan(g * width, width), outputs[0].as<int8_t>().data() + g * width);
  }
}

}  // namespace incipit::ops
