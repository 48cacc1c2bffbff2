#include "graph/ops/rms_norm.h"

#include "graph/ops/rule.h"

namespace incipit::ops {

std::vector<ValueType> RmsNorm::infer(std::span<const ValueType> inputs) const {
  const Rule rule(op_name, inputs, {"x", "gain"}, 1);
  const ValueType& x = rule.rows(0, {DType::f32});
  const Dim width = group_width(rule, groups);
  if (rule.has(1)) rule.vector_of(1, width);
  std::vector<ValueType> types;
  append_norm_types(rule, output, x.shape, types);
  return types;
}

void RmsNorm::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache&) const {
  norm_rows(inputs[0]->as<float>(), optional(inputs, 1), epsilon, groups, outputs);
}

}  // namespace incipit::ops
