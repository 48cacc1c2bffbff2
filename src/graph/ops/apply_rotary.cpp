#include "graph/ops/apply_rotary.h"

#include "graph/ops/rotate.h"
#include "graph/ops/rule.h"

namespace incipit::ops {

std::vector<ValueType> ApplyRotary::infer(std::span<const ValueType> inputs) const {
  const Rule rule(op_name, inputs, {"x", "table"}, 2);
  const ValueType& x = rule.tensor(0, 2, kernel_floats);
  check_heads(rule, heads, head_dim);
  rule.extent_is(0, 1, Dim(heads) * Dim(head_dim));
  check_rotary_table(rule, 1, x.shape[0], head_dim);
  return {{rule.dtype("output", output, kernel_floats), x.shape}};
}

void ApplyRotary::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache&) const {
  std::vector<float> x = floats(*inputs[0]);
  rotate(x, inputs[1]->as<float>(), inputs[0]->shape()[0], heads, head_dim, inputs[1]->shape()[1] / 2, interleaved);
  store(x, outputs[0]);
}

}  // namespace incipit::ops
