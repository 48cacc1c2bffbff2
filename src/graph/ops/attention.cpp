#include "graph/ops/attention.h"

#include <algorithm>
#include <iterator>
#include <limits>

#include "base/activation.h"
#include "base/softmax.h"
#include "graph/ops/rotate.h"
#include "graph/ops/rule.h"

namespace incipit::ops {

std::vector<ValueType> Attention::infer(std::span<const ValueType> inputs) const {
  const Rule rule(op_name, inputs, {"q", "position", "cache", "table", "slopes", "sinks"}, 3);
  const ValueType& q = rule.tensor(0, 2, kernel_floats);
  rule.tensor(1, 1, {DType::i32});
  rule.extent_is(1, 0, q.shape[0]);
  rule.require(rule.type(2).is_cache, "input cache is " + rule.type(2).text());
  check_heads(rule, heads, head_dim);
  check_heads(rule, kv_heads, head_dim);
  rule.require(heads % kv_heads == 0,
               std::to_string(heads) + " heads cannot share " + std::to_string(kv_heads) + " KV heads evenly");
  rule.require(layer >= 0 && layer < 65536, "cannot have layer " + std::to_string(layer));
  rule.require(window >= 0, "cannot have window " + std::to_string(window));
  rule.dtype("cache", cache, any_cache);
  rule.extent_is(0, 1, Dim(heads) * Dim(head_dim));
  if (rule.has(3)) check_rotary_table(rule, 3, q.shape[0], head_dim);
  for (const size_t of_heads : {4U, 5U}) {
    if (rule.has(of_heads)) rule.vector_of(of_heads, heads);
  }
  return {{rule.dtype("output", output, kernel_floats), q.shape}};
}

void Attention::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs,
                         ReferenceCache& state) const {
  std::vector<float> q = floats(*inputs[0]);
  if (const Tensor* table = optional(inputs, 3)) {
    rotate(q, table->as<float>(), inputs[0]->shape()[0], heads, head_dim, table->shape()[1] / 2, interleaved);
  }
  const std::vector<float> slopes = optional_floats(inputs, 4), sinks = optional_floats(inputs, 5);
  const auto positions = inputs[1]->as<int32_t>();
  INCIPIT_ASSERT(static_cast<size_t>(layer) < state.layers.size());
  const ReferenceCache::Layer& mine = state.layers[static_cast<size_t>(layer)];
  const auto width = static_cast<size_t>(kv_heads * head_dim), dim = static_cast<size_t>(head_dim);
  const auto stored = static_cast<int64_t>(mine.keys.size() / width);
  std::vector<float> out(q.size());
  std::vector<double> scores, sums(dim);
  for (size_t r = 0; r < positions.size(); ++r) {
    const int64_t last = positions[r], first = window > 0 ? std::max<int64_t>(0, last - window + 1) : 0;
    if (last < 0 || last >= stored) {
      throw Error(op_name,
                  "position " + std::to_string(last) + " is not in the cache of layer " + std::to_string(layer));
    }
    for (int64_t h = 0; h < heads; ++h) {
      const float* query = q.data() + (r * static_cast<size_t>(heads) + static_cast<size_t>(h)) * dim;
      const size_t offset = static_cast<size_t>(h / (heads / kv_heads)) * dim;
      scores.clear();
      for (int64_t p = first; p <= last; ++p) {
        const float* key = mine.keys.data() + static_cast<size_t>(p) * width + offset;
        double score = 0;
        for (size_t i = 0; i < dim; ++i) score += static_cast<double>(query[i]) * key[i];
        score *= scale;
        if (soft_cap > 0) score = soft_capped<double>(score, soft_cap);
        if (!slopes.empty())
          score += static_cast<double>(slopes[static_cast<size_t>(h)]) * static_cast<double>(p - last);
        scores.push_back(score);
      }
      const double sink = sinks.empty() ? -std::numeric_limits<double>::infinity() : sinks[static_cast<size_t>(h)];
      const double total = to_softmax_terms(scores.data(), std::ssize(scores), sink).sum;
      std::fill(sums.begin(), sums.end(), 0.0);
      for (int64_t p = first; p <= last; ++p) {
        const double share = scores[static_cast<size_t>(p - first)];
        const float* value = mine.values.data() + static_cast<size_t>(p) * width + offset;
        for (size_t i = 0; i < dim; ++i) sums[i] += share * value[i];
      }
      float* target = out.data() + (query - q.data());
      for (size_t i = 0; i < dim; ++i) target[i] = static_cast<float>(sums[i] / total);
    }
  }
  store(out, outputs[0]);
}

}  // namespace incipit::ops
