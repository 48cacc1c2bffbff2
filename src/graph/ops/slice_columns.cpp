#include "graph/ops/slice_columns.h"

#include "graph/ops/rule.h"

namespace incipit::ops {

std::vector<ValueType> SliceColumns::infer(std::span<const ValueType> inputs) const {
  const Rule rule(op_name, inputs, {"x"}, 1);
  const size_t rank = rule.type(0).shape.size();
  rule.require(!rule.type(0).is_cache && rank >= 2, "input x is " + rule.type(0).text() + ", not of 2 dimensions");
  const int64_t width = rule.constant_extent(0, rank - 1);
  rule.require(
      first >= 0 && count > 0 && first <= width && count <= width - first,
      "takes " + std::to_string(count) + " columns from " + std::to_string(first) + " of " + std::to_string(width));
  return {{rule.type(0).dtype, with_columns(rule.type(0).shape, count)}};
}

void SliceColumns::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache&) const {
  const size_t size = size_of(inputs[0]->dtype());
  const size_t width = width_of(*inputs[0]);
  for (size_t r = 0; r < count_of(*inputs[0]); ++r) {
    std::memcpy(outputs[0].data() + r * static_cast<size_t>(count) * size,
                inputs[0]->data() + (r * width + static_cast<size_t>(first)) * size, static_cast<size_t>(count) * size);
  }
}

}  // namespace incipit::ops
