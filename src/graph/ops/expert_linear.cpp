#include "graph/ops/expert_linear.h"

#include "graph/ops/rule.h"

namespace incipit::ops {

std::vector<ValueType> ExpertLinear::infer(std::span<const ValueType> inputs) const {
  const Rule rule(op_name, inputs, {"x", "expert", "weight", "bias"}, 3);
  const ValueType& x = rule.tensor(0, 2, kernel_floats);
  rule.tensor(2, 3, any_float);
  rule.require(x.dtype == DType::f32 || rule.type(2).dtype == DType::bf16, "takes bf16 rows only with a bf16 weight");
  const Dim width = expert_product_width(rule, activation, top_k, 1, 2, 3);
  return {{rule.dtype("output", output, kernel_floats), {x.shape[0], width}}};
}

void ExpertLinear::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache&) const {
  const std::vector<float> x = floats(*inputs[0]), weight = floats(*inputs[2]), bias = optional_floats(inputs, 3);
  const ExpertShape shape(*inputs[0], *inputs[2], outputs[0], top_k);
  std::vector<float> out(shape.rows * shape.slots * shape.width);
  std::vector<double> sums(shape.products);
  for (size_t r = 0; r < shape.rows; ++r) {
    for (size_t j = 0; j < shape.slots; ++j) {
      const size_t expert = shape.expert(*inputs[1], r, j), first = shape.first_input(r, j);
      for (size_t m = 0; m < shape.products; ++m) {
        const size_t row = (expert * shape.products + m) * shape.depth;
        double sum = 0;
        for (size_t k = 0; k < shape.depth; ++k) sum += static_cast<double>(x[first + k]) * weight[row + k];
        sums[m] = sum;
      }
      finish_product_row(activation, sums, shape.bias(bias, expert), nullptr,
                         out.data() + (r * shape.slots + j) * shape.width);
    }
  }
  store(out, outputs[0]);
}

}  // namespace incipit::ops
