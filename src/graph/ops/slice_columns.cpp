#include "graph/ops/slice_columns.h"

#include "graph/ops/rule.h"

namespace incipit::ops {

std::vector<ValueType> SliceColumns::infer(std::span<const ValueType> inputs) const {
  const Rule rule(op_name, inputs, {"x"}, 1);
  rule.require(!rule.type(0).is_cache && rule.type(0).shape.size() == 2,
               "input x is " + rule.type(0).text() + ", not of 2 dimensions");
  const int64_t width = rule.constant_extent(0, 1);
  rule.require(
      first >= 0 && count > 0 && first <= width && count <= width - first,
      "takes " + std::to_string(count) + " columns from " + std::to_string(first) + " of " + std::to_string(width));
  return {{rule.type(0).dtype, {rule.extent(0, 0), count}}};
}

void SliceColumns::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache&) const {
  const size_t size = size_of(inputs[0]->dtype());
  const auto width = static_cast<size_t>(inputs[0]->shape()[1]);
  for (int64_t r = 0; r < inputs[0]->shape()[0]; ++r) {
    std::memcpy(outputs[0].data() + static_cast<size_t>(r * count) * size,
                inputs[0]->data() + (static_cast<size_t>(r) * width + static_cast<size_t>(first)) * size,
                static_cast<size_t>(count) * size);
  }
}

}  // namespace incipit::ops
