#include "graph/ops/add_rms_norm.h"

#include "graph/ops/rule.h"

namespace incipit::ops {

std::vector<ValueType> AddRmsNorm::infer(std::span<const ValueType> inputs) const {
  const Rule rule(op_name, inputs, {"x", "y", "gain"}, 2);
  const std::vector<Dim>& shape = rule.rows(0, {DType::f32}).shape;
  rule.rows_as(1, 0, rule.columns(0), {DType::f32});
  if (rule.has(2)) rule.vector_of(2, rule.columns(0));
  std::vector<ValueType> types{{DType::f32, shape}};
  append_norm_types(rule, output, shape, types);
  return types;
}

void AddRmsNorm::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache&) const {
  const auto x = inputs[0]->as<float>(), y = inputs[1]->as<float>();
  const auto sum = outputs[0].as<float>();
  for (size_t i = 0; i < sum.size(); ++i) sum[i] = x[i] + y[i];
  norm_rows(sum, optional(inputs, 2), epsilon, 1, outputs.subspan(1));
}

}  // namespace incipit::ops
