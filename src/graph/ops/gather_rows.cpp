#include "graph/ops/gather_rows.h"

#include "graph/ops/rule.h"

namespace incipit::ops {

std::vector<ValueType> GatherRows::infer(std::span<const ValueType> inputs) const {
  const Rule rule(op_name, inputs, {"x", "rows"}, 2);
  ValueType result = rule.type(0);
  rule.require(!result.is_cache && (result.shape.size() == 1 || result.shape.size() == 2),
               "input x is " + result.text() + ", neither of 1 nor of 2 dimensions");
  rule.tensor(1, 1, {DType::i32});
  result.shape[0] = rule.extent(1, 0);
  return {result};
}

void GatherRows::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache&) const {
  const Shape& shape = inputs[0]->shape();
  const size_t row_bytes = (shape.size() == 2 ? static_cast<size_t>(shape[1]) : 1) * size_of(inputs[0]->dtype());
  std::byte* out = outputs[0].data();
  for (const int32_t row : inputs[1]->as<int32_t>()) {
    if (row < 0 || row >= shape[0]) {
      throw Error(op_name, "row " + std::to_string(row) + " is outside the " + std::to_string(shape[0]) + " there are");
    }
    if (row_bytes > 0) std::memcpy(out, inputs[0]->data() + static_cast<size_t>(row) * row_bytes, row_bytes);
    out += row_bytes;
  }
}

}  // namespace incipit::ops
