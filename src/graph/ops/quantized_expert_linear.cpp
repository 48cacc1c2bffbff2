#include "graph/ops/quantized_expert_linear.h"

#include "graph/ops/coded_weight.h"

namespace incipit::ops {
namespace {

constexpr CodedInputs expert_weight_inputs{3, 4, 5};

}  // namespace

std::vector<ValueType> QuantizedExpertLinear::infer(std::span<const ValueType> inputs) const {
  const Rule rule(op_name, inputs,
                  {"codes", "scales", "expert", "weight_codes", "weight_scales", "weight_zero_points", "bias"}, 1);
  rule.require(rule.has(2) && rule.has(3) && rule.has(4), "lacks its experts' numbers, codes or scales");
  rule.require(rule.type(3).shape.size() == 3, "has weights that are no matrices of experts");
  const WeightFormat weight = coded_format(rule, format, expert_weight_inputs);
  const ValueType& x = rule.tensor(0, 2, {weight.activation});
  const Dim width = expert_product_width(rule, activation, top_k, 2, 3, 6);
  rule.require(rule.has(1) == weight.multiplies_codes(), "takes scales with codes, and with nothing else");
  if (rule.has(1)) {
    rule.require(!rule.type(1).is_cache && !rule.type(1).shape.empty(), "input scales is " + rule.type(1).text());
    const bool a_scale_a_slot = rule.type(1).shape.size() == 2;
    rule.tensor(1, a_scale_a_slot ? 2 : 1, {DType::f32});
    rule.extent_is(1, 0, x.shape[0]);
    if (a_scale_a_slot) {
      rule.extent_is(1, 1, top_k);
      rule.extent_is(0, 1, Dim(top_k) * rule.extent(3, 2));
    }
  }
  return {{rule.dtype("output", output, kernel_floats), {x.shape[0], width}}};
}

void QuantizedExpertLinear::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs,
                                     ReferenceCache&) const {
  const CodedRows x(weight_format(), *inputs[0], inputs[1]);
  const CodedWeight weight(weight_format(), inputs, expert_weight_inputs);
  const std::vector<float> bias = optional_floats(inputs, 6);
  const ExpertShape shape(*inputs[0], *inputs[3], outputs[0], top_k);
  const bool a_scale_a_slot = x.scales.size() == shape.rows * shape.slots;
  std::vector<float> out(shape.rows * shape.slots * shape.width);
  std::vector<double> sums(shape.products);
  for (size_t r = 0; r < shape.rows; ++r) {
    for (size_t j = 0; j < shape.slots; ++j) {
      const size_t expert = shape.expert(*inputs[2], r, j), first = shape.first_input(r, j);
      const float scale = x.scales[a_scale_a_slot ? r * shape.slots + j : r];
      for (size_t m = 0; m < shape.products; ++m) {
        sums[m] = weight.product(x.values.data() + first, expert * shape.products + m) * scale;
      }
      finish_product_row(activation, sums, shape.bias(bias, expert), nullptr,
                         out.data() + (r * shape.slots + j) * shape.width);
    }
  }
  store(out, outputs[0]);
}

}  // namespace incipit::ops
