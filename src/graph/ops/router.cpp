#include "graph/ops/router.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "graph/ops/rule.h"

namespace incipit::ops {

std::vector<ValueType> Router::infer(std::span<const ValueType> inputs) const {
  const Rule rule(op_name, inputs, {"logits"}, 1);
  const ValueType& logits = rule.tensor(0, 2, {DType::f32});
  const int64_t experts = rule.constant_extent(0, 1);
  rule.require(top_k > 0 && top_k <= experts,
               "cannot choose " + std::to_string(top_k) + " of " + std::to_string(experts) + " experts");
  return {{DType::i32, {logits.shape[0], top_k}}, {DType::f32, {logits.shape[0], top_k}}};
}

void Router::evaluate(std::span<const Tensor* const> inputs, std::span<Tensor> outputs, ReferenceCache&) const {
  const auto logits = inputs[0]->as<float>();
  const auto rows = static_cast<size_t>(inputs[0]->shape()[0]), experts = static_cast<size_t>(inputs[0]->shape()[1]);
  const auto slots = static_cast<size_t>(top_k);
  std::vector<size_t> order(experts);
  std::vector<double> shares(experts);
  for (size_t r = 0; r < rows; ++r) {
    const auto row = logits.subspan(r * experts, experts);
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return row[a] > row[b]; });
    for (size_t e = 0; e < experts; ++e) shares[e] = std::exp(static_cast<double>(row[e]) - row[order[0]]);
    double total = 0;
    for (size_t e = 0; e < (normalize ? slots : experts); ++e) total += shares[order[e]];
    for (size_t j = 0; j < slots; ++j) {
      outputs[0].as<int32_t>()[r * slots + j] = static_cast<int32_t>(order[j]);
      outputs[1].as<float>()[r * slots + j] = static_cast<float>(shares[order[j]] / total);
    }
  }
}

}  // namespace incipit::ops
