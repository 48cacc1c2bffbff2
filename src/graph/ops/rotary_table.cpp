#include "graph/ops/rotary_table.h"

#include "graph/ops/rotate.h"
#include "graph/ops/rule.h"

namespace incipit::ops {

std::vector<ValueType> RotaryTable::infer(std::span<const ValueType> inputs) const {
  const Rule rule(op_name, inputs, {"position", "inverse_frequency"}, 2);
  check_growth(rule, growth_length);
  rule.tensor(0, 1, {DType::i32});
  rule.tensor(1, 1, any_float);
  return {{DType::f32, {rule.extent(0, 0), Dim(2) * rule.constant_extent(1, 0)}}};
}

void RotaryTable::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache&) const {
  store(rotary_table(inputs[0]->as<int32_t>(), floats(*inputs[1]), {factor, growth, growth_length}), outputs[0]);
}

}  // namespace incipit::ops
