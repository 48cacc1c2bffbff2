#include "graph/ops/quantized_expert_linear.h"

#include "graph/ops/rule.h"

namespace incipit::ops {

std::vector<ValueType> QuantizedExpertLinear::infer(std::span<const ValueType> inputs) const {
  const Rule rule(op_name, inputs, {"codes", "scales", "expert", "weight_codes", "weight_scales"}, 5);
  rule.require(format == "int8", "has no weight format '" + format + "'");
  const ValueType& codes = rule.tensor(0, 2, {DType::i8});
  rule.tensor(3, 3, {DType::i8});
  const Dim width = expert_product_width(rule, activation, top_k, 2, 3);
  rule.require(!rule.type(1).is_cache && !rule.type(1).shape.empty(), "input scales is " + rule.type(1).text());
  const bool a_scale_a_slot = rule.type(1).shape.size() == 2;
  rule.tensor(1, a_scale_a_slot ? 2 : 1, {DType::f32});
  rule.extent_is(1, 0, codes.shape[0]);
  if (a_scale_a_slot) {
    rule.extent_is(1, 1, top_k);
    rule.extent_is(0, 1, Dim(top_k) * rule.extent(3, 2));
  }
  rule.tensor(4, 2, {DType::f32});
  rule.extent_is(4, 0, rule.extent(3, 0));
  rule.extent_is(4, 1, rule.extent(3, 1));
  return {{rule.dtype("output", output, kernel_floats), {codes.shape[0], width}}};
}

void QuantizedExpertLinear::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs,
                                     ReferenceCache&) const {
  const auto codes = inputs[0]->as<int8_t>(), weight_codes = inputs[3]->as<int8_t>();
  const auto scales = inputs[1]->as<float>(), weight_scales = inputs[4]->as<float>();
  const bool a_scale_a_slot = inputs[1]->shape().size() == 2;
  const ExpertShape shape(*inputs[0], *inputs[3], outputs[0], top_k);
  std::vector<float> out(shape.rows * shape.slots * shape.width);
  std::vector<double> sums(shape.products);
  for (size_t r = 0; r < shape.rows; ++r) {
    for (size_t j = 0; j < shape.slots; ++j) {
      const size_t expert = shape.expert(*inputs[2], r, j), first = shape.first_input(r, j);
      const float scale = scales[a_scale_a_slot ? r * shape.slots + j : r];
      for (size_t m = 0; m < shape.products; ++m) {
        const size_t row = expert * shape.products + m;
        int64_t sum = 0;
        for (size_t k = 0; k < shape.depth; ++k) sum += codes[first + k] * weight_codes[row * shape.depth + k];
        sums[m] = static_cast<double>(sum) * scale * weight_scales[row];
      }
      finish_product_row(activation, sums, nullptr, nullptr, out.data() + (r * shape.slots + j) * shape.width);
    }
  }
  store(out, outputs[0]);
}

}  // namespace incipit::ops
