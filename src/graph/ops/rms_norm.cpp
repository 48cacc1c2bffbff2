#include "graph/ops/rms_norm.h"

#include "graph/ops/rule.h"

namespace incipit::ops {

std::vector<ValueType> RmsNorm::infer(std::span<const ValueType> inputs) const {
  const Rule rule(op_name, inputs, {"x", "gain"}, 1);
  rule.tensor(0, 2, {DType::f32});
  if (rule.has(1)) {
    rule.tensor(1, 1, any_float);
    rule.extent_is(1, 0, rule.extent(0, 1));
  }
  std::vector<ValueType> types;
  append_norm_types(rule, output, rule.type(0).shape, types);
  return types;
}

void RmsNorm::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache&) const {
  norm_rows(inputs[0]->as<float>(), optional(inputs, 1), epsilon, outputs);
}

}  // namespace incipit::ops
