#include "graph/ops/layer_norm.h"

#include "base/norm.h"
#include "graph/ops/rule.h"

namespace incipit::ops {

std::vector<ValueType> LayerNorm::infer(std::span<const ValueType> inputs) const {
  const Rule rule(op_name, inputs, {"x", "gain", "bias"}, 1);
  const ValueType& x = rule.rows(0, {DType::f32});
  group_width(rule, groups);
  for (const size_t vector : {1u, 2u}) {
    if (rule.has(vector)) rule.vector_of(vector, rule.columns(0));
  }
  std::vector<ValueType> types;
  append_norm_types(rule, output, x.shape, types);
  return types;
}

void LayerNorm::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache&) const {
  const auto x = inputs[0]->as<float>();
  const size_t columns = width_of(*inputs[0]), width = columns / static_cast<size_t>(groups);
  const Tensor *gain = optional(inputs, 1), *bias = optional(inputs, 2);
  const std::vector<float> gains = gain ? floats(*gain) : std::vector<float>(columns, 1.0F);
  const std::vector<float> biases = bias ? floats(*bias) : std::vector<float>(columns, 0.0F);
  std::vector<float> normed(x.size());
  for (size_t first = 0; first < x.size(); first += width) {
    const auto row = x.subspan(first, width);
    const size_t column = first % columns;
    const RowNorm norm = layer_norm_of<float>(row, epsilon);
    for (size_t i = 0; i < width; ++i) {
      normed[first + i] = static_cast<float>(norm(row[i]) * gains[column + i] + biases[column + i]);
    }
  }
  store_normed(normed, outputs);
}

}  // namespace incipit::ops
