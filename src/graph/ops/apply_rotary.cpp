#include "graph/ops/apply_rotary.h"

#include "graph/ops/rotate.h"
#include "graph/ops/rule.h"

namespace incipit::ops {

std::vector<ValueType> ApplyRotary::infer(std::span<const ValueType> inputs) const {
  const Rule rule(op_name, inputs, {"x", "table"}, 2);
  const ValueType& x = rule.tensor(0, 2, kernel_floats);
  rule.tensor(1, 2, {DType::f32});
  rule.extent_is(1, 0, x.shape[0]);
  check_heads(rule, heads, head_dim);
  rule.extent_is(0, 1, Dim(heads) * Dim(head_dim));
  const int64_t columns = rule.constant_extent(1, 1);
  rule.require(columns % 2 == 0 && columns <= head_dim,
               "has a table of " + std::to_string(columns) + " columns for head_dim " + std::to_string(head_dim));
  return {{rule.dtype("output", output, kernel_floats), x.shape}};
}

void ApplyRotary::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache&) const {
  std::vector<float> x = floats(*inputs[0]);
  rotate(x, inputs[1]->as<float>(), inputs[0]->shape()[0], heads, head_dim, inputs[1]->shape()[1] / 2, interleaved);
  store(x, outputs[0]);
}

}  // namespace incipit::ops
