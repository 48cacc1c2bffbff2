#include "graph/ops/kv_write.h"

#include "base/coded_rows.h"
#include "graph/ops/rotate.h"
#include "graph/ops/rule.h"

namespace incipit::ops {

std::vector<ValueType> KvWrite::infer(std::span<const ValueType> inputs) const {
  const Rule rule(op_name, inputs, {"k", "v", "position", "table"}, 3);
  const ValueType& k = rule.tensor(0, 2, kernel_floats);
  rule.tensor(1, 2, {k.dtype});
  rule.tensor(2, 1, {DType::i32});
  check_heads(rule, kv_heads, head_dim);
  rule.require(layer >= 0 && layer < 65536, "cannot have layer " + std::to_string(layer));
  rule.require(window >= 0, "cannot have window " + std::to_string(window));
  rule.dtype("cache", cache, any_cache);
  for (const size_t i : {0u, 1u}) {
    rule.extent_is(i, 0, k.shape[0]);
    rule.extent_is(i, 1, Dim(kv_heads) * Dim(head_dim));
  }
  rule.extent_is(2, 0, k.shape[0]);
  if (rule.has(3)) check_rotary_table(rule, 3, k.shape[0], head_dim);
  return {ValueType::cache()};
}

void KvWrite::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor>, ReferenceCache& state) const {
  if (state.layers.size() <= static_cast<size_t>(layer)) state.layers.resize(static_cast<size_t>(layer) + 1);
  ReferenceCache::Layer& mine = state.layers[static_cast<size_t>(layer)];
  const auto width = static_cast<size_t>(kv_heads * head_dim), dim = static_cast<size_t>(head_dim);
  mine.key_width = mine.value_width = kv_heads * head_dim;
  const auto positions = inputs[2]->as<int32_t>();
  const auto write = [&](const std::vector<float>& values, std::vector<float>& rows) {
    for (size_t r = 0; r < positions.size(); ++r) {
      if (positions[r] < 0 || positions[r] >= 1 << 24) {
        throw Error(op_name, "position " + std::to_string(positions[r]) + " is outside any context");
      }
      const auto place = static_cast<size_t>(positions[r]) * width;
      if (rows.size() < place + width) rows.resize(place + width);
      for (size_t i = 0; i < width; ++i) {
        rows[place + i] = rounded_to(cache, values[r * width + i]);
      }
      for (size_t head = 0; cache == DType::i8 && head < width; head += dim) {
        const std::span<float> numbers = std::span(rows).subspan(place + head, dim);
        const float scale = scale_of_row(numbers);
        for (float& number : numbers) number = static_cast<float>(code_of(number, scale)) * scale;
      }
    }
  };
  std::vector<float> keys = floats(*inputs[0]);
  if (const Tensor* table = optional(inputs, 3)) {
    rotate(keys, table->as<float>(), inputs[0]->shape()[0], kv_heads, head_dim, table->shape()[1] / 2, interleaved);
  }
  write(keys, mine.keys);
  write(floats(*inputs[1]), mine.values);
}

}  // namespace incipit::ops
