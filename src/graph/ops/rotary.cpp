#include "graph/ops/rotary.h"

#include "graph/ops/rotate.h"
#include "graph/ops/rule.h"

namespace incipit::ops {

std::vector<ValueType> Rotary::infer(std::span<const ValueType> inputs) const {
  const Rule rule(op_name, inputs, {"x", "position", "inverse_frequency"}, 3);
  const ValueType& x = rule.tensor(0, 2, kernel_floats);
  rule.tensor(1, 1, {DType::i32});
  rule.extent_is(1, 0, x.shape[0]);
  rule.tensor(2, 1, any_float);
  check_heads(rule, heads, head_dim);
  check_growth(rule, growth_length);
  rule.extent_is(0, 1, Dim(heads) * Dim(head_dim));
  rule.require(rule.constant_extent(2, 0) <= head_dim / 2,
               "has more frequencies than head_dim " + std::to_string(head_dim) + " has pairs");
  return {{DType::f32, x.shape}};
}

void Rotary::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache&) const {
  const std::vector<float> table =
      rotary_table(inputs[1]->as<int32_t>(), floats(*inputs[2]), {factor, growth, growth_length});
  std::vector<float> x = floats(*inputs[0]);
  rotate(x, table, inputs[0]->shape()[0], heads, head_dim, inputs[2]->elements(), interleaved);
  store(x, outputs[0]);
}

}  // namespace incipit::ops
