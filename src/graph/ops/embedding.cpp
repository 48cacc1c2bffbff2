#include "graph/ops/embedding.h"

#include "graph/ops/rule.h"

namespace incipit::ops {

std::vector<ValueType> Embedding::infer(std::span<const ValueType> inputs) const {
  const Rule rule(op_name, inputs, {"ids", "table"}, 2);
  rule.tensor(0, 1, {DType::i32});
  rule.tensor(1, 2, any_float);
  rule.constant_extent(1, 0);
  return {{DType::f32, {rule.extent(0, 0), rule.constant_extent(1, 1)}}};
}

void Embedding::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache&) const {
  const auto ids = inputs[0]->as<int32_t>();
  const int64_t vocabulary = inputs[1]->shape()[0];
  const auto width = static_cast<size_t>(inputs[1]->shape()[1]);
  const size_t row_bytes = width * size_of(inputs[1]->dtype());
  float* out = outputs[0].as<float>().data();
  for (const int32_t id : ids) {
    if (id < 0 || id >= vocabulary) {
      throw Error(op_name, "id " + std::to_string(id) + " is outside the table of " + std::to_string(vocabulary));
    }
    convert_to_float(inputs[1]->dtype(), inputs[1]->data() + static_cast<size_t>(id) * row_bytes, out, width);
    for (size_t i = 0; i < width; ++i) out[i] *= scale;
    out += width;
  }
}

}  // namespace incipit::ops
